"""The force field of the example ``sulfate``: its box, and the ion's wavenumbers that it states."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from ase import units
from helpers.paths import EXAMPLES

from aptnn_md.atoms.molecules import Molecules
from aptnn_md.normal_modes import normal_modes
from aptnn_md.stream import StreamReader

pytest.importorskip("openmm")


@pytest.fixture
def box(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES / "sulfate")
    monkeypatch.delitem(sys.modules, "box", raising=False)
    import box

    return box


def test_the_start_is_an_ion_and_whole_waters(box):
    atoms = box.start(1)
    molecules = Molecules.of(atoms)
    formulas = molecules.formulas(atoms.numbers)
    assert sorted(formulas) == ["H2O"] * 64 + ["O4S"]
    assert formulas[0] == "O4S"  # as the script's groups have it
    assert atoms.info["charge"] == -2


def test_wavenumbers_of_the_ion(box, monkeypatch):
    monkeypatch.setattr(box, "N_WATER", 0)
    atoms = box.start(1)
    context = box.simulation_of(atoms, 1).context

    def forces(positions):
        context.setPositions(positions / 10.0)
        found = context.getState(getForces=True).getForces(asNumpy=True)._value
        return np.array(found) / 10.0 * units.kJ / units.mol

    step, hessian = 1e-3, []
    for number in range(15):
        moved = np.zeros(15)
        moved[number] = step
        moved = moved.reshape(5, 3)
        back, forth = forces(atoms.positions - moved), forces(atoms.positions + moved)
        hessian.append((back - forth).ravel() / (2.0 * step))
    hessian = np.array(hessian)
    modes = normal_modes((hessian + hessian.T) / 2.0, atoms.get_masses(), atoms.positions)
    expected = [521] * 2 + [569] * 3 + [990] + [1102] * 3
    np.testing.assert_allclose(modes.wavenumber[-9:], expected, atol=8.0)


@pytest.mark.thorough
def test_a_stream_with_sulfur_oxygen_and_water_apart(box, monkeypatch, tmp_path):
    monkeypatch.setattr(box, "EQUILIBRATION", 0.05)

    def tensors(atoms):
        shares = np.where(atoms.numbers == 8, -1.0, 0.6)
        shares -= (shares.sum() - box.CHARGE) / len(atoms)
        return shares[:, None, None] * np.eye(3)

    box.run(tmp_path / "s", tensors, 0.01, 1)
    reader = StreamReader(tmp_path / "s")
    assert reader.header.groups == ("sulfur", "oxygen", "water")
    assert reader.n_frames == 6  # every fourth of 20 steps, and the start
    assert np.abs(reader.dipole_rate()).max(axis=(0, 2)).min() > 0.0
