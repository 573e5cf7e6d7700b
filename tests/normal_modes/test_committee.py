"""Errors of intensities by the spread of a committee, against closed forms."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from helpers.fluoromethanol import fluoromethanol

from aptnn_md.normal_modes import (
    InfraredModes,
    NormalModes,
    RamanModes,
    infrared_modes,
    normal_modes,
    raman_modes,
    report_modes,
    write_modes,
)
from aptnn_md.normal_modes.committee import error_of_mean, widened

FACTORS = np.array([0.8, 1.0, 1.3])


def molecule() -> tuple[Atoms, NormalModes, np.ndarray, np.ndarray]:
    """Fluoromethanol with its APTs, and PGTs that are anything."""
    atoms, hessian, apt, _ = fluoromethanol()
    pgt = np.random.default_rng(1).normal(size=(len(atoms), 3, 3, 3))
    pgt = pgt + pgt.swapaxes(1, 2)
    return atoms, normal_modes(hessian, atoms.get_masses(), atoms.positions), apt, pgt


def errors(infrared: InfraredModes, raman: RamanModes) -> tuple[np.ndarray, np.ndarray]:
    assert infrared.model_error is not None
    assert raman.model_error is not None
    return infrared.model_error, raman.model_error


def test_members_that_differ_in_size() -> None:
    """Intensities and activities are quadratic: of k times the tensors, k² times as large."""
    _, modes, apt, pgt = molecule()
    members, gradients = np.multiply.outer(FACTORS, apt), np.multiply.outer(FACTORS, pgt)
    infrared = infrared_modes(modes, members.mean(axis=0), members=members)
    raman = raman_modes(modes, gradients.mean(axis=0), gradients)
    mean = FACTORS.mean()
    relative = np.sqrt(((FACTORS**2 / mean**2 - 1.0) ** 2).sum() / 2.0)
    of_infrared, of_raman = errors(infrared, raman)
    np.testing.assert_allclose(of_infrared, relative * infrared.intensity, rtol=1e-10)
    np.testing.assert_allclose(of_raman, relative * raman.activity, rtol=1e-10)


def test_small_deviations_are_propagated_linearly() -> None:
    """The error of |D|² is 2 |D·δ| for one direction of deviation, times the factor."""
    _, modes, apt, _ = molecule()
    direction = 1e-6 * np.random.default_rng(3).normal(size=apt.shape)
    members = apt + np.multiply.outer(np.array([-1.0, 0.0, 1.0]), direction)
    infrared = infrared_modes(modes, apt, members=widened(members, 2.5))
    derivative, change = modes.derivative(apt), modes.derivative(direction)
    per_square = infrared.intensity / (derivative**2).sum(axis=1)
    expected = 2.5 * 2.0 * abs((derivative * change).sum(axis=1)) * per_square
    assert infrared.model_error is not None
    np.testing.assert_allclose(infrared.model_error, expected, rtol=1e-3, atol=1e-9)


def test_a_line_that_vanishes_on_the_average_has_an_error() -> None:
    _, modes, apt, _ = molecule()
    members = np.multiply.outer(np.array([-1.0, 1.0]), apt)
    infrared = infrared_modes(modes, members.mean(axis=0), members=members)
    single = infrared_modes(modes, apt).intensity
    assert infrared.intensity.max() == 0.0
    np.testing.assert_allclose(infrared.model_error, np.sqrt(2.0) * single, rtol=1e-12)


def test_error_of_normally_distributed_members() -> None:
    """Of many members: the standard deviation about the value of the mean."""
    values = np.random.default_rng(2).normal(3.0, 0.2, size=(4000, 5))
    np.testing.assert_allclose(error_of_mean(np.full(5, 3.0), values), 0.2, rtol=0.05)


def test_a_single_network_gives_no_error() -> None:
    _, modes, apt, pgt = molecule()
    assert infrared_modes(modes, apt, members=apt[None]).model_error is None
    assert infrared_modes(modes, apt).model_error is None
    assert raman_modes(modes, pgt, pgt[None]).model_error is None


def test_tables_show_the_errors(tmp_path: Path) -> None:
    atoms, modes, apt, pgt = molecule()
    members, gradients = np.multiply.outer(FACTORS, apt), np.multiply.outer(FACTORS, pgt)
    infrared = infrared_modes(modes, apt, members=members)
    raman = raman_modes(modes, pgt, gradients)
    of_infrared, of_raman = errors(infrared, raman)
    head, _, first, *_ = report_modes(infrared, raman)
    assert head == "mode   wavenumber   intensity   ± model   Raman act.   depol.    ± model"
    numbers = [float(word) for word in first.split()]
    assert numbers[3] == pytest.approx(of_infrared[0], abs=1e-3)
    assert numbers[6] == pytest.approx(of_raman[0], abs=1e-4)
    write_modes(tmp_path / "m.csv", infrared, atoms, raman=raman)
    table = np.loadtxt(tmp_path / "m.csv", delimiter=",")
    np.testing.assert_allclose(table[:, -2:], np.stack([of_infrared, of_raman], axis=1), rtol=1e-8)
    write_modes(tmp_path / "m.json", infrared, atoms, raman=raman)
    facts = json.loads((tmp_path / "m.json").read_text())
    np.testing.assert_allclose(facts["intensity_model_error"], of_infrared)
    np.testing.assert_allclose(facts["raman_activity_model_error"], of_raman)
    write_modes(tmp_path / "s.json", infrared_modes(modes, apt), atoms)
    assert json.loads((tmp_path / "s.json").read_text())["intensity_model_error"] is None
