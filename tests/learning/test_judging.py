"""Normal modes of learned potentials: only those of the same molecule count."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ase.calculators.calculator import Calculator, all_changes
from helpers.toy_molecules import Potential, energy_forces_virial, polar_tensors, structure

from aptnn_md.learning.bonds import BondGraph
from aptnn_md.learning.directory import Stage
from aptnn_md.learning.harmonic import HarmonicCheck, Lines
from aptnn_md.learning.judging import model_lines
from aptnn_md.learning.stage_models import StageModels
from aptnn_md.prediction.loading import as_model


class Stretched(Calculator):
    """A potential whose minimum has bonds of twice the length."""

    name = "stretched"
    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        energy, forces, _ = energy_forces_virial(0.5 * atoms.positions)
        self.results = {"energy": energy, "forces": 0.5 * forces}


def stage_in(path):
    stage = Stage(path / "cycle-00")
    stage.path.mkdir(parents=True)
    return stage


def models(mean, members):
    return StageModels(mean, members, as_model(lambda atoms: polar_tensors(atoms.positions)))


def test_a_minimum_with_other_bonds_has_no_lines(tmp_path, caplog):
    found = model_lines(
        stage_in(tmp_path),
        0,
        BondGraph.of(structure(seed=4)),
        models(Stretched(), [Potential(), Stretched()]),
        None,
    )
    assert set(found) == {"member-1"}
    assert caplog.text.count("its minimum has other bonds than the start") == 2
    assert math.isnan(HarmonicCheck(found).shift)


def test_a_bent_minimum_is_not_compared_with_a_linear_one(tmp_path, caplog):
    start = structure(seed=4)
    of_linear = Lines(np.zeros(4), np.zeros(4), np.zeros(0), start.positions)
    given = models(Potential(), [Potential()])
    found = model_lines(stage_in(tmp_path), 0, BondGraph.of(start), given, of_linear)
    assert found == {}
    assert caplog.text.count("its minimum is bent and others linear, or the reverse") == 2
    assert math.isnan(HarmonicCheck(found, of_linear).shift)


def test_the_shift_is_that_of_the_mean_potential_from_the_engine(tmp_path):
    stage, bonds = stage_in(tmp_path), BondGraph.of(structure(seed=4))
    found = model_lines(stage, 0, bonds, models(Potential(), [Potential()]), None)
    mean = found["mean"]
    moved = Lines(mean.wavenumber + np.array([3.0, -7.0, 5.0]), *list(vars(mean).values())[1:])
    assert HarmonicCheck(found, moved).shift == pytest.approx(7.0)
    assert (stage.path / "harmonic-0.json").exists()
    again = model_lines(stage, 0, bonds, models(Stretched(), []), None)  # it is only read
    assert again["mean"].wavenumber == pytest.approx(mean.wavenumber)


class Recording(Potential):
    """Remembers where it was first asked."""

    first = None

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if self.first is None:
            self.first = atoms.positions.copy()


def test_a_periodic_system_has_lines_too_and_members_begin_at_the_minimum_of_the_mean(tmp_path):
    member, start = Recording(), structure(n_molecules=2, pbc=True, seed=4)
    found = model_lines(
        stage_in(tmp_path), 0, BondGraph.of(start), models(Potential(), [member, Potential()]), None
    )
    assert set(found) == {"mean", "member-1", "member-2"}
    # without its translations; twice those of a molecule, whose rest moves freely
    wavenumber = found["mean"].wavenumber
    assert len(wavenumber) == 3 * 6 - 3
    one = BondGraph.of(structure(seed=4))
    alone = model_lines(stage_in(tmp_path / "alone"), 0, one, models(Potential(), []), None)["mean"]
    np.testing.assert_allclose(wavenumber[-6:], np.repeat(alone.wavenumber, 2), atol=0.5)
    np.testing.assert_allclose(member.first, found["mean"].positions, atol=1e-9)
    assert HarmonicCheck(found).shift == pytest.approx(0.0, abs=0.5)
