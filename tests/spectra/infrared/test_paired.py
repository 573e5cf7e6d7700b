"""Differences of spectra of one trajectory: their errors, and what is taken as one trajectory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.paired_streams import (
    BANDS,
    FIRST_CHARGES,
    POSITIONS,
    SECOND_CHARGES,
    SPACING,
    VOLUME,
    rates_of,
    temperatures_of,
    trajectories,
    write_stream,
)

from aptnn_md.cli import main
from aptnn_md.errors import InputError
from aptnn_md.spectra import (
    Difference,
    InfraredSpectrum,
    corrected,
    difference,
    infrared_spectrum,
    integral_difference,
    spectrum_of_streams,
)
from aptnn_md.spectra.estimation.accumulate import LagAccumulator
from aptnn_md.spectra.estimation.paired import paired_densities, paired_terms
from aptnn_md.spectra.estimation.plan import plan_spectrum
from aptnn_md.spectra.infrared.comparison import INDEPENDENT
from aptnn_md.spectra.options import InfraredOptions
from aptnn_md.spectra.sources.pairing import paired_runs
from aptnn_md.spectra.sources.stream_run import StreamRun
from aptnn_md.stream import StreamHeader, StreamReader, StreamWriter
from aptnn_md.stream.layout import StreamFrame
from aptnn_md.units import IR_PREFACTOR

N_RUNS, N_FRAMES, RESOLUTION = 6, 1200, 100.0


def two_models(
    folder: Path, velocities: np.ndarray, seed: int, **header: object
) -> tuple[Path, Path]:
    """Streams of both models on one trajectory."""
    heat = temperatures_of(velocities)
    models = {"first": FIRST_CHARGES, "second": SECOND_CHARGES}
    a, b = (
        write_stream(folder / name, rates_of(velocities, charges, 2 * seed + k), heat, **header)
        for k, (name, charges) in enumerate(models.items())
    )
    return a, b


def spectra_of(*paths: Path) -> list[InfraredSpectrum]:
    return [spectrum_of_streams([path], RESOLUTION) for path in paths]


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, Path]]:
    """Two models on each of many independent trajectories."""
    return [
        two_models(tmp_path_factory.mktemp("run"), velocities, seed, run_id=f"run {seed}")
        for seed, velocities in enumerate(trajectories(N_FRAMES, N_RUNS))
    ]


@pytest.fixture(scope="module")
def differences(streams: list[tuple[Path, Path]]) -> list[Difference]:
    return [difference(*spectra_of(*paths)) for paths in streams]


@pytest.mark.thorough
def test_differences_are_those_of_the_arrays(
    streams: list[tuple[Path, Path]], differences: list[Difference]
) -> None:
    """Streams are read again to the same paired densities, whose errors are tested elsewhere."""
    plan = plan_spectrum(InfraredOptions(resolution=RESOLUTION), SPACING)
    factor = np.array([IR_PREFACTOR / (300.0 * VOLUME)])
    for paths, found in zip(streams, differences, strict=True):
        rates = [StreamReader(path).dipole_rate().sum(axis=1) for path in paths]
        accumulator = LagAccumulator(plan, paired_terms(), 2)
        accumulator.feed(accumulator.add_run("run"), np.stack(rates, axis=1))
        expected = paired_densities(accumulator, factor, factor).difference
        assert found.text == f"paired: same trajectory, {N_FRAMES} common frames"
        np.testing.assert_allclose(found.absorption, expected.mean, rtol=1e-9)
        np.testing.assert_allclose(found.standard_error, expected.standard_error, rtol=1e-9)
        assert found.integral(400.0, 900.0) == pytest.approx(expected.integral(400.0, 900.0))


@pytest.mark.thorough
def test_paired_errors_are_much_smaller(
    streams: list[tuple[Path, Path]], differences: list[Difference]
) -> None:
    for paths, paired in zip(streams, differences, strict=True):
        apart = difference(*spectra_of(*paths), paired=False)
        assert apart.text == INDEPENDENT
        assert paired.paired
        assert not apart.paired
        np.testing.assert_allclose(apart.absorption, paired.absorption, rtol=1e-6, atol=1e-6)
        assert np.median(apart.standard_error / paired.standard_error) > 5.0
        assert apart.total[1] > 5.0 * paired.total[1]
        for one, other in zip(apart.bands(BANDS), paired.bands(BANDS), strict=True):
            assert one.integral == pytest.approx(other.integral)
            assert one.position == pytest.approx(other.position)
            assert one.integral_error > 5.0 * other.integral_error
            assert one.position_error > 5.0 * other.position_error


@pytest.mark.thorough
def test_the_command_says_what_it_found(
    streams: list[tuple[Path, Path]],
    differences: list[Difference],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table, picture = tmp_path / "c.csv", tmp_path / "c.png"
    words = ["spectrum", "compare", *map(str, streams[0]), "--names", "one", "two", "--difference"]
    words += ["--resolution", str(RESOLUTION), "--bands", "high:1400-1900", "--out", str(table)]
    assert main([*words, "--plot", str(picture)]) == 0
    printed = capsys.readouterr().out.splitlines()
    text = f"two - one: paired: same trajectory, {N_FRAMES} common frames"
    assert text in printed
    assert f"# {text}" in table.read_text().splitlines()
    (band,) = differences[0].bands({"high": BANDS["high"]})
    rows = [line.split("   ") for line in printed if line.startswith("two - one   ")]
    shown = [float(row[-2].split()[-1]) for row in rows[:1]] + [float(rows[1][-1].split()[-1])]
    expected = [band.integral_error / 1e3, band.position_error]
    assert shown == pytest.approx(expected, rel=0.34)  # one digit
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert main([*words, "--unpaired"]) == 0
    assert f"two - one: {INDEPENDENT}" in capsys.readouterr().out
    assert f"# two - one: {INDEPENDENT}" in table.read_text().splitlines()


@pytest.mark.thorough
def test_other_trajectories_are_independent(streams: list[tuple[Path, Path]]) -> None:
    (a, _), (_, b) = streams[:2]
    found = difference(*spectra_of(a, b))
    assert not found.paired
    assert found.text == INDEPENDENT
    with pytest.raises(InputError, match="found independent ones, expected two of the same"):
        difference(*spectra_of(a, b), paired=True)


def test_common_frames_of_streams_that_overlap(tmp_path: Path) -> None:
    (velocities,) = trajectories(1600, 1)
    heat = temperatures_of(velocities)
    first, second = (rates_of(velocities, c, 0) for c in (FIRST_CHARGES, SECOND_CHARGES))
    a = write_stream(tmp_path / "a", first[:1400], heat[:1400])
    b = write_stream(tmp_path / "b", second[300:], heat[300:], first_frame=300)
    found = difference(*spectra_of(a, b))
    assert found.text == "paired: same trajectory, 1100 common frames of 1400 and 1300"
    one, other = (
        infrared_spectrum([rates[300:1400]], SPACING, 300.0, VOLUME, RESOLUTION)
        for rates in (first, second)
    )
    np.testing.assert_allclose(found.absorption, other.absorption - one.absorption, atol=1e-6)
    limits = BANDS["low"]
    assert found.integral(*limits)[1] == pytest.approx(
        difference(one, replace(other, sources=one.sources)).integral(*limits)[1]
    )
    value = other.integral(*limits)[0] - one.integral(*limits)[0]
    assert integral_difference(*spectra_of(a, b), *limits)[0] == pytest.approx(value)


def test_runs_of_several_trajectories_find_their_partners(
    streams: list[tuple[Path, Path]],
) -> None:
    (a0, b0), (a1, b1), (a2, b2) = streams[:3]
    first = spectrum_of_streams([a0, a1, a2], RESOLUTION)
    found = difference(first, spectrum_of_streams([b2, b0, b1], RESOLUTION))
    assert found.text == f"paired: same trajectory, {3 * N_FRAMES} common frames"
    expected = difference(first, spectrum_of_streams([b0, b1, b2], RESOLUTION))
    np.testing.assert_array_equal(found.standard_error, expected.standard_error)
    mixed = spectrum_of_streams([b0, streams[3][1], b2], RESOLUTION)
    message = r"found no stream of its trajectory on the other side, while .* --unpaired"
    with pytest.raises(InputError, match=message):
        difference(first, mixed)
    with pytest.raises(InputError, match=message):
        difference(spectrum_of_streams([a0], RESOLUTION), mixed)
    # the same trajectory twice is no spectrum of independent runs
    with pytest.raises(InputError, match="the same trajectory as"):
        spectrum_of_streams([a0, b0], RESOLUTION)
    with pytest.raises(InputError, match="found its trajectory in 2 streams of the other side"):
        paired_runs([StreamRun(a0)], [StreamRun(a0), StreamRun(b0)])
    assert not difference(first, mixed, paired=False).paired


def test_estimators_of_one_stream_are_paired_without_id_and_temperature(tmp_path: Path) -> None:
    (velocities,) = trajectories(N_FRAMES, 1)
    rates = {"bead": FIRST_CHARGES, "apt-at-centroid": SECOND_CHARGES}
    path = write_stream(
        tmp_path / "s", {name: rates_of(velocities, c, 0) for name, c in rates.items()}
    )
    first, second = (
        spectrum_of_streams([path], RESOLUTION, estimator=name, skip=0.1) for name in rates
    )
    found = difference(first, second)
    assert found.text == f"paired: same trajectory, {N_FRAMES - 50} common frames"
    np.testing.assert_allclose(found.absorption, second.absorption - first.absorption, atol=1e-6)


def test_paired_spectra_are_regressed_as_each_alone(tmp_path: Path) -> None:
    """Also where only one of the streams has the temperatures of coordinates."""
    charges = np.linspace(0.6, 1.5, 14)[np.random.default_rng(0).permutation(14)]
    paths: dict[str, list[Path]] = {"first": [], "second": []}
    for number, velocities in enumerate(trajectories(N_FRAMES, len(charges))):
        energetic = velocities * charges[number]  # each run has an energy of its own
        heat = (energetic**2).sum(axis=(1, 2)) * 300.0 / (velocities**2).sum(axis=(1, 2)).mean()
        for name, with_kinds in (("first", False), ("second", True)):
            kinds = {"coordinates": ("O-H",)} if with_kinds else {}
            paths[name].append(tmp_path / f"{name}-{number}")
            header = StreamHeader(
                timestep=0.5, stride=4, temperature=300.0, volume=VOLUME, n_atoms=3, **kinds
            )
            rates = rates_of(energetic, FIRST_CHARGES if with_kinds else SECOND_CHARGES, number)
            with StreamWriter(paths[name][-1], header) as writer:
                for k, rate in enumerate(rates):
                    arrays = {"dipole_rate/bead": rate[None], "temperature": heat[k]}
                    if with_kinds:
                        arrays["coordinate_temperature"] = heat[k : k + 1]
                    writer.append_frame(StreamFrame(4 * k, SPACING * k, arrays))
    plain, regressed = (spectrum_of_streams(paths[name], RESOLUTION) for name in paths)
    assert any("runs are weighed" in note for note in regressed.notes)
    for sides in ((regressed, regressed), (regressed, plain), (plain, regressed)):
        found = difference(*sides)
        assert found.paired
        (with_kinds,) = {id(one): one for one in sides if one is regressed}.values()
        own = found.blocks.first if sides[0] is regressed else found.blocks.second
        np.testing.assert_allclose(own.mean, with_kinds.absorption, rtol=1e-6)
        total = found.blocks.second.mean - found.blocks.first.mean
        np.testing.assert_allclose(found.absorption, total, atol=1e-9 * own.mean.max())
    alone = integral_difference(plain, regressed, *BANDS["low"])
    apart = difference(plain, regressed, paired=False).integral(*BANDS["low"])
    assert alone[1] < 0.2 * apart[1]


def test_both_sides_are_regressed_on_what_tells_of_either(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two estimators that see different oscillators, the energies of which runs keep."""
    rng = np.random.default_rng(3)
    time = SPACING * np.arange(600)[:, None]
    paths = []
    for number in range(16):
        energies = rng.exponential(size=2)
        angles = 2 * np.pi * 2.99792458e-5 * np.array(POSITIONS) * time + rng.uniform(0, 6, 2)
        moving = np.sqrt(2 * energies) * np.cos(angles)
        header = StreamHeader(
            timestep=0.5,
            stride=4,
            temperature=300.0,
            volume=VOLUME,
            estimators=("bead", "other"),
            coordinates=("C-O", "O-H"),
            n_atoms=3,
        )
        paths.append(tmp_path / f"run-{number}")
        with StreamWriter(paths[-1], header) as writer:
            for k, (one, two) in enumerate(moving):
                arrays = {
                    "dipole_rate/bead": np.array([[one, 0.05 * two, 0.0]]),
                    "dipole_rate/other": np.array([[0.05 * one, two, 0.0]]),
                    "temperature": 300.0 * energies.mean(),
                    "coordinate_temperature": 300.0 * np.array([one**2, two**2]),
                }
                writer.append_frame(StreamFrame(4 * k, SPACING * k, arrays))
    first, second = (
        spectrum_of_streams(paths, RESOLUTION, estimator=name) for name in ("bead", "other")
    )
    for band in BANDS.values():
        value, error = difference(first, second).integral(*band)
        shown = second.integral(*band)[0] - first.integral(*band)[0]
        assert value == pytest.approx(shown, rel=0.1)
        assert error < 0.2 * abs(value)
    both = [",".join(map(str, paths)), ",".join(f"{path}" for path in paths) + "@other"]
    command = ["spectrum", "compare", *both, "--difference", "--resolution", "100"]
    assert main(command) == 0
    assert "runs are weighed" in capsys.readouterr().out
    assert main([*command, "--no-regress"]) == 0
    assert "runs are weighed" not in capsys.readouterr().out


@pytest.mark.parametrize("correction", ["standard", "egelstaff"])
def test_quantum_corrections_are_those_of_the_spectra(
    streams: list[tuple[Path, Path]], correction: str
) -> None:
    plain = spectra_of(*streams[0])
    first, second = (corrected(spectrum, correction) for spectrum in plain)
    found = difference(first, second)
    assert found.paired
    np.testing.assert_allclose(
        found.absorption, second.absorption - first.absorption, rtol=1e-6, atol=1e-6
    )
    apart = difference(first, second, paired=False)
    assert np.median(apart.standard_error / found.standard_error) > 5.0
    mixed = difference(plain[0], second)
    np.testing.assert_allclose(
        mixed.absorption, second.absorption - plain[0].absorption, rtol=1e-6, atol=1e-6
    )


@pytest.mark.thorough
def test_spectra_that_were_changed_are_not_read_again(streams: list[tuple[Path, Path]]) -> None:
    first, second = spectra_of(*streams[0])
    doubled = second.mapped(lambda blocks: blocks.scaled(2.0))
    found = difference(first, doubled)
    assert not found.paired
    np.testing.assert_allclose(found.absorption, doubled.absorption - first.absorption)
