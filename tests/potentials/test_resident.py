"""The bundled potential with structures that stay on a device, against the plain one."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from helpers.tiers import slow

from aptnn_md.bundled import bundled_path
from aptnn_md.models import resident as residence
from aptnn_md.potentials.loading import load_potential

pytestmark = pytest.mark.mace


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("dtype", "tolerance"), slow([("float32", 2e-5), ("float64", 1e-7)], "float32")
)
def test_results_are_those_of_the_processor(device, monkeypatch, dtype, tolerance):
    # mace-torch, which is asked on a device, has the coupling coefficients of single precision
    water = ase.io.read(bundled_path("water64.extxyz"))
    frames = [water.copy(), water.copy(), water[:12]]
    frames[1].pbc = False
    frames[2].positions[3] = frames[2].positions[0] + [0.5, 0.1, 0.0]  # inside a wall
    plain = load_potential("water-mace", dtype=dtype)
    potential = load_potential("water-mace", dtype=dtype, device=device)
    random = np.random.default_rng(0)
    for _ in range(4):
        found = potential.evaluate(frames)
        with monkeypatch.context() as patch:
            patch.setattr(residence, "RESIDENT", set())
            expected = plain.evaluate(frames)
        for mine, theirs in zip(found, expected, strict=True):
            assert set(mine) == set(theirs)
            for name, values in theirs.items():
                size = max(1.0, float(np.abs(values).max()))
                np.testing.assert_allclose(mine[name], values, rtol=0, atol=tolerance * size)
        for atoms in frames:
            atoms.positions += 0.03 * random.normal(size=(len(atoms), 3))
        strain = np.eye(3) + 2e-3 * random.normal(size=(3, 3))
        frames[0].set_cell(frames[0].cell.array @ strain, scale_atoms=True)


@pytest.mark.thorough
def test_forces_are_differences_of_the_energy(device):
    water = ase.io.read(bundled_path("water64.extxyz"))
    water.calc = load_potential("water-mace", dtype="float64", device=device)
    forces = water.get_forces()
    for atom, axis in ((0, 0), (7, 2)):
        energies = []
        for step in (1e-4, -1e-4):
            moved = water.copy()
            moved.calc = water.calc
            moved.positions[atom, axis] += step
            energies.append(moved.get_potential_energy())
        slope = (energies[0] - energies[1]) / 2e-4
        assert forces[atom, axis] == pytest.approx(-slope, abs=1e-5)
