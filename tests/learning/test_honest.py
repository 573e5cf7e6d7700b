"""The honest test, against errors that are known."""

from __future__ import annotations

import numpy as np
import pytest
from ase.calculators.calculator import all_changes
from ase.calculators.singlepoint import SinglePointCalculator
from helpers.toy_molecules import Potential, energy_forces_virial, polar_tensors, structure

from aptnn_md.learning.honest import honest_test, honest_test_of_systems
from aptnn_md.potentials.committee import PotentialCommittee
from aptnn_md.potentials.interface import as_batched
from aptnn_md.prediction.loading import as_model
from aptnn_md.training.dataset import LabelledFrame


def labelled(seed, force_error, scale):
    """A molecule whose labels differ from the models by known amounts."""
    atoms = structure(seed=seed)
    atoms.positions += 0.05 * np.random.default_rng(seed).normal(size=(3, 3))
    energy, forces, _ = energy_forces_virial(atoms.positions)
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces + force_error)
    return LabelledFrame(atoms, {"apt": scale * polar_tensors(atoms.positions)})


def test_errors_are_those_that_were_put_in():
    frames = [labelled(seed, (-1.0) ** seed * 0.04, 1.1) for seed in range(4)]
    known = [labelled(seed, 0.0, 1.0) for seed in range(10, 13)]
    found = honest_test(as_model(polar_tensors_of), as_batched(Potential()), frames, known)
    assert found.n_frames == 4
    assert found.force_rmse == pytest.approx(0.04)
    reference = np.concatenate([frame.labels["apt"] for frame in frames])
    expected = np.sqrt(np.mean((reference / 11.0) ** 2))
    assert found.tensor_rmse["apt"] == pytest.approx(expected)
    means = np.mean([frame.labels["apt"] for frame in known], axis=0)  # one atom of each element
    spread = np.sqrt(np.mean((reference - np.tile(means, (4, 1, 1))) ** 2))
    assert found.tensor_relative["apt"] == pytest.approx(expected / spread)


class Off(Potential):
    """The analytic potential with all forces off by a number."""

    def __init__(self, by):
        super().__init__()
        self.by = by

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results["forces"] = self.results["forces"] + self.by


def test_members_of_a_potential_say_less_than_their_forces_are_wrong():
    frames = [labelled(seed, 0.0, 1.0) for seed in range(3)]
    for errors, rmse, spread, factor in (
        ((0.05, 0.03), 0.04, 0.02, 2.0),  # twice the mean deviation from their mean
        ((0.05, -0.05, 0.06), 0.02, 0.4 / 3 * 0.7, 1.0),
        ((0.04,), 0.04, None, 1.0),
    ):
        committee = PotentialCommittee([Off(error) for error in errors])
        found = honest_test(as_model(polar_tensors_of), committee, frames, frames)
        assert found.force_rmse == pytest.approx(rmse)
        assert found.force_spread == (None if spread is None else pytest.approx(spread))
        assert found.members_factor == pytest.approx(factor)


def test_a_single_frame_has_a_spread():
    """It is that about means of known labels, so a bad model does not pass by lack of frames."""
    frame, known = labelled(1, 0.0, 1.5), [labelled(seed, 0.0, 1.0) for seed in (2, 3)]
    found = honest_test(as_model(polar_tensors_of), None, [frame], known)
    assert found.tensor_relative["apt"] > 0.1


def test_a_potential_that_is_not_learned_is_not_tested():
    known = [labelled(2, 0.0, 1.0)]
    found = honest_test(as_model(polar_tensors_of), None, [labelled(1, 0.3, 1.0)], known)
    assert found.force_rmse is None
    assert found.tensor_rmse["apt"] == pytest.approx(0.0, abs=1e-12)


def test_frames_without_labels_do_not_count():
    frame, known = labelled(1, 0.0, 1.0), [labelled(2, 0.0, 1.0)]
    empty = LabelledFrame(frame.atoms, {"apt": np.full((3, 3, 3), np.nan)})
    assert honest_test(as_model(polar_tensors_of), None, [frame, empty], known).n_frames == 1
    assert honest_test(as_model(polar_tensors_of), None, [empty], known).n_frames == 0


def test_each_system_is_tested_alone():
    frames = [labelled(seed, 0.1 * (seed % 2), 1.0 + 0.1 * (seed % 2)) for seed in range(4)]
    for seed, frame in enumerate(frames):
        frame.atoms.info["system"] = seed % 2
    known = [labelled(seed, 0.0, 1.0) for seed in range(10, 13)]
    model, potential = as_model(polar_tensors_of), as_batched(Potential())
    found = honest_test_of_systems(model, potential, frames, known, ["good", "poor", "none"])
    good, poor, none = (found.of_systems[name] for name in ("good", "poor", "none"))
    assert (good.n_frames, poor.n_frames, none.n_frames) == (2, 2, 0)
    assert good.force_rmse == pytest.approx(0.0, abs=1e-12)
    assert poor.force_rmse == pytest.approx(0.1)
    assert found.force_rmse == pytest.approx(0.1 / np.sqrt(2.0))  # equally many of both
    assert good.tensor_rmse["apt"] == pytest.approx(0.0, abs=1e-12)
    assert poor.tensor_rmse["apt"] > 0.01
    assert none.force_rmse is None
    assert none.tensor_rmse == {}


def test_a_single_system_is_not_tested_twice():
    frames, known = [labelled(1, 0.0, 1.0)], [labelled(2, 0.0, 1.0)]
    found = honest_test_of_systems(as_model(polar_tensors_of), None, frames, known, ["one"])
    assert found == honest_test(as_model(polar_tensors_of), None, frames, known)


def polar_tensors_of(atoms):
    return polar_tensors(atoms.positions)
