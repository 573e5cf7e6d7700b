"""What a LAMMPS script holds: fixed atoms, rigid bonds; temperature and f-sum of the rest."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from helpers import same_forces, toy_molecules
from helpers.lammps_runs import needs_lammps, stream_of, write_script

from aptnn_md.engines.lammps import mobility
from aptnn_md.engines.lammps.mobility import description_of, mobility_of
from aptnn_md.engines.lammps.state import FixInfo
from aptnn_md.errors import RunError
from aptnn_md.stream import StreamReader
from aptnn_md.units import AMU_A2_PER_FS2_EV, BOLTZMANN_EV_PER_K

FIXED = "group held id 1:3\ngroup free subtract all held\nvelocity held set 0 0 0"


def kinetic_temperature(masses, velocities, freedom):
    kinetic = (masses[:, None] * velocities**2).sum() * AMU_A2_PER_FS2_EV
    return kinetic / (freedom * BOLTZMANN_EV_PER_K)


@needs_lammps
def test_atoms_that_nothing_integrates_are_fixed(tmp_path):
    write_script(tmp_path, "run 10", f"{FIXED}\nfix 1 free nvt temp 300 300 0.1")
    stream_of(tmp_path, toy_molecules.Tensors(), velocities=True)
    reader, atoms = StreamReader(tmp_path / "s.zarr"), same_forces.structure()
    masses = atoms.get_masses()
    assert reader.header.atom_freedom == (0.0,) * 3 + (3.0,) * 9
    assert reader.header.temperature == 300.0
    apt = toy_molecules.polar_tensors(atoms.positions)
    expected = (apt[3:] ** 2).sum(axis=(1, 2)) / (3.0 * masses[3:])
    assert reader.read("f_sum")[0].sum() == pytest.approx(expected.sum(), rel=1e-8)
    for frame in (0, 5, 10):
        velocities = reader.read("velocity")[frame]
        assert not velocities[:3].any()
        found = reader.read("temperature")[frame]
        assert found == pytest.approx(kinetic_temperature(masses, velocities, 27), rel=1e-5)


@needs_lammps
@pytest.mark.parametrize(
    ("fixes", "name", "freedom"),
    [
        ("fix 2 all shake 1e-8 100 0 b 1\nfix 1 all nve", "fix shake", 36 - 3 - 4),
        ("fix 1 all rigid/small molecule", "fix rigid/small", 4 * 6 - 3),
        ("fix 1 all nve\nfix 2 all setforce 0 NULL NULL", "fix setforce", 36 - 3),
    ],
)
def test_constraints_have_no_f_sum(fixes, name, freedom, tmp_path, caplog):
    write_script(tmp_path, "run 10", fixes)
    with caplog.at_level(logging.WARNING):
        stream_of(tmp_path, toy_molecules.Tensors(), velocities=True)
    reader = StreamReader(tmp_path / "s.zarr")
    assert f"{name}: the f-sum of what can move is not known" in caplog.text
    assert "f_sum" not in reader.arrays
    assert set(reader.header.atom_freedom) == {-1.0}
    masses, velocities = same_forces.structure().get_masses(), reader.read("velocity")[10]
    found = reader.read("temperature")[10]
    assert found == pytest.approx(kinetic_temperature(masses, velocities, freedom), rel=1e-4)


def test_styles_of_fixes():
    bits = np.array([1, 3, 1, 3])
    fixes = [FixInfo("a", "nve/limit", 2), FixInfo("b", "print", 1), FixInfo("c", "langevin", 1)]
    found = mobility_of(fixes, bits)
    np.testing.assert_array_equal(found.atoms, [0.0, 3.0, 0.0, 3.0])
    assert not found.unaccounted
    assert description_of(fixes) == "nve/limit, langevin"
    # a way to move atoms that is not known here moves them all
    assert mobility_of([FixInfo("a", "unheard/of", 2)], bits).is_free


@needs_lammps
def test_velocities_of_fixed_atoms_do_not_count(tmp_path):
    """``velocity all create`` gives them some, and LAMMPS keeps them."""
    held = "group held id 1:3\ngroup free subtract all held"
    write_script(tmp_path, "run 10", f"{held}\nfix 1 free nve")
    stream_of(tmp_path, toy_molecules.Tensors(), velocities=True, groups="index:0-2")
    reader, masses = StreamReader(tmp_path / "s.zarr"), same_forces.structure().get_masses()
    assert np.abs(same_forces.structure().get_velocities()[:3]).max() > 0.0
    np.testing.assert_array_equal(reader.dipole_rate()[:, 0], 0.0)
    for frame in (0, 10):
        velocities = reader.read("velocity")[frame]
        assert not velocities[:3].any()
        found = reader.read("temperature")[frame]
        assert found == pytest.approx(kinetic_temperature(masses, velocities, 27), rel=1e-5)


@needs_lammps
def test_atoms_that_something_unknown_moves_are_not_taken_for_fixed(tmp_path, monkeypatch):
    monkeypatch.setattr(mobility, "_INTEGRATORS", ("nve",))
    parts = "group one id 1:3\ngroup other subtract all one"
    fixes = "fix 1 other nve\nfix 2 one nvt temp 300 300 0.1"
    write_script(tmp_path, "run 10", f"{parts}\n{fixes}")
    with pytest.raises(RunError, match="no fix that is known here integrates its motion"):
        stream_of(tmp_path, toy_molecules.Tensors())
