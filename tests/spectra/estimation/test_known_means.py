"""Spectra of molecules regressed on mode energies whose mean is known: right, and known better."""

from __future__ import annotations

import numpy as np
import pytest

from aptnn_md.spectra import spectrum_of_streams
from aptnn_md.spectra.estimation.known_means import (
    n_usable,
    regressed,
    select_quantities,
    with_known_means,
)
from aptnn_md.spectra.infrared.of_streams import InfraredStreams
from aptnn_md.spectra.infrared.spectrum import infrared_spectrum
from aptnn_md.spectra.options import InfraredOptions, RamanOptions
from aptnn_md.spectra.raman.of_streams import RamanStreams, raman_of_streams
from aptnn_md.spectra.sources.known_temperatures import KnownTemperatures
from aptnn_md.spectra.sources.stream_run import StreamRun
from aptnn_md.stream import StreamHeader, StreamReader, StreamWriter
from aptnn_md.stream.layout import StreamFrame

N_RUNS, N_FRAMES, SPACING = 24, 620, 2.0
WAVENUMBERS = (700.0, 1500.0, 3500.0)
STRENGTHS = (0.02, 0.01, 0.03)
PER_FS = 2.0 * np.pi * 2.99792458e-5


def energies_of_runs(rng: np.random.Generator, n_runs: int = N_RUNS) -> np.ndarray:
    """(n_runs, 3): of classical oscillators, in units of their mean."""
    return rng.exponential(size=(n_runs, 3))


def rates_of(
    energies: np.ndarray, rng: np.random.Generator, n_frames: int = N_FRAMES
) -> np.ndarray:
    """(n_frames, 3), each mode along an axis of its own, and noise."""
    time = SPACING * np.arange(n_frames)[:, None]
    phases = rng.uniform(0.0, 2.0 * np.pi, 3)
    modes = np.cos(PER_FS * np.array(WAVENUMBERS) * time + phases)
    noise = 1e-3 * rng.normal(size=(n_frames, 3))
    return np.array(STRENGTHS) * np.sqrt(energies) * modes + noise


def bands(blocks) -> np.ndarray:
    return np.array([blocks.integral(w - 150.0, w + 150.0) for w in WAVENUMBERS])


def spectrum(rates, **changes):
    return infrared_spectrum(rates, SPACING, 300.0, resolution=40.0, **changes)


def test_bands_are_right_and_their_errors_fall():
    rng = np.random.default_rng(1)
    truth = bands(spectrum([rates_of(np.ones(3), rng) for _ in range(N_RUNS)]).blocks)[:, 0]
    plain, better, within = [], [], []
    for _ in range(60):
        energies = energies_of_runs(rng)
        blocks = spectrum([rates_of(each, rng) for each in energies]).blocks
        # what is measured of the energies has some noise, too, and one quantity tells nothing
        known = energies - 1.0 + 0.03 * rng.normal(size=energies.shape)
        known = np.column_stack([known, rng.normal(size=N_RUNS)])
        found = bands(with_known_means(blocks, known))
        plain.append(bands(blocks)[:, 0] / truth - 1.0)
        better.append(found[:, 0] / truth - 1.0)
        within.append(np.abs(found[:, 0] - truth) < 2.0 * found[:, 1])
    rms = np.sqrt(np.mean(np.square(better), axis=0))
    assert (rms < 0.15 * np.sqrt(np.mean(np.square(plain), axis=0))).all()
    assert (np.abs(np.mean(better, axis=0)) < 0.01).all()
    # two errors, of 180 numbers
    assert 0.88 < np.mean(within) <= 1.0


def test_quantities_that_tell_nothing_leave_errors_as_they_are():
    rng = np.random.default_rng(2)
    ratios, within = [], []
    truth = bands(spectrum([rates_of(np.ones(3), rng) for _ in range(N_RUNS)]).blocks)[:, 0]
    for _ in range(40):
        energies = energies_of_runs(rng)
        blocks = spectrum([rates_of(each, rng) for each in energies]).blocks
        nothing = rng.normal(size=(N_RUNS, n_usable(np.ones(N_RUNS))))
        found = bands(with_known_means(blocks, nothing))
        ratios.append(found[:, 1] / bands(blocks)[:, 1])
        within.append(np.abs(found[:, 0] - truth) < 2.0 * found[:, 1])
    # five numbers were fitted to 24
    assert 1.0 < np.mean(ratios) < 1.8
    assert np.mean(within) > 0.88


def coverage(lengths: list[int], told: float, repeats: int, seed: int) -> float:
    """Share of integrals that are within two printed errors of the truth.

    Parameters
    ----------
    lengths : frames of each run
    told : part of the variance of the quantities that is the bands' own; the rest is something else
    """
    rng = np.random.default_rng(seed)
    truth = bands(spectrum([rates_of(np.ones(3), rng) for _ in range(48)]).blocks)[:, 0]
    n_runs, within = len(lengths), []
    for _ in range(repeats):
        energies = energies_of_runs(rng, n_runs)
        rates = [rates_of(e, rng, n) for e, n in zip(energies, lengths, strict=True)]
        others = rng.exponential(size=(n_runs, 10))
        others[:, :3] = told * energies + (1.0 - told) * others[:, :3]
        blocks, known = spectrum(rates).blocks, others - 1.0
        found = bands(with_known_means(blocks, known[:, select_quantities(blocks, known)]))
        within.append(np.abs(found[:, 0] - truth) < 2.0 * found[:, 1])
    return float(np.mean(within))


SHORT, LONG = N_FRAMES, 5 * N_FRAMES
LENGTHS = {
    "6 runs": [SHORT] * 6,
    "12 runs": [SHORT] * 12,
    "24 runs": [SHORT] * 24,
    "12 short and 12 three times as long": [SHORT] * 12 + [3 * SHORT] * 12,
    "18 short and 6 five times as long": [SHORT] * 18 + [LONG] * 6,
    "8 short and 4 five times as long": [SHORT] * 8 + [LONG] * 4,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LENGTHS)
def test_coverage(name: str) -> None:
    """Of runs of equal and unequal lengths, where the temperatures tell all, half or nothing."""
    found = [coverage(LENGTHS[name], told, 80, seed=k) for k, told in enumerate((1.0, 0.5, 0.0))]
    print(f"{name}: two errors hold the truth in {', '.join(f'{100 * x:.0f} %' for x in found)}")
    assert min(found) > 0.85


def test_what_tells_nothing_is_left_out() -> None:
    rng = np.random.default_rng(7)
    n_useless = []
    for _ in range(20):
        energies = energies_of_runs(rng)
        blocks = spectrum([rates_of(each, rng) for each in energies]).blocks
        useless = rng.exponential(size=(N_RUNS, 8))
        chosen = select_quantities(blocks, np.column_stack([useless, energies]) - 1.0)
        assert {8, 9, 10} <= set(chosen)
        n_useless.append(len(chosen) - 3)
    assert np.mean(n_useless) < 2.0  # of eight
    assert select_quantities(blocks, rng.exponential(size=(N_RUNS, 1))) in ([], [0])


def test_few_long_runs_among_many_short_ones_count_as_few() -> None:
    assert n_usable(np.ones(11)) == 0
    assert n_usable(np.ones(24)) == 5
    assert n_usable(np.array([10.0] * 12 + [1.0] * 20)) == 2
    assert n_usable(np.array([100.0] + [1.0] * 40)) == 0


def test_it_is_a_weight_for_each_run_with_which_all_known_means_are_right():
    rng = np.random.default_rng(3)
    energies = energies_of_runs(rng)
    blocks = spectrum([rates_of(each, rng) for each in energies]).blocks
    known = energies[:, :2] - 1.0
    centred = known - known.mean(axis=0)
    weights = 1.0 / N_RUNS - centred @ np.linalg.solve(centred.T @ centred, known.mean(axis=0))
    assert weights.sum() == pytest.approx(1.0)
    assert weights @ known == pytest.approx(0.0, abs=1e-12)
    of_runs = np.zeros((N_RUNS, len(blocks.weights)))
    of_runs[blocks.runs, np.arange(len(blocks.weights))] = blocks.weights
    means = of_runs @ blocks.values / of_runs.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        with_known_means(blocks, known).mean, weights @ means, rtol=1e-9, atol=1e-12
    )
    (same,) = regressed({"all": blocks}, known).values()
    np.testing.assert_array_equal(same.mean, with_known_means(blocks, known).mean)


def test_parts_still_add_up():
    rng = np.random.default_rng(4)
    energies = energies_of_runs(rng)
    split = [np.stack([r, 0.3 * r[::-1]], axis=1) for r in (rates_of(e, rng) for e in energies)]
    found = spectrum(split, group_labels=("a", "b"))
    adjusted = found.mapped(lambda blocks: with_known_means(blocks, energies - 1.0))
    total = sum(part.mean for part in adjusted.parts.values())
    np.testing.assert_allclose(total, adjusted.absorption, atol=1e-9 * adjusted.absorption.max())


def streams(path, rng, n_runs: int = N_RUNS, **changes) -> list:
    """Runs with temperatures of two kinds of bonds; the bend at 1500 cm⁻¹ is that of no bond."""
    paths = []
    for number, energies in enumerate(energies_of_runs(rng, n_runs)):
        header = {"temperature": 300.0, "coordinates": ("C-O", "H-O"), **changes}
        own = StreamHeader(timestep=SPACING, n_atoms=6, **header)
        paths.append(path / f"run-{number}.zarr")
        with StreamWriter(paths[-1], own) as writer:
            for step, rate in enumerate(rates_of(energies, rng)):
                arrays = {"dipole_rate/bead": rate[None], "temperature": 300.0}
                arrays["polarizability_rate/bead"] = np.tile(rate, 2)[None]
                # a thermal velocity is squared, so single frames scatter
                kelvin = 600.0 * energies[[0, 2]] * rng.uniform(size=2)
                writer.append_frame(
                    StreamFrame(step, SPACING * step, arrays | {"coordinate_temperature": kelvin})
                )
    return paths


@pytest.mark.parametrize("kind", [spectrum_of_streams, raman_of_streams])
def test_streams_with_temperatures_of_bonds_are_regressed(tmp_path, kind):
    paths = streams(tmp_path, np.random.default_rng(5))
    found = kind(paths, 40.0)
    assert any("runs are weighed so that H-O, C-O have" in note for note in found.notes)
    (only,) = [n for n in kind(paths, 40.0, regress=["C-O"]).notes if "weighed" in n]
    assert "so that C-O have" in only
    (low, bend, high) = bands(found.blocks)
    assert low[1] < 0.06 * low[0]
    assert high[1] < 0.06 * high[0]
    assert bend[1] > 0.1 * bend[0]
    streams_of = InfraredStreams if kind is spectrum_of_streams else RamanStreams
    options = InfraredOptions if kind is spectrum_of_streams else RamanOptions
    growing = streams_of(paths, options(resolution=40.0))
    growing.read()
    ratios = (
        growing.density().mean / found.blocks.mean
    )  # what the convergence of a run is judged by
    assert np.ptp(ratios[10:100]) < 1e-6 * ratios[10:100].mean()
    for plain in (kind(paths[:5], 40.0), kind(paths, 40.0, regress=False)):
        assert not any("runs are weighed" in note for note in plain.notes)
        assert bands(plain.blocks)[2, 1] > 0.1 * bands(plain.blocks)[2, 0]


def test_the_temperature_may_be_said_where_streams_do_not_know_it(tmp_path):
    paths = streams(tmp_path, np.random.default_rng(6), n_runs=15, temperature=None)
    assert KnownTemperatures.of([StreamRun(path) for path in paths], None) is None
    found = spectrum_of_streams(paths, 40.0, temperature=300.0)
    assert any("runs are weighed" in note for note in found.notes)
    assert bands(found.blocks)[2, 1] < 0.1 * bands(found.blocks)[2, 0]


def test_kinds_of_a_stream_are_read_back(tmp_path):
    (path,) = streams(tmp_path, np.random.default_rng(7), n_runs=1)
    reader = StreamReader(path)
    assert reader.header.coordinates == ("C-O", "H-O")
    assert reader.read("coordinate_temperature").shape == (N_FRAMES, 2)
