"""ȧ streamed from ASE beside Ṁ: physics, groups, restart, committees, one evaluation."""

from __future__ import annotations

import helpers.toy_molecules as toy
import numpy as np
import pytest
from ase import units
from ase.md.verlet import VelocityVerlet
from helpers import toy_field
from helpers.observed_runs import stream_run
from helpers.toy_tensors import Both, BothCommittee
from test_md import settings, start

from aptnn_md.atoms.partition import parse_groups
from aptnn_md.atoms.rates import polarizability_rate
from aptnn_md.atoms.snapshot import Snapshot
from aptnn_md.engines.ase.calculator import APTCalculator
from aptnn_md.engines.ase.md import run_md
from aptnn_md.engines.ase.observer import StreamObserver
from aptnn_md.errors import InputError, RunError
from aptnn_md.stream import StreamReader
from aptnn_md.tensors import to_voigt


def arrays_of(path):
    reader = StreamReader(path)
    return {name: reader.read(name) for name in reader.arrays}


def toys(n_molecules=2, **options):
    atoms = toy.structure(n_molecules, **options)
    atoms.calc = toy.Potential()
    return atoms


@pytest.mark.parametrize("swapped", [False, True])
def test_it_is_the_derivative_of_the_polarizability_along_the_run(tmp_path, swapped):
    """Central differences of a(t), with an error of second order; not with indices swapped."""

    class Swapped(Both):
        def tensors(self, structures):
            return [
                each | {"pgt": each["pgt"].transpose(0, 1, 4, 3, 2)}
                for each in super().tensors(structures)
            ]

    errors = []
    for dt in (0.2, 0.1, 0.05):
        atoms = toys(3, temperature=400.0, seed=5)
        model = Swapped() if swapped else Both()
        reader, positions = stream_run(tmp_path / f"{dt}", atoms, dt, round(10 / dt), model)
        alpha = to_voigt(np.array([toy_field.polarizability(p) for p in positions]))
        central = (alpha[2:] - alpha[:-2]) / (2 * dt)
        rate = reader.polarizability_rate()[1:-1, 0]
        errors.append(np.abs(rate - central).max() / np.abs(central).max())
    if swapped:
        assert min(errors) > 0.2
    else:
        assert errors[-1] < 1e-3
        np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 4.0, rtol=0.1)


@pytest.mark.parametrize("groups", ["molecule", "element+motion", "motion-each-step"])
def test_groups_and_motions(tmp_path, groups):
    atoms = toys(4, pbc=True)
    reader, _ = stream_run(tmp_path / "s", atoms, 0.5, 8, Both(), stride=2, groups=groups)
    velocities, snapshot = atoms.get_velocities() * units.fs, Snapshot.of(atoms)
    pgt = toy_field.gradients(atoms.positions)
    parsed = parse_groups(groups, atoms)
    expected = polarizability_rate(pgt, velocities, parsed, snapshot)
    found = reader.polarizability_rate()
    assert found.shape == (5, len(parsed), 6)
    np.testing.assert_allclose(found[-1], expected, rtol=1e-11, atol=1e-14)
    total = to_voigt(np.einsum("nabc,nc->ab", pgt, velocities))
    np.testing.assert_allclose(found[-1].sum(0), total, rtol=1e-11, atol=1e-13)


def test_the_dipole_beside_it_is_that_of_a_run_without_it(tmp_path):
    alone, _ = stream_run(tmp_path / "a", toys(), 0.5, 12, toy.Tensors(), groups="element")
    model = Both()
    both, _ = stream_run(tmp_path / "b", toys(), 0.5, 12, model, groups="element")
    assert model.n_calls == 13
    for name in alone.arrays:
        np.testing.assert_array_equal(both.read(name), alone.read(name))
    assert set(both.arrays) - set(alone.arrays) == {"polarizability_rate/bead"}
    assert both.header.model == "toy-both"


def test_calculator_gives_both_from_one_evaluation(tmp_path):
    atoms = toys()
    model = Both()
    field = (0.1, 0.0, 0.2)
    atoms.calc = APTCalculator(model, toy.Potential(), efield=field)
    reader, positions = stream_run(tmp_path / "s", atoms, 0.5, 10, None)
    assert model.n_calls == 11
    velocities = atoms.get_velocities() * units.fs
    np.testing.assert_allclose(
        reader.polarizability_rate()[-1],
        polarizability_rate(toy_field.gradients(positions[-1]), velocities),
        rtol=1e-12,
    )
    pgt = atoms.calc.get_property("polarizability_gradients", atoms)
    np.testing.assert_array_equal(pgt, toy_field.gradients(atoms.positions))
    apt = atoms.calc.get_property("born_effective_charges", atoms)
    np.testing.assert_array_equal(apt, toy.polar_tensors(atoms.positions))
    assert model.n_calls == 11
    assert "polarizability_gradients" not in atoms.calc.export_properties()
    assert "polarizability_gradients_std" not in atoms.calc.implemented_properties


def test_any_calculator_with_both_will_do(tmp_path):
    class Polar(toy.Potential):
        implemented_properties = (
            *toy.Potential.implemented_properties,
            "born_effective_charges",
            "polarizability_gradients",
        )

        def calculate(self, *arguments, **keywords):
            super().calculate(*arguments, **keywords)
            self.results["born_effective_charges"] = toy.polar_tensors(self.atoms.positions)
            self.results["polarizability_gradients"] = toy_field.gradients(self.atoms.positions)

    atoms = toy.structure()
    atoms.calc = Polar()
    found, _ = stream_run(tmp_path / "s", atoms, 0.5, 6, None)
    expected, _ = stream_run(tmp_path / "t", toys(1), 0.5, 6, Both())
    np.testing.assert_array_equal(found.polarizability_rate(), expected.polarizability_rate())


@pytest.mark.parametrize("in_calculator", [False, True])
def test_committee_deviation_is_that_of_the_rate(tmp_path, in_calculator):
    atoms, model = toys(2), BothCommittee()
    if in_calculator:
        atoms.calc = APTCalculator(model, toy.Potential())
    groups = parse_groups("element+motion", atoms)
    options = {"groups": groups}
    reader, _ = stream_run(
        tmp_path / "s", atoms, 0.5, 4, None if in_calculator else model, **options
    )
    single, _ = stream_run(tmp_path / "t", toys(2), 0.5, 4, Both(), **options)
    factors = BothCommittee.pgt_factors
    rates, scale = single.polarizability_rate(), np.abs(single.polarizability_rate()).max()
    np.testing.assert_allclose(
        reader.polarizability_rate(), factors.mean() * rates, atol=1e-13 * scale
    )
    np.testing.assert_allclose(
        reader.read("polarizability_rate_std"),
        factors.std(ddof=1) * np.abs(rates),
        atol=1e-13 * scale,
    )
    dipole = np.abs(single.dipole_rate()) * BothCommittee.factors.std(ddof=1)
    np.testing.assert_allclose(reader.read("dipole_rate_std"), dipole, rtol=1e-9, atol=1e-15)
    if in_calculator:
        std = atoms.calc.get_property("polarizability_gradients_std", atoms)
        expected = np.abs(toy_field.gradients(atoms.positions)) * factors.std(ddof=1)
        np.testing.assert_allclose(std, expected, rtol=1e-10, atol=1e-14)


def test_restart_from_an_older_checkpoint_replaces_frames(tmp_path):
    """A killed run: the stream is ahead of the checkpoint; no duplicate, no gap, the same bits."""
    run_md(start(), tmp_path / "whole", settings(40), model=Both(), groups="element")
    options = {"checkpoint": tmp_path / "c", "model": Both(), "groups": "element"}
    run_md(start(), tmp_path / "parts", settings(14), **options)
    older = (tmp_path / "c").read_bytes()
    run_md(start(), tmp_path / "parts", settings(30), restart=True, **options)
    (tmp_path / "c").write_bytes(older)
    run_md(start(), tmp_path / "parts", settings(40), restart=True, **options)
    expected, found = arrays_of(tmp_path / "whole"), arrays_of(tmp_path / "parts")
    assert "polarizability_rate/bead" in expected
    assert expected.keys() == found.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
        assert len(values) == len(expected["step"])


def test_run_goes_on_only_with_what_it_began_with(tmp_path):
    options = {"checkpoint": tmp_path / "c", "groups": "element"}
    model = Both()
    model.name = "toy"  # as the model of APTs alone, so that headers agree
    run_md(start(), tmp_path / "s", settings(8), model=model, **options)
    with pytest.raises(InputError, match=r"arrays: found .*, expected .*polarizability_rate/bead"):
        run_md(start(), tmp_path / "s", settings(16), model=toy.Tensors(), restart=True, **options)


def test_model_without_apts_is_refused(tmp_path):
    class Gradients(Both):
        targets = ("pgt",)
        name = "only-gradients"

    for make in (
        lambda: StreamObserver(VelocityVerlet(toys(), 1.0), tmp_path / "s", Gradients()),
        lambda: APTCalculator(Gradients()),
    ):
        with pytest.raises(InputError, match="only-gradients: targets: found pgt, expected apt"):
            make()
    assert not (tmp_path / "s").exists()


def test_other_shapes_are_refused(tmp_path):
    class Flat(Both):
        def tensors(self, structures):
            return [
                each | {"pgt": each["pgt"].reshape(1, -1, 27)}
                for each in super().tensors(structures)
            ]

    with pytest.raises((InputError, RunError), match=r"PGT model: shape: found \(6, 27\)"):
        stream_run(tmp_path / "s", toys(), 0.5, 2, Flat())
