"""Potentials that evaluate batches, and ASE calculators wrapped as such."""

from __future__ import annotations

import helpers.toy_molecules as toy
import numpy as np
import pytest

from aptnn_md.engines.client.evaluator import Evaluator
from aptnn_md.errors import InputError
from aptnn_md.potentials.interface import BatchedPotential, CalculatorPotential, as_batched


class Batched:
    """The analytic potential, which counts its calls and the structures in them."""

    def __init__(self):
        self.calls = []

    def evaluate(self, structures):
        self.calls.append(len(structures))
        found = [toy.energy_forces_virial(atoms.positions) for atoms in structures]
        return [{"energy": energy, "forces": forces} for energy, forces, _ in found]


def frames():
    return [toy.structure(2, seed=seed, pbc=seed > 0) for seed in range(3)]


def test_a_calculator_gives_its_results_one_by_one():
    calculator = toy.Potential()
    potential = as_batched(calculator)
    assert isinstance(potential, CalculatorPotential)
    assert isinstance(potential, BatchedPotential)
    found = potential.evaluate(frames())
    assert calculator.n_calls == 3
    for atoms, results in zip(frames(), found, strict=True):
        energy, forces, virial = toy.energy_forces_virial(atoms.positions)
        assert results["energy"] == energy
        np.testing.assert_array_equal(results["forces"], forces)
        assert ("stress" in results) == atoms.pbc.all()
        if atoms.pbc.all():
            expected = -np.trace(virial) / atoms.get_volume()
            assert results["stress"][:3].sum() == pytest.approx(expected, rel=1e-12)


def test_what_evaluates_batches_is_left_alone_and_asked_once():
    batched = Batched()
    assert as_batched(batched) is batched
    evaluator = Evaluator(frames()[1], batched)
    positions = np.stack([atoms.positions for atoms in frames()])
    cells = np.stack([frames()[1].cell.array] * 3)
    results = evaluator(cells, positions)
    assert batched.calls == [3]
    by_calculator = Evaluator(frames()[1], toy.Potential())(cells, positions)
    np.testing.assert_array_equal(results.forces, by_calculator.forces)
    np.testing.assert_array_equal(results.energy, by_calculator.energy)
    # no stress, no virial
    assert not results.virial.any()
    assert by_calculator.virial.any()


def test_anything_else_is_refused():
    with pytest.raises(InputError, match="potential: type: found int, expected an ASE calculator"):
        as_batched(3)


def test_a_charge_that_is_not_the_calculators_is_refused():
    class Neutral(toy.Potential):
        charge = 0.0

    atoms = toy.structure()
    assert len(as_batched(Neutral()).evaluate([atoms])) == 1
    atoms.info["charge"] = -1
    with pytest.raises(InputError, match="-1 e by 'charge' of the frame and 0 e by the calculator"):
        as_batched(Neutral()).evaluate([atoms])
