"""Alarms: set off by runs that are wrong, and by few that are right."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from helpers.energy_exchange import Modes
from helpers.oscillators import langevin_velocities

from aptnn_md.arrays import FloatArray
from aptnn_md.spectra.analysis.alarms import (
    Measured,
    equipartition_alarm,
    error_alarm,
    error_alarms,
    f_sum_alarm,
    temperature_alarm,
)
from aptnn_md.spectra.analysis.temperatures import temperature_alarms
from aptnn_md.spectra.estimation.running_means import RunningMeans
from aptnn_md.spectra.infrared.spectrum import infrared_spectrum
from aptnn_md.units import LIGHT_SPEED_CM_PER_FS

T = 300.0
METHANOL = (0.0, 3.0, 12.0)
WATER = (189.0, 192.0, 192.0)


def series(values: FloatArray, pieces: int = 3) -> RunningMeans:
    means = RunningMeans()
    for piece in np.array_split(values, pieces):
        means.add(piece)
    return means


def kinetic(energies: FloatArray, freedom: tuple[float, ...]) -> FloatArray:
    """Columns of a stream: kinetic temperature and those of motions, from those of motions."""
    weights = np.array(freedom)
    return np.concatenate([(energies @ weights)[:, None] / weights.sum(), energies], axis=1)


def thermal(rng: np.random.Generator, freedom: tuple[float, ...], n: int, slow: int) -> FloatArray:
    """Temperatures of motions of a canonical run that forgets its energy within ``slow`` frames."""
    columns = []
    for f in freedom:
        at = np.linspace(0.0, n / slow, n)
        knots = rng.normal(size=(int(f), int(n / slow) + 2))
        below = at.astype(int)
        share = at - below
        x = knots[:, below] * np.sqrt(1 - share) + knots[:, below + 1] * np.sqrt(share)
        columns.append(T * (x**2).mean(axis=0) if f else np.zeros(n))
    return kinetic(np.stack(columns, axis=1), freedom)


def test_running_means_are_means() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(10_007, 2))
    for pieces in (1, 7, 5000):
        means, counts = series(values, pieces).blocks(40)
        assert len(counts) <= 40
        assert counts.sum() == len(values)
        edges = np.concatenate([[0], np.cumsum(counts)])
        expected = [values[a:b].mean(axis=0) for a, b in pairwise(edges)]
        np.testing.assert_allclose(means, expected, atol=1e-12)


def test_each_alarm_needs_a_deviation_that_matters_and_is_no_chance() -> None:
    assert f_sum_alarm(Measured(0.52, 0.029)) is not None
    assert f_sum_alarm(Measured(0.52, 0.2)) is None
    assert f_sum_alarm(Measured(0.97, 0.001)) is None
    assert temperature_alarm(Measured(243.0, 4.0), 300.0) is not None
    assert temperature_alarm(Measured(243.0, 30.0), 300.0) is None
    assert temperature_alarm(Measured(290.0, 1.0), 300.0) is None
    hot = [None, Measured(900.0, 50.0), Measured(-900.0, 50.0)]
    alarm = equipartition_alarm((0.0, 1000.0, 100.0), hot, 280.0)
    assert alarm is not None
    assert "libration 1000 K, vibration 100 K" in alarm.text
    assert "translation" not in alarm.text
    assert (
        equipartition_alarm((0.0, 310.0, 290.0), [None, Measured(20, 1), Measured(-20, 1)], 300.0)
        is None
    )
    assert error_alarm(3, 1, 2.0, 0.2) is not None
    assert error_alarm(3, 3, 2.0, 0.2) is None
    assert error_alarm(60, 1, 4.0, 0.999) is not None
    assert error_alarm(60, 1, 20.0, 0.999) is None


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("freedom", "n_runs", "slow"),
    [(METHANOL, 24, 1000), (METHANOL, 1, 40), (WATER, 1, 50), (WATER, 1, 5), (METHANOL, 8, 200)],
)
def test_few_false_alarms_about_temperatures(
    freedom: tuple[float, ...], n_runs: int, slow: int
) -> None:
    """Runs of 1000 frames; in 24 of a molecule alone the energy of each motion stays as it is."""
    rng = np.random.default_rng(7)
    said = 0
    for _ in range(200):
        runs = [series(thermal(rng, freedom, 1000, slow)) for _ in range(n_runs)]
        said += bool(temperature_alarms(runs, freedom, T))
    assert said <= 4


def test_a_thermostat_that_pumps_rotation() -> None:
    """A molecule whose rotation has taken the energy of its vibrations, as in one run of methanol
    with a global thermostat started at a minimum."""
    rng = np.random.default_rng(8)
    right = thermal(rng, METHANOL, 4000, 100)
    found = temperature_alarms([series(right)], METHANOL, T)
    assert not found
    wrong = kinetic(right[:, 1:] * [1.0, 4.0, 0.2], METHANOL)
    names = [alarm.name for alarm in temperature_alarms([series(wrong)], METHANOL, T)]
    assert "equipartition" in names
    cold = kinetic(right[:, 1:] * 0.5, METHANOL)
    assert [a.name for a in temperature_alarms([series(cold)], METHANOL, T)] == ["temperature"]
    assert [a.name for a in temperature_alarms([series(cold[:, :1])], (), T)] == ["temperature"]


MODES = Modes((500.0, 1050.0, 2900.0, 2950.0), (1.0, 1.0, 0.5, 0.5), 4000.0, 300.0)


@pytest.mark.thorough
def test_few_false_alarms_about_errors() -> None:
    rng = np.random.default_rng(9)
    fast = replace(MODES, exchange_time=400.0)
    said = {"white": 0, "exchange": 0, "runs": 0}
    for _ in range(100):
        runs = {
            "white": rng.normal(size=(1, 8000, 3)),
            "exchange": fast.rates(8000, 4.0, rng),
            "runs": MODES.rates(500, 4.0, rng, n_runs=8),
        }
        for name, each in runs.items():
            said[name] += bool(infrared_spectrum(list(each), 4.0, T, 1e3, 40.0).alarms)
    assert max(said.values()) <= 2, said


def test_one_run_of_a_slow_system() -> None:
    """Modes whose energies change once in a run."""
    rng = np.random.default_rng(10)
    slow = replace(MODES, exchange_time=30_000.0)
    said = [
        error_alarms(infrared_spectrum(list(slow.rates(8000, 4.0, rng)), 4.0, T, 1e3, 40.0).blocks)
        for _ in range(30)
    ]
    share = np.mean([bool(alarms) for alarms in said])
    assert share > 0.3, share
    assert all("ensemble" in alarm.text for alarms in said for alarm in alarms)


def modes_of_a_molecule(n_runs: int, seed: int) -> list[np.ndarray]:
    """Dipole rates of three modes whose energies are constants of each run."""
    rng, times = np.random.default_rng(seed), 2.0 * np.arange(20_000)[:, None]
    runs = []
    for _ in range(n_runs):
        rate = np.zeros((len(times), 3))
        for wavenumber in (1600.0, 3650.0, 3750.0):
            phase = 2.0 * np.pi * (LIGHT_SPEED_CM_PER_FS * wavenumber * times + rng.random())
            amplitude = np.sqrt(rng.exponential()) * rng.normal(size=3)
            rate += 1e-3 * amplitude * np.cos(phase)
        runs.append(rate)
    return runs


@pytest.mark.parametrize("resolution", [20.0, 60.0])
def test_one_run_of_a_molecule_by_itself_does_not_know_its_error(resolution: float) -> None:
    (run,) = modes_of_a_molecule(1, 3)
    spectrum = infrared_spectrum([run], 2.0, 300.0, resolution=resolution)
    (alarm,) = spectrum.alarms
    assert alarm.name == "one steady run"
    assert "not how much another one would differ" in alarm.text
    # noise that a thermostat makes, of broad lines and of narrow ones, sets it off nowhere
    for seed, width in enumerate((5.0, 40.0, 300.0)):
        rates = langevin_velocities((20_000, 3), 2.0, 1600.0, width, seed=seed)
        found = infrared_spectrum([rates], 2.0, 300.0, resolution=resolution).alarms
        assert "one steady run" not in {alarm.name for alarm in found}
    many = infrared_spectrum(modes_of_a_molecule(8, 4), 2.0, 300.0, resolution=resolution)
    assert not many.alarms
