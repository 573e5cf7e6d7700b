"""The drift of the conserved energy: its number, its error, and who warns of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from aptnn_md.cli import main
from aptnn_md.spectra.analysis.energy_drift import drift_of_streams, measured_slope
from aptnn_md.spectra.estimation.running_means import RunningMeans
from aptnn_md.stream import StreamHeader, StreamWriter
from aptnn_md.stream.ensemble import Ensemble, run_path

N_ATOMS, N_FRAMES = 3, 4000  # 4 ps; 5 % of 3 k_B 300 K are 3.88 meV


def stream(
    path: Path, drift: float | None, n_frames: int = N_FRAMES, seed: int = 1, **header: float
) -> Path:
    """White noise, 1 fs apart; the energy drifts by ``drift`` meV per atom and ps."""
    rng = np.random.default_rng(seed)
    constants = StreamHeader(
        timestep=1.0,
        n_atoms=N_ATOMS,
        temperature=300.0,
        volume=1000.0,
        atom_numbers=(8, 1, 1),
        atom_masses=(16.0, 1.0, 1.0),
        atom_groups=(0, 0, 0),
        atom_labels=("all",),
        **header,  # type: ignore[arg-type]
    )
    with StreamWriter(path, constants, durable=False) as writer:
        for k in range(n_frames):
            energy = None
            if drift is not None:
                energy = -2000.0 * seed + 1e-6 * N_ATOMS * drift * k + 1e-3 * rng.normal()
            writer.append(
                k,
                float(k),
                {"bead": rng.normal(size=(1, 3))},
                polarizability_rates={"bead": rng.normal(size=(1, 6))},
                velocity=1e-3 * rng.normal(size=(N_ATOMS, 3)),
                temperature=300.0,
                conserved_energy=energy,
            )
    return path


def test_a_slope_is_that_of_least_squares() -> None:
    """Of three runs with energies of their own, of different lengths."""
    rng, series = np.random.default_rng(0), []
    numerator = denominator = 0.0
    for n, start in ((300, 5.0), (1000, -70.0), (777, 3.0)):
        times = 0.5 * np.arange(n)
        values = start + 0.02 * times + rng.normal(size=n)
        means = RunningMeans()
        for piece in np.array_split(np.stack([times, values], axis=1), 7):
            means.add(piece)
        series.append(means)
        slope = np.polyfit(times, values, 1)[0]
        spread = n * np.var(times)
        numerator, denominator = numerator + slope * spread, denominator + spread
    found = measured_slope(series)
    assert found is not None
    assert found.value == pytest.approx(numerator / denominator, abs=0.2 * found.standard_error)
    exact = 1.0 / np.sqrt(denominator)  # of white noise
    assert 0.7 < found.standard_error / exact < 2.0
    assert abs(found.value - 0.02) < 3.0 * found.standard_error


@pytest.mark.parametrize(("n_runs", "memory"), [(1, 0.0), (1, 0.98), (3, 0.98), (12, 0.0)])
def test_errors_hold_what_there_is(n_runs: int, memory: float) -> None:
    """Without a drift, of noise with and without a memory: 5 % at most are beyond two errors,
    and few beyond the three of the alarm."""
    rng, scores = np.random.default_rng(3), []
    for _ in range(100):
        series = []
        for _ in range(n_runs):
            noise = rng.normal(size=1500)
            for k in range(1, len(noise) if memory else 0):
                noise[k] += memory * noise[k - 1]
            means = RunningMeans()
            means.add(np.stack([np.arange(1500.0), noise], axis=1))
            series.append(means)
        found = measured_slope(series)
        assert found is not None
        scores.append(found.value / found.standard_error)
    assert np.mean(np.abs(scores) > 2.0) <= 0.12
    assert np.mean(np.abs(scores) > 3.0) <= 0.03
    assert np.std(scores) > 0.5  # nor are they far too large


def test_too_few_frames_have_no_drift(tmp_path: Path) -> None:
    assert drift_of_streams([stream(tmp_path / "two", 5.0, 2)]) is None
    assert drift_of_streams([stream(tmp_path / "three", 5.0, 3)]) is not None
    assert drift_of_streams([stream(tmp_path / "old", None, 100)]) is None


@pytest.mark.parametrize(
    ("drift", "header", "warned"),
    [
        (3.0, {}, True),  # 12 of 77.6 meV in 4 ps
        (-3.0, {}, True),
        (0.5, {}, False),  # 2 meV
        (0.0, {}, False),
        (None, {}, False),
        (3.0, {"thermostat_time": 1000.0}, False),  # 3 meV, then it is taken out
        (5.0, {"thermostat_time": 1000.0}, True),
    ],
)
def test_spectra_and_info_tell_it(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    drift: float | None,
    header: dict[str, float],
    warned: bool,
) -> None:
    path = stream(tmp_path / "s", drift, **header)
    length = 1.0 if header else 4.0
    words = "the conserved energy drifts by"
    for kind in ("ir", "raman", "vdos"):
        caplog.clear()
        table = tmp_path / f"{kind}.csv"
        main(["spectrum", kind, str(path), "--resolution", "60", "--out", str(table)])
        printed = capsys.readouterr().out
        assert (words in printed.splitlines()[1]) == warned
        assert (f"WARNING (energy drift): {words}" in table.read_text()) == warned
        assert ("energy drift: " in caplog.text) == warned
        if warned and drift:
            change = float(printed.split(f"{words} ")[1].split()[0])
            assert change == pytest.approx(abs(drift) * length, rel=0.1)
    main(["info", "--json", str(path)])
    facts = json.loads(capsys.readouterr().out)
    assert ("WARNING (energy drift)" in facts) == warned
    if drift is None:
        assert "drift of the conserved energy" not in facts
    else:
        value, sign, error = facts["drift of the conserved energy"].split()[:3]
        assert sign == "±"
        assert abs(float(value) - drift) < 3.5 * float(error)
        # of white noise of 1 meV: sqrt(12/n) / length, for 3 atoms
        assert 0.7 < float(error) / (np.sqrt(12 / N_FRAMES) / 4.0 / N_ATOMS) < 2.0


def test_runs_of_an_ensemble_have_one_drift(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each of them, of 0.4 ps, does not show it; ten together do, and their length counts once."""
    folder = tmp_path / "runs"
    folder.mkdir()
    Ensemble(10, 400).write(folder)
    for number in range(1, 11):
        stream(run_path(folder, number), 3.0, 400, seed=number)
    main(["info", "--json", str(folder)])
    facts = json.loads(capsys.readouterr().out)
    value, _, error = facts["drift of the conserved energy"].split()[:3]
    assert abs(float(value) - 3.0) < 3.0 * float(error) < 1.5
    assert "WARNING (energy drift)" not in facts  # 1.2 meV
