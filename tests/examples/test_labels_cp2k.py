"""The example of labels by CP2K: its comparison, and all of it where CP2K is installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from helpers.example_commands import run_command
from helpers.paths import EXAMPLES


def test_comparison(tmp_path: Path) -> None:
    """Of atoms that have labels in both files, and no others."""
    rng = np.random.default_rng(0)
    atoms = Atoms("OHH", rng.normal(size=(3, 3)), cell=[5, 6, 7], pbc=True)
    atoms.arrays |= {"apt": rng.normal(size=(3, 9)), "pgt": rng.normal(size=(3, 27))}
    other = atoms.copy()
    other.arrays["apt"] = atoms.arrays["apt"] + np.array([[0.0], [0.002], [np.nan]])
    other.arrays["pgt"][1, 5] -= 0.3
    ase.io.write(tmp_path / "a.extxyz", atoms)
    ase.io.write(tmp_path / "b.extxyz", other)
    script = str(EXAMPLES / "labels_cp2k" / "compare.py")
    printed = run_command(tmp_path, sys.executable, script, "a.extxyz", "b.extxyz")
    assert printed.splitlines() == [
        "b.extxyz and a.extxyz, apt of 2 atoms: rms difference 0.0014 e, largest 0.0020 e",
        "b.extxyz and a.extxyz, pgt of 3 atoms: rms difference 0.0333 Å², largest 0.3000 Å²",
    ]


def test_without_cp2k(tmp_path: Path) -> None:
    """A sentence that says what is missing."""
    shutil.copytree(EXAMPLES / "labels_cp2k", tmp_path / "example")
    (tmp_path / "bin").mkdir()
    for name in ("bash", "dirname", "env"):
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    done = subprocess.run(
        [str(shutil.which("bash")), "run.sh"],
        cwd=tmp_path / "example",
        env={"PATH": str(tmp_path / "bin")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "needs CP2K" in done.stderr


@pytest.mark.slow
@pytest.mark.cp2k
@pytest.mark.skipif(shutil.which("cp2k.psmp") is None, reason="no cp2k.psmp")
def test_whole_example(tmp_path: Path) -> None:
    for name in ("labels_cp2k", "water_pgt"):
        shutil.copytree(EXAMPLES / name, tmp_path / name)
    printed = run_command(tmp_path / "labels_cp2k", "./run.sh", timeout=None)
    by_space, apt, pgt = (line.split() for line in printed.splitlines()[-3:])
    assert float(by_space[-2]) < 2e-3  # e; by dipoles of displaced atoms, the largest difference
    assert float(apt[9]) < 0.05  # e; the bundled networks
    assert float(pgt[9]) < 0.25  # Å²
