"""What is said of a run at its end: mean temperature with its error, and alarms."""

from __future__ import annotations

import helpers.toy_molecules as toy
import numpy as np
import pytest

from aptnn_md.engines.ase.calculator import APTCalculator
from aptnn_md.engines.ase.md import run_md
from aptnn_md.engines.ase.settings import MDSettings
from aptnn_md.engines.ase.summary import MDSummary, judged, mean_temperature
from aptnn_md.spectra.analysis.temperatures import alarms_of_runs
from aptnn_md.spectra.sources.stream_run import StreamRun
from aptnn_md.stream import StreamHeader, StreamWriter
from aptnn_md.stream.ensemble import Ensemble, complete_runs, run_path
from aptnn_md.units import BOLTZMANN_EV_PER_K

N_FRAMES = 50


def write(path, kelvin):
    with StreamWriter(path, StreamHeader(timestep=0.5)) as writer:
        for step, value in enumerate(kelvin):
            rate = {"bead": np.zeros((1, 3))}
            writer.append(step, 0.5 * step, rate, temperature=np.asarray(float(value)))


def ensemble(path, means):
    path.mkdir()
    Ensemble(max(1, len(means)), N_FRAMES).write(path)
    for number, mean in enumerate(means, 1):
        write(run_path(path, number), mean + np.tile([-40.0, 40.0], N_FRAMES // 2))


def test_mean_and_error_of_independent_runs(tmp_path):
    means = np.random.default_rng(0).normal(300.0, 20.0, 12)
    ensemble(tmp_path / "runs", means)
    mean, error = mean_temperature(tmp_path / "runs")
    assert mean == pytest.approx(means.mean())
    assert error == pytest.approx(means.std(ddof=1) / np.sqrt(12.0), rel=0.3)


def test_mean_and_error_of_a_single_run(tmp_path):
    kelvin = np.random.default_rng(1).normal(300.0, 20.0, 6400)
    write(tmp_path / "s", kelvin)
    mean, error = mean_temperature(tmp_path / "s")
    assert mean == pytest.approx(kelvin.mean())
    # blocks that slow motion might correlate have an error that is a little larger
    assert 0.9 < error / (20.0 / np.sqrt(6400.0)) < 1.6
    write(tmp_path / "one", [300.0])
    mean, error = mean_temperature(tmp_path / "one")
    assert (mean, np.isnan(error)) == (300.0, True)
    ensemble(tmp_path / "none yet", [])
    assert np.isnan(mean_temperature(tmp_path / "none yet")).all()


@pytest.mark.thorough
def test_runs_and_their_spectra_are_judged_alike(tmp_path, caplog):
    """The same mean, error and bound."""
    rng, verdicts = np.random.default_rng(2), []
    for case in range(40):
        n_runs = int(rng.integers(1, 10))
        means = rng.normal(300.0 * (1.0 + rng.uniform(0.0, 0.3)), 40.0, n_runs)
        path = tmp_path / f"{case}"
        ensemble(path, means)
        caplog.clear()
        judged(path, MDSettings(1.0, thermostat="bussi"), MDSummary(0, 10))
        runs = [StreamRun(run) for run in complete_runs(path)]
        for run in runs:
            for _ in run.pieces("step"):
                pass
        alarms = {alarm.name for alarm in alarms_of_runs(runs, 300.0)}
        assert ("temperature" in alarms) == ("WRONG TEMPERATURE" in caplog.text)
        verdicts.append("temperature" in alarms)
    assert 5 < sum(verdicts) < 35


@pytest.mark.parametrize(
    ("means", "thermostat", "warned"),
    [
        ([231.0, 239.0, 228.0, 242.0], "bussi", True),
        ([281.0, 279.0, 278.0, 282.0], "bussi", False),  # by less than 10 %
        ([150.0, 450.0, 160.0, 200.0], "bussi", False),  # within three errors
        ([231.0, 239.0, 228.0, 242.0], "none", False),  # whose temperature nobody has set
    ],
)
def test_a_wrong_mean_temperature_is_told_loudly(tmp_path, caplog, means, thermostat, warned):
    ensemble(tmp_path / "runs", means)
    settings = MDSettings(1.0, thermostat=thermostat)
    found = judged(tmp_path / "runs", settings, MDSummary(0, 10))
    assert found.mean_temperature == pytest.approx(np.mean(means))
    assert ("WRONG TEMPERATURE: the mean is 235 ± 2 K where 300 K" in caplog.text) == warned


@pytest.mark.parametrize(
    ("drift", "settings", "drifts", "warned"),
    [
        (3.0, {"picoseconds": 2.0}, (), True),  # 6 of 78 meV
        (1.0, {"picoseconds": 2.0}, (), False),
        (-3.0, {"picoseconds": 2.0}, (-2.9, -3.1), True),
        (3.0, {"picoseconds": 2.0}, (13.0, -7.0), False),  # may be chance
        (3.0, {"picoseconds": 200.0, "thermostat": "bussi"}, (), False),  # taken out in 1 ps
        (3.0, {"picoseconds": 200.0, "thermostat": "bussi", "tau": 2000.0}, (), True),
        (3.0, {"picoseconds": 16.0, "n_runs": 8}, (), True),
        (3.0, {"picoseconds": 8.0, "n_runs": 8}, (), False),
        (float("nan"), {"picoseconds": 200.0}, (), False),
    ],
)
def test_a_drift_that_matters_is_told(tmp_path, caplog, drift, settings, drifts, warned):
    thermal = 3000.0 * BOLTZMANN_EV_PER_K * 300.0
    assert thermal == pytest.approx(77.6, abs=0.1)
    ensemble(tmp_path / "none", [])
    settings = MDSettings(**({"thermostat": "none"} | settings))
    judged(tmp_path / "none", settings, MDSummary(0, 10, drift=drift), drifts)
    assert ("the conserved energy drifts by" in caplog.text) == warned


def test_summary_of_a_real_run(tmp_path):
    atoms = toy.structure(1, seed=3)
    atoms.calc = APTCalculator(toy.Tensors(), toy.Potential())
    summary = run_md(atoms, tmp_path / "s", MDSettings(0.1, thermostat="none"))
    found = summary.mean_temperature, summary.temperature_error
    assert found == mean_temperature(tmp_path / "s")
    assert summary.temperature_error > 0.0
