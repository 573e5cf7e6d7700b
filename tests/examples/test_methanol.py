"""The example of a molecule by PySCF: its parts, and all of it with fewer frames."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
from helpers.example_commands import run_command
from helpers.paths import EXAMPLES

from aptnn_md.normal_modes import infrared_modes, normal_modes, raman_modes, write_modes

pytest.importorskip("pyscf")
EXAMPLE = EXAMPLES / "methanol_pyscf"


@pytest.mark.thorough
def test_start_and_comparison(tmp_path: Path) -> None:
    """A minimum, frames near it as far as zero-point motion says, and the table of two spectra."""
    shutil.copytree(EXAMPLE, tmp_path / "example")
    here = tmp_path / "example"
    run_command(here, sys.executable, "start.py", "methanol.xyz", "400")
    atoms, hessian = ase.io.read(here / "methanol.xyz"), np.load(here / "hessian.npy")
    modes = normal_modes(hessian, atoms.get_masses(), atoms.positions)
    assert modes.imaginary == 0
    assert np.abs(modes.rigid).max() < 5.0  # rotations too, so no forces act
    frames = ase.io.read(here / "displaced.extxyz", ":")
    moved = np.array([frame.positions - atoms.positions for frame in frames])
    weighted = np.sqrt(modes.masses)[:, None] * moved
    q = np.einsum("fic,mic->fm", weighted, modes.eigenvectors)
    # ħ/(4 · 2ω) of the O-H stretch, which is in its ground state; amu Å²
    hbar, speed, unit = 1.054571817e-34, 29979245800.0, 1.66053906660e-47
    expected = hbar / (4 * np.pi * speed * modes.wavenumber[-1]) / unit / 4
    assert np.mean(q[:, -1] ** 2) == pytest.approx(expected, rel=0.3)
    rng = np.random.default_rng(0)
    apt = rng.normal(size=(6, 3, 3))
    pgt = rng.normal(size=(6, 3, 3, 3))
    raman = raman_modes(modes, pgt + pgt.transpose(0, 2, 1, 3))
    infrared = infrared_modes(modes, apt)
    write_modes(here / "a.csv", infrared, atoms, raman=raman)
    write_modes(here / "b.csv", infrared_modes(modes, 1.1 * apt), atoms, raman=raman)
    printed = run_command(here, sys.executable, "compare.py", "a.csv", "b.csv").splitlines()
    assert len(printed) == 2 + len(modes) + 2
    np.testing.assert_allclose(
        [float(word) for word in printed[2].split()],
        [modes.wavenumber[0], infrared.intensity[0], 1.21 * infrared.intensity[0]]
        + [raman.activity[0]] * 2
        + [raman.depolarisation[0]] * 2,
        atol=0.06,
    )
    assert printed[-2].endswith("21.0 % apart")
    assert printed[-1].endswith("0.0 % apart")


@pytest.mark.slow
def test_whole_example(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "example")
    here = tmp_path / "example"
    printed = run_command(here, "./run.sh", FRAMES="4", MINUTES="0.1", JOBS="1")
    assert "% apart" in printed
    for name in ("pyscf.png", "network.png"):
        assert (here / name).read_bytes().startswith(b"\x89PNG")
