"""What moves atoms and opens streams needs no torch until a network or a potential is read."""

import subprocess
import sys

MODULES = [
    "aptnn_md.engines.ase.md",
    "aptnn_md.engines.ase.observer",
    "aptnn_md.engines.client.client",
    "aptnn_md.engines.openmm.reporter",
    "aptnn_md.engines.trajectory.trajectory_stream",
    "aptnn_md.potentials.loading",
]

PROGRAM = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    assert "torch" not in sys.modules, name
"""


def test_no_torch_is_imported():
    done = subprocess.run([sys.executable, "-c", PROGRAM, *MODULES], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
