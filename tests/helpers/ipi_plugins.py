"""Plain i-PI runs with a file of ``helpers`` as a plugin."""

from ipi.engine.simulation import Simulation
from ipi.utils.softexit import softexit

from helpers.paths import HELPERS


def plugin(parameters, name="stream", file="ipi_toy_stream.py"):
    return (
        f"<ffdirect name='{name}'><pes>custom</pes><pes_path>{HELPERS / file}</pes_path>"
        f"<parameters>{{{parameters}}}</parameters></ffdirect>"
    )


def run_plain(source):
    """What the script ``i-pi`` does, but for the end of the process."""
    try:
        with open(source) as file:
            simulation = Simulation.load_from_xml(file)
        simulation.run()
        softexit.cleanup(status=simulation.exit_status, message=simulation.exit_message)
    finally:
        softexit.reset()
