"""Labels of every engine come with energy and forces, from which potentials are trained."""

from __future__ import annotations

import importlib.util

import ase.io
import numpy as np
import pytest
from ase.build import molecule

from aptnn_md.cli import main


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("engine", "needed"),
    [
        ("tblite", "tblite"),
        ("pyscf xc=hf basis=sto-3g", "pyscf"),
        ("helpers.toy_molecules:Potential", "ase"),
    ],
)
def test_energy_and_forces_are_beside_the_tensors(tmp_path, engine, needed):
    """The forces are the slope of the energies of two frames, one atom of which is elsewhere."""
    if importlib.util.find_spec(needed) is None:
        pytest.skip(f"needs {needed}")
    step, frames = 1e-3, []
    for sign in (1, -1):
        atoms = molecule("HOCl")
        atoms = atoms[[int(np.flatnonzero(atoms.numbers == z)[0]) for z in (8, 1, 17)]]
        atoms.positions += [[0.03, -0.02, 0.05], [0.0, 0.04, 0.02], [-0.03, 0.0, 0.01]]
        atoms.positions[1, 0] += sign * step
        frames.append(atoms)
    ase.io.write(tmp_path / "frames.extxyz", frames)
    out = tmp_path / "labelled.extxyz"
    command = ["label", "--engine", engine, "--data", str(tmp_path / "frames.extxyz")]
    assert main([*command, "--out", str(out)]) == 0
    one, two = ase.io.read(out, ":")
    slope = (one.get_potential_energy() - two.get_potential_energy()) / (2 * step)
    mean = 0.5 * (one.get_forces() + two.get_forces())[1, 0]
    assert mean == pytest.approx(-slope, abs=2e-3)
    assert abs(slope) > 0.1
