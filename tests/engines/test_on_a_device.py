"""Dynamics whose model and potential run on a device, against the processor's."""

from __future__ import annotations

import ase.io
import helpers.toy_molecules as toy
import numpy as np
import pytest
from helpers.observed_runs import settings
from helpers.systems import random_checkpoint

from aptnn_md.bundled import bundled_path
from aptnn_md.cli import main
from aptnn_md.engines.ase.calculator import APTCalculator
from aptnn_md.engines.ase.md import run_md
from aptnn_md.engines.client.evaluator import Evaluator
from aptnn_md.models import resident as residence
from aptnn_md.prediction.predictor import Predictor
from aptnn_md.stream import StreamReader


@pytest.fixture
def predictor_on(monkeypatch):
    """A predictor on a device, or the plain one."""

    def make(device, **options):
        with monkeypatch.context() as patch:
            if device is None:
                patch.setattr(residence, "RESIDENT", set())
            return Predictor(random_checkpoint(**options), device=device or "cpu")

    return make


def molecules(n):
    """Made of elements that the models know."""
    atoms = toy.structure(n, pbc=True)
    atoms.numbers[atoms.numbers == 17] = 11
    return atoms


def start(predictor):
    atoms = molecules(2)
    atoms.calc = APTCalculator(predictor, toy.Potential())
    return atoms


def test_a_run_moves_from_one_device_to_the_other(device, predictor_on, tmp_path):
    plain, there = predictor_on(None), predictor_on(device)
    whole = {"checkpoint": tmp_path / "whole.npz", "groups": "element"}
    run_md(start(plain), tmp_path / "whole", settings(60, "langevin"), **whole)
    parts = {"checkpoint": tmp_path / "parts.npz", "groups": "element", "restart": True}
    for n_steps, predictor in ((22, plain), (40, there), (60, plain)):
        run_md(start(predictor), tmp_path / "parts", settings(n_steps, "langevin"), **parts)
    expected, found = (StreamReader(tmp_path / name) for name in ("whole", "parts"))
    np.testing.assert_array_equal(found.step, expected.step)
    rates = expected.dipole_rate()
    size = float(np.abs(rates).max())
    assert size > 1e-3
    np.testing.assert_allclose(found.dipole_rate(), rates, rtol=0, atol=1e-5 * size)
    np.testing.assert_allclose(found.read("f_sum"), expected.read("f_sum"), rtol=1e-5)


def test_beads_of_a_path_integral_are_one_call(device, predictor_on, monkeypatch):
    template = molecules(3)
    cells = np.repeat(template.cell.array[None], 6, axis=0)
    moves = 0.05 * np.random.default_rng(0).normal(size=(6, len(template), 3))
    predictor = predictor_on(device, members=2)
    there = Evaluator(template, None, predictor)
    plain = Evaluator(template, None, predictor_on(None, members=2))
    calls = []
    evaluated = Predictor._evaluate_batch

    def counted(self, structures, first):
        calls.append((self, len(structures)))
        return evaluated(self, structures, first)

    monkeypatch.setattr(Predictor, "_evaluate_batch", counted)
    for _ in range(4):
        positions = template.positions + moves
        expected, found = (evaluator(cells, positions) for evaluator in (plain, there))
        assert found.tensors["apt"].shape == (6, 2, len(template), 3, 3)
        np.testing.assert_allclose(found.tensors["apt"], expected.tensors["apt"], rtol=0, atol=1e-5)
        moves *= -1.02
    assert [n for who, n in calls if who is predictor] == [6] * 4


@pytest.mark.slow
@pytest.mark.mace
def test_md_command(device, tmp_path):
    """Potential and committee on the device; a run that is resumed on the processor."""
    water = ase.io.read(bundled_path("water64.extxyz"))
    ase.io.write(tmp_path / "start.extxyz", water)
    command = ["md", str(tmp_path / "start.extxyz"), "--potential", "water-mace"]
    command += ["--model", "water-apt-committee,water-pgt", "--seed", "1", "--timestep", "0.5"]
    command += ["--stride", "2", "--thermostat", "bussi"]
    for name, parts in (("there", [(device, 4e-3)]), ("moved", [(device, 2e-3), ("cpu", 4e-3)])):
        for where, length in parts:
            options = ["--stream", str(tmp_path / name), "--device", where, "--restart"]
            assert main([*command, *options, "--ps", str(length)]) in (0, None)
    there, moved = (StreamReader(tmp_path / name) for name in ("there", "moved"))
    assert there.step.tolist() == moved.step.tolist() == [0, 2, 4, 6, 8]
    for rate in ("dipole_rate", "polarizability_rate"):
        values = there.read(f"{rate}/bead") if rate != "dipole_rate" else there.dipole_rate()
        others = moved.read(f"{rate}/bead") if rate != "dipole_rate" else moved.dipole_rate()
        np.testing.assert_allclose(others, values, rtol=0, atol=1e-3 * np.abs(values).max())
