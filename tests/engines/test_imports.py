"""What follows a run, and opens its stream, needs no torch until a network or a potential is read."""

import subprocess
import sys

import pytest

WITHOUT_TORCH = """
import importlib, sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoTorch())
importlib.import_module(sys.argv[1])
"""


@pytest.mark.parametrize(
    "module",
    [
        "aptnn_md.engines.ase.md",
        "aptnn_md.engines.ase.observer",
        "aptnn_md.engines.client.client",
        "aptnn_md.engines.lammps.runner",
        "aptnn_md.engines.openmm.reporter",
        "aptnn_md.engines.trajectory.trajectory_stream",
        "aptnn_md.potentials.loading",
    ],
)
def test_no_torch_is_imported(module):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, module], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
