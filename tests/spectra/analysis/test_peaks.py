"""Bands that are found by themselves: all that are there, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.oscillators import langevin_velocities
from helpers.tiers import thorough_but

from aptnn_md.arrays import FloatArray
from aptnn_md.spectra import InfraredSpectrum, find_bands, infrared_spectrum, report
from aptnn_md.spectra.analysis import peaks as peaks_module
from aptnn_md.spectra.analysis.peaks import Peak, find_peaks, peak_ranges

T, SPACING = 300.0, 2.0
LINES = {300.0: (40.0, 1.0), 1030.0: (30.0, 0.9), 1340.0: (40.0, 0.5), 2900.0: (60.0, 1.0)}
LINES |= {3680.0: (25.0, 0.25)}
"""Position -> width (cm⁻¹) and charge: the weakest band has a sixteenth of the strongest one."""
SEEDS = 100


def velocities(n_frames: int, n_runs: int, seed: int = 0) -> FloatArray:
    """(n_lines, n_frames, n_runs, 3)."""
    return np.array(
        [
            langevin_velocities((n_frames, 3 * n_runs), SPACING, nu, width, T, seed=seed + int(nu))
            for nu, (width, _) in LINES.items()
        ]
    ).reshape(len(LINES), n_frames, n_runs, 3)


@pytest.fixture(scope="module")
def surrogates() -> FloatArray:
    """(seeds, frames, lines, 3) rates, 12 ps each."""
    charges = np.array([charge for _, charge in LINES.values()])
    return np.einsum("k,kfrx->rfkx", charges, velocities(6000, SEEDS))


def right(peaks: list[Peak]) -> bool:
    """Whether these are the lines, in order, and no others."""
    return len(peaks) == len(LINES) and all(
        abs(peak.position - nu) < 0.75 * width and peak.low < nu < peak.high
        for peak, (nu, (width, _)) in zip(peaks, LINES.items(), strict=True)
    )


@pytest.mark.thorough
@pytest.mark.parametrize("method", ["welch", "blackman-tukey"])
@pytest.mark.parametrize("background", [0.0, 1e-3])
def test_all_are_found_and_none_invented(
    surrogates: FloatArray, method: str, background: float
) -> None:
    """In at least 95 % of the seeds; with exact zeros between bands, and with white noise."""
    step = 1 if method == "welch" else 5
    rng = np.random.default_rng(1)
    found = []
    for run in surrogates[::step]:
        rates = run.sum(axis=1) + background * rng.normal(size=(len(run), 3))
        found.append(find_peaks(infrared_spectrum([rates], SPACING, T, method=method).blocks))
    assert np.mean([right(peaks) for peaks in found]) >= 0.95


@pytest.mark.parametrize(
    ("n_frames", "resolution"), thorough_but([(4000, 20.0), (4000, 60.0), (20_000, 20.0)], 60.0)
)
def test_noise_has_no_peaks(n_frames: int, resolution: float) -> None:
    empty = []
    for seed in range(60):
        rates = np.random.default_rng(seed).normal(size=(n_frames, 3))
        empty.append(
            not find_peaks(infrared_spectrum([rates], SPACING, T, None, resolution).blocks)
        )
    assert np.mean(empty) >= 0.95


def test_many_short_runs() -> None:
    """An ensemble of runs, each too short for blocks of its own."""
    charges = np.array([charge for _, charge in LINES.values()])
    runs = np.einsum("k,kfrx->rfx", charges, velocities(1500, 20 * 8, 5))
    found = [
        find_peaks(infrared_spectrum(list(runs[k : k + 8]), SPACING, T).blocks)
        for k in range(0, len(runs), 8)
    ]
    assert np.mean([right(peaks) for peaks in found]) >= 0.95


def test_sharp_lines_have_no_sidelobes() -> None:
    """A hundred undamped periods: what the window leaves beside lines is no band."""
    times = SPACING * np.arange(8000)
    runs = []
    for seed in range(6):
        phase, amplitude = np.random.default_rng(seed).normal(size=(2, 3))
        wave = np.cos(2e-3 * np.pi * times[:, None] * 60.0 + 9 * phase)
        runs.append(amplitude * wave + 1e-3 * np.cos(2e-3 * np.pi * times[:, None] * 30.0 + phase))
    for window in ("hann", "blackman-harris", "gaussian"):
        peaks = find_peaks(infrared_spectrum(runs, SPACING, T, window=window).blocks)
        assert [round(peak.position / 100) for peak in peaks] == [10, 20]


def test_one_event_is_no_band(surrogates: FloatArray, monkeypatch: pytest.MonkeyPatch) -> None:
    """A burst in one half of the run rises above the rest, but is not in the other half."""
    run = surrogates[0].sum(axis=1)
    times = SPACING * np.arange(len(run))
    burst = np.cos(2e-3 * np.pi * times * 60.0)[:, None] * (times > 0.6 * times[-1])[:, None]
    spectrum = infrared_spectrum([run + 0.5 * run.std() * burst], SPACING, T)
    near = np.abs(spectrum.wavenumber - 2000.0) < 40.0
    around = np.abs(spectrum.wavenumber - 2000.0) < 150.0
    assert spectrum.absorption[near].max() > 3 * np.median(spectrum.absorption[around])

    def near_burst() -> int:
        return sum(abs(peak.position - 2000.0) < 50.0 for peak in find_peaks(spectrum.blocks, 2.0))

    assert near_burst() == 0
    monkeypatch.setattr(peaks_module, "_MIN_BLOCKS", 1000)
    assert near_burst() == 1


def test_names_and_owners(surrogates: FloatArray) -> None:
    """The group that contributes most, cross terms counted by halves."""
    low, high = surrogates[0][:, :2].sum(axis=1), surrogates[0][:, 2:].sum(axis=1)
    rates = np.stack([low + 0.3 * high, 0.7 * high], axis=1)
    labels = ("libration", "vibration")
    spectrum = infrared_spectrum([rates], SPACING, T, group_labels=labels)
    ranges = peak_ranges(spectrum.blocks, spectrum.parts)
    assert [name.split()[1] for name in ranges] == ["libration"] * 2 + ["vibration"] * 3
    assert abs(float(list(ranges)[1].split()[0]) - 1030.0) < 25.0
    bare = peak_ranges(spectrum.blocks)
    assert [name.split() for name in bare] == [[name.split()[0]] for name in ranges]
    for band in find_bands(spectrum, ranges):
        assert not band.at_edge
        assert band.integral > 3 * band.integral_error


def test_bands_of_a_molecule_need_not_be_named(surrogates: FloatArray) -> None:
    """They are the default without a volume only, and hold nearly all of the absorption."""
    run = surrogates[0].sum(axis=1)
    alone, liquid = (infrared_spectrum([run], SPACING, T, volume) for volume in (None, 1000.0))
    text = "\n".join(report(alone))
    for line in find_peaks(alone.blocks):
        assert f"\n{line.position:.0f}, {line.low:.0f}-{line.high:.0f} cm⁻¹" in text
    assert "band of" not in "\n".join(report(liquid))
    assert "band of" not in "\n".join(report(alone, ranges={}))
    inside = sum(band.integral for band in find_bands(alone, peak_ranges(alone.blocks)))
    assert 0.95 * alone.sum_rule.found < inside <= alone.sum_rule.found


def flat() -> InfraredSpectrum:
    rates = np.random.default_rng(3).normal(size=(4000, 3))
    return infrared_spectrum([rates], SPACING, T)


def test_nothing_found_is_said() -> None:
    assert report(flat())[-1].startswith("no peak rises 5 standard errors above")
