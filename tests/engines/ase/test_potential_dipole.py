"""Ṁ of the potential's own dipole against analytic polar tensors."""

import numpy as np
import pytest
from ase import units
from ase.calculators.lj import LennardJones
from ase.md.verlet import VelocityVerlet
from helpers import toy_molecules
from helpers.toy_tensors import Both

from aptnn_md.atoms.partition import parse_groups
from aptnn_md.atoms.snapshot import Snapshot
from aptnn_md.engines.ase.observer import StreamObserver
from aptnn_md.engines.ase.potential_dipole import (
    ESTIMATOR,
    LARGEST_DISPLACEMENT,
    PotentialDipole,
    velocity_parts,
)
from aptnn_md.errors import InputError, RunError
from aptnn_md.stream import StreamReader


def velocities(atoms):
    return atoms.get_velocities() * units.fs


@pytest.mark.parametrize("name", ["all", "element", "molecule", "motion", "element+motion"])
def test_rates_are_those_of_the_polar_tensors(name):
    atoms = toy_molecules.structure(2, temperature=800.0, seed=5)
    partition = parse_groups(name, atoms)
    apt = toy_molecules.polar_tensors(atoms.positions)
    expected = partition.rates(apt, velocities(atoms), Snapshot.of(atoms))
    own = PotentialDipole(toy_molecules.Potential(), atoms)
    found = own.rates(atoms, partition, velocities(atoms))
    assert found.shape == (len(partition), 3)
    # error of second order in the displacement
    np.testing.assert_allclose(
        found, expected, atol=20 * LARGEST_DISPLACEMENT**2 * abs(expected).max()
    )
    np.testing.assert_allclose(
        found.sum(axis=0),
        np.einsum("nab,nb->a", apt, velocities(atoms)),
        atol=20 * LARGEST_DISPLACEMENT**2 * abs(expected).max(),
    )


@pytest.mark.parametrize("name", ["element", "within:3:index:0+each-step", "molecule+motion"])
def test_parts_of_velocities_add_up(name):
    atoms = toy_molecules.structure(3, seed=2)
    partition = parse_groups(name, atoms)
    parts = velocity_parts(partition, velocities(atoms), Snapshot.of(atoms))
    assert parts.shape == (len(partition), 9, 3)
    np.testing.assert_allclose(parts.sum(axis=0), velocities(atoms), atol=1e-15)


def test_atoms_at_rest_have_no_rate():
    atoms = toy_molecules.structure()
    atoms.set_momenta(np.zeros((3, 3)))
    own = PotentialDipole(toy_molecules.Potential(), atoms)
    found = own.rates(atoms, parse_groups("all", atoms), velocities(atoms))
    assert not found.any()


def test_the_stream_has_both_rates_of_each_frame(tmp_path):
    atoms = toy_molecules.structure(1, seed=4)
    atoms.calc = moved = toy_molecules.Potential()
    dynamics = VelocityVerlet(atoms, 0.5 * units.fs)
    options = {"stride": 2, "dipole_calculator": toy_molecules.Potential()}
    with StreamObserver(dynamics, tmp_path / "s", toy_molecules.Tensors(), **options) as observer:
        dynamics.attach(observer, interval=2)
        dynamics.run(40)
    reader = StreamReader(tmp_path / "s")
    assert reader.header.estimators == ("bead", ESTIMATOR)
    model, own = reader.dipole_rate("bead"), reader.dipole_rate(ESTIMATOR)
    assert len(own) == 21
    np.testing.assert_allclose(own, model, atol=2e-3 * abs(model).max())
    assert not np.array_equal(own, model)
    assert moved.n_calls == 41  # evaluations beside the run do not disturb it


@pytest.mark.parametrize(
    ("calculator", "change", "message"),
    [
        (LennardJones(), {}, "potential: found LennardJones, which gives no dipole"),
        (toy_molecules.Potential(), {"pbc": True}, "structure: found a periodic one"),
    ],
)
def test_what_has_no_dipole_is_refused(calculator, change, message):
    with pytest.raises(InputError, match=message):
        PotentialDipole(calculator, toy_molecules.structure(1, **change))


class OfMACE(toy_molecules.Potential):
    pass


OfMACE.__module__ = "mace.calculators.mace"


def test_dipoles_in_debye_are_refused():
    with pytest.raises(InputError, match="potential: found a dipole network of MACE, expected"):
        PotentialDipole(OfMACE(), toy_molecules.structure())


class Failing(toy_molecules.Potential):
    def calculate(self, *arguments, **keywords):
        super().calculate(*arguments, **keywords)
        self.results["dipole"] = np.array([0.0, np.nan, 0.0])


def test_beside_a_model_of_polarizability_gradients(tmp_path):
    """The potential has a dipole of its own and no polarizability."""
    for model in (toy_molecules.Tensors(), Both()):
        atoms = toy_molecules.structure(1, seed=4)
        atoms.calc = toy_molecules.Potential()
        dynamics = VelocityVerlet(atoms, 0.5 * units.fs)
        options = {"dipole_calculator": toy_molecules.Potential()}
        with StreamObserver(dynamics, tmp_path / model.name, model, **options) as observer:
            dynamics.attach(observer)
            dynamics.run(5)
    alone, both = (StreamReader(tmp_path / m.name) for m in (toy_molecules.Tensors, Both))
    np.testing.assert_array_equal(both.dipole_rate(ESTIMATOR), alone.dipole_rate(ESTIMATOR))
    assert both.polarizability_rate().shape == (6, 1, 6)
    with pytest.raises(InputError, match=f"found {ESTIMATOR}, expected one with polarizability"):
        both.polarizability_rate(ESTIMATOR)


def test_a_dipole_that_is_not_finite_is_refused():
    atoms = toy_molecules.structure()
    with pytest.raises(RunError, match="not a finite vector"):
        PotentialDipole(Failing(), atoms).rates(
            atoms, parse_groups("all", atoms), velocities(atoms)
        )
