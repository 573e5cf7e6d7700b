"""i-PI as a server in a process of its own, and clients with the toy molecules for it."""

import itertools
import os
import socket
import sys
import time
from pathlib import Path

import torch
from ipi.engine.simulation import Simulation
from ipi.utils.softexit import softexit

from aptnn_md.engines.client.answers import Answers
from aptnn_md.engines.client.client import Address, Client
from aptnn_md.engines.client.evaluator import Evaluator
from aptnn_md.engines.client.increments import IncrementStream
from aptnn_md.engines.client.settings import ClientSettings, IncrementSettings
from aptnn_md.engines.ipi.lost_clients import survive_lost_clients
from helpers import toy_molecules
from helpers.ipi_inputs import write_input
from helpers.processes import FORK

_numbers = itertools.count()


class SlowPotential(toy_molecules.Potential):
    """The analytic potential, waiting ``pause`` seconds each time."""

    def __init__(self, pause):
        super().__init__()
        self.pause = pause

    def calculate(self, *arguments, **keywords):
        time.sleep(self.pause)
        super().calculate(*arguments, **keywords)


class Server:
    """i-PI with a socket; killed at the end of the ``with`` if it still runs."""

    def __init__(
        self,
        directory,
        socket_mode="unix",
        batch_size=1,
        socket_options="",
        toy_force="<force forcefield='client'/>",
        more_forcefields="",
        **options,
    ):
        self.directory = Path(directory)
        prefix = f"/tmp/aptnn_{os.getpid()}_{next(_numbers)}_"
        self.prefix = prefix
        port = free_port() if socket_mode == "inet" else 31415
        name = "localhost" if socket_mode == "inet" else "toy"
        inet = socket_mode == "inet"
        self.address = Address("localhost", port) if inet else Address(path=prefix + name)
        write_input(
            directory,
            forcefields=f"<ffsocket name='client' mode='{socket_mode}'><address>{name}</address>"
            f"<port>{port}</port><batch_size>{batch_size}</batch_size>"
            f"<latency>1e-4</latency>{socket_options}</ffsocket>{more_forcefields}",
            toy_force=toy_force,
            **options,
        )
        self.process = self.start()

    def start(self, source="input.xml"):
        """Start i-PI; its process."""
        # what a killed server leaves
        Path(self.address.path or "/nowhere").unlink(missing_ok=True)
        arguments = (self.directory, source, self.prefix)
        self.process = FORK.Process(target=_run_ipi, args=arguments, daemon=True)
        self.process.start()
        return self.process

    def wait(self, seconds=60):
        self.process.join(seconds)
        log = (self.directory / "log").read_text()
        assert self.process.exitcode == 0, f"{self.process.exitcode}: {log}"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.join()
        Path(self.address.path or "/nowhere").unlink(missing_ok=True)


def _run_ipi(directory, source, prefix):
    """What the command i-pi does."""
    os.chdir(directory)
    log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    # as in a new process, whatever ran in the one that was forked
    softexit.__init__()
    # the threads of the one that was forked are not here, and OpenMP would wait for them
    torch.set_num_threads(1)
    # i-PI finalizes MPI when it ends; that of the process that was forked would wait for ever
    sys.modules.pop("mpi4py.MPI", None)
    # as in aptnn-md ipi: plain i-PI waits for ever after some moments of a client's death
    survive_lost_clients()
    with open(source) as file:
        simulation = Simulation.load_from_xml(file, request_banner=False, sockets_prefix=prefix)
    softexit.hard_exit = True
    simulation.run()
    softexit.trigger(status=simulation.exit_status, message=simulation.exit_message)


def run_ipi_input(directory, seconds=90):
    """Run ``input.xml`` in a process of its own."""
    process = FORK.Process(target=_run_ipi, args=(directory, "input.xml", "/tmp/ipi_"), daemon=True)
    process.start()
    process.join(seconds)
    process.kill()
    log = (directory / "log").read_text()
    assert process.exitcode == 0, f"{process.exitcode}: {log}"


def free_port():
    with socket.socket() as sock:
        sock.bind(("localhost", 0))
        return sock.getsockname()[1]


def toy_client(
    address,
    stream=None,
    *,
    n_molecules=2,
    n_beads=1,
    timestep=0.25,
    groups="element",
    model=None,
    extras="none",
    pause=0.0,
    potential=True,
    evaluate=None,
    **options,
):
    """A client with the analytic potential and tensors."""
    evaluator = Evaluator(
        toy_molecules.structure(n_molecules, seed=3, pbc=True),
        SlowPotential(pause) if potential else None,
        model or toy_molecules.Tensors(),
    )
    writes = None
    if stream is not None:
        settings = IncrementSettings(Path(stream), timestep, n_beads, groups)
        writes = IncrementStream(
            settings,
            evaluator.template,
            evaluate or evaluator,
            model="toy",
            committee_sizes=evaluator.committee_sizes,
        )
    options.setdefault("wait", 20.0)
    return Client(
        address,
        evaluate or evaluator,
        Answers(extras, model="toy"),
        writes,
        ClientSettings(**options),
    )
