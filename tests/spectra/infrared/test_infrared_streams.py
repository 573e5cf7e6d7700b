"""Spectra of stream files: what is taken from them, what is refused, what is written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr
from helpers.version_1 import as_version_1
from matplotlib.image import imread

from aptnn_md.errors import InputError
from aptnn_md.spectra import (
    REFERENCES,
    WATER,
    find_bands,
    infrared_spectrum,
    read_table,
    report,
    spectrum_of_streams,
    write_table,
)
from aptnn_md.spectra.estimation.nyquist import fastest_vibration
from aptnn_md.spectra.infrared.plot import draw_spectrum
from aptnn_md.stream import StreamHeader, StreamWriter

RATES = np.random.default_rng(5).normal(size=(2500, 2, 3)) * 0.01
FRAME = {"temperature": 310.0, "volume": 1000.0, "f_sum": [0.3, 0.7]}


def stream(
    path: Path, n_frames: int = 2500, frame: dict[str, object] = FRAME, **constants: object
) -> Path:
    values: dict[str, object] = {
        "timestep": 0.5,
        "stride": 4,
        "groups": ("O", "H"),
        "temperature": 300.0,
        "volume": 990.0,
    }
    header = StreamHeader(**(values | constants))  # type: ignore[arg-type]
    with StreamWriter(path, header) as writer:
        for k, rate in enumerate(RATES[:n_frames]):
            rates = dict.fromkeys(header.estimators, rate)
            writer.append(k * header.stride, k * header.stride * header.timestep, rates, **frame)  # type: ignore[arg-type]
    return path


def test_constants_come_from_the_streams(tmp_path: Path) -> None:
    paths = [stream(tmp_path / "a"), stream(tmp_path / "b", 1600)]
    spectrum = spectrum_of_streams(paths, 30.0)
    by_hand = infrared_spectrum(
        [RATES, RATES[:1600]], 2.0, 300.0, 1000.0, 30.0, f_sum=1.0, group_labels=["O", "H"]
    )
    np.testing.assert_allclose(spectrum.absorption, by_hand.absorption, rtol=1e-12)
    assert list(spectrum.parts) == ["O", "H", ("O", "H")]
    for name, part in spectrum.parts.items():
        np.testing.assert_allclose(part.mean, by_hand.parts[name].mean, rtol=1e-12)
    assert spectrum.sum_rule.found == pytest.approx(by_hand.sum_rule.found)
    assert spectrum.sum_rule.expected == pytest.approx(by_hand.sum_rule.expected)
    assert spectrum.temperature == 300.0  # the thermostat's
    assert spectrum.volume == 1000.0  # mean of the frames
    assert spectrum.sources == tuple(map(str, paths))
    assert spectrum.estimator == "bead"
    assert spectrum.length == 2.0 * (2500 + 1600)


def test_what_the_caller_gives_wins(tmp_path: Path) -> None:
    path = stream(tmp_path / "a")
    spectrum = spectrum_of_streams([path], 30.0, temperature=150.0, volume=500.0, skip=1.001)
    by_hand = infrared_spectrum([RATES[501:]], 2.0, 150.0, 500.0, 30.0)
    np.testing.assert_allclose(spectrum.absorption, by_hand.absorption, rtol=1e-12)


def test_means_of_variable_temperature_and_volume(tmp_path: Path) -> None:
    def run(name: str, n_frames: int, temperature: float, volume: float) -> Path:
        frame = {"temperature": temperature, "volume": volume}
        return stream(tmp_path / name, n_frames, frame, temperature=None, volume=None)

    spectrum = spectrum_of_streams([run("a", 1000, 300.0, 99.0), run("b", 2000, 309.0, 102.0)], 40)
    assert spectrum.temperature == pytest.approx(306.0)
    assert spectrum.volume == pytest.approx(101.0)
    assert spectrum.sum_rule.expected is None
    with pytest.raises(InputError, match=r"c: temperature: found 330, expected 300, as in .*a"):
        spectrum_of_streams([tmp_path / "a", run("c", 2000, 330.0, 99.0)], 40)


def test_many_groups_give_what_is_within_and_between(tmp_path: Path) -> None:
    groups = tuple(f"molecule {i}" for i in range(40))
    header = StreamHeader(timestep=2.0, groups=groups, temperature=300.0, volume=1000.0)
    with StreamWriter(tmp_path / "s", header) as writer:
        for step in range(2500):
            writer.append(step, 2.0 * step, {"bead": np.tile(RATES[step], (20, 1))})
    spectrum = spectrum_of_streams([tmp_path / "s"], 30.0)
    assert list(spectrum.parts) == ["within groups", "between groups"]
    by_hand = infrared_spectrum([20 * RATES], 2.0, 300.0, 1000.0, 30.0)
    np.testing.assert_allclose(spectrum.absorption, by_hand.absorption, rtol=1e-12)
    one, other = (
        infrared_spectrum([RATES[:, k]], 2.0, 300.0, 1000.0, 30.0).absorption for k in range(2)
    )
    within = spectrum.parts["within groups"]
    np.testing.assert_allclose(within.mean, 20 * (one + other), rtol=1e-12)


def test_estimators(tmp_path: Path) -> None:
    path = stream(tmp_path / "a", estimators=("bead", "centroid-apt"), n_beads=8)
    assert spectrum_of_streams([path], 30, estimator="centroid-apt").estimator == "centroid-apt"
    # the sum is that of the tensors of the first one
    assert spectrum_of_streams([path], 30).sum_rule.ratio is not None
    assert spectrum_of_streams([path], 30, estimator="centroid-apt").sum_rule.ratio is None
    with pytest.raises(InputError, match="a: estimator: found centroid, expected"):
        spectrum_of_streams([path], 30.0, estimator="centroid")


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        (
            {"temperature": 310.0},
            "b: temperature: found 310, expected 300, as in .*a; --temp",
        ),
        ({"timestep": 1.0}, r"b: timestep: found 1.0, expected 0.5, as in .*a$"),
        ({"stride": 2}, "b: stride: found 2, expected 4"),
        ({"groups": ("H", "O")}, "b: groups: found"),
        ({"estimators": ("apt-at-centroid",)}, "b: estimators: found"),
        ({"n_beads": 4}, "b: n_beads: found 4"),
        ({"formula": "H2S"}, "b: formula: found 'H2S'"),
        ({"model_sha256": "aa", "model": "x"}, "b: model: found 'x'"),
    ],
)
def test_streams_of_different_runs(
    tmp_path: Path, constants: dict[str, object], message: str
) -> None:
    first = stream(tmp_path / "a", 2000)
    second = stream(tmp_path / "b", 2000, **constants)
    with pytest.raises(InputError, match=message) as caught:
        spectrum_of_streams([first, second], 40.0)
    assert "\n" not in str(caught.value)
    if "temperature" in constants:
        assert spectrum_of_streams([first, second], 40.0, temperature=305.0).temperature == 305.0


def test_volumes_that_differ(tmp_path: Path) -> None:
    frame = {"f_sum": [1.0, 2.0]}
    paths = [
        stream(tmp_path / name, 2000, frame, volume=volume)
        for name, volume in [("a", 990.0), ("b", 1010.0)]
    ]
    with pytest.raises(InputError, match="b: volume: found 1010, expected 990"):
        spectrum_of_streams(paths, 40.0)


@pytest.mark.parametrize("field", ["temperature", "volume"])
def test_unknown_constants(tmp_path: Path, field: str) -> None:
    frame = {name: value for name, value in FRAME.items() if name != field}
    path = stream(tmp_path / "a", 2500, frame, **{field: None})
    known = stream(tmp_path / "known", 2500, frame if field == "temperature" else FRAME)
    paths = [path] if field == "temperature" else [known, path]
    with pytest.raises(
        InputError,
        match=f"a: {field}: found none in the stream, expected one.*--{field} ",
    ):
        spectrum_of_streams(paths, 30.0)
    with pytest.raises(InputError, match=f"{field}: found -2"):
        spectrum_of_streams([path], 30.0, **{field: -2.0})  # type: ignore[arg-type]
    assert getattr(spectrum_of_streams([path], 30.0, **{field: 77.0}), field) == 77.0  # type: ignore[arg-type]


def test_a_stream_given_twice(tmp_path: Path) -> None:
    path = stream(tmp_path / "a")
    (tmp_path / "b").mkdir()
    with pytest.raises(
        InputError, match=r"b/\.\./a: stream: found the same as .*a, expected indep"
    ):
        spectrum_of_streams([path, tmp_path / "b" / ".." / "a"], 40.0)
    with pytest.raises(InputError, match="x: run: found the same name twice"):
        infrared_spectrum([RATES, RATES], 2.0, 300.0, 1000.0, 40.0, names=["x", "x"])


def test_streams_under_different_conditions_count_with_their_own(tmp_path: Path) -> None:
    frame = {"f_sum": [0.3, 0.7]}
    paths = [
        stream(tmp_path / "a", 2500, frame, temperature=290.0, volume=980.0),
        stream(tmp_path / "b", 1500, frame, temperature=330.0, volume=1020.0),
    ]
    with pytest.raises(InputError, match="b: temperature: found 330, expected 290"):
        spectrum_of_streams(paths, 40.0)
    mixed = spectrum_of_streams(paths, 40.0, mix=True)
    by_hand = infrared_spectrum(
        [RATES, RATES[:1500]], 2.0, (290.0, 330.0), (980.0, 1020.0), 40.0, f_sum=1.0
    )
    np.testing.assert_allclose(mixed.absorption, by_hand.absorption, rtol=1e-12)
    assert mixed.temperature == pytest.approx(305.0)
    assert mixed.sum_rule.expected == pytest.approx(by_hand.sum_rule.expected)


def test_method_and_window(tmp_path: Path) -> None:
    path = stream(tmp_path / "a")
    options = {"method": "blackman-tukey", "window": "gaussian", "unbiased": False}
    found = spectrum_of_streams([path], 60.0, **options)
    by_hand = infrared_spectrum([RATES], 2.0, 300.0, 1000.0, 60.0, **options)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.absorption, by_hand.absorption, rtol=1e-12)
    write_table(tmp_path / "ir.csv", found)
    assert "method: Blackman-Tukey, Gaussian window, biased, lags up to" in (
        (tmp_path / "ir.csv").read_text()
    )


def test_stream_of_increments(tmp_path: Path) -> None:
    path = stream(tmp_path / "a", rate="difference")
    found = spectrum_of_streams([path], 60.0)
    plain = infrared_spectrum([RATES], 2.0, 300.0, 1000.0, 60.0)
    x = np.pi * found.wavenumber * 2.99792458e-5 * 2.0
    with np.errstate(invalid="ignore"):
        damping = np.where(x == 0, 1.0, np.sin(x) / x) ** 2
    np.testing.assert_allclose(found.absorption, plain.absorption / damping, rtol=1e-9)
    np.testing.assert_allclose(found.standard_error, plain.standard_error / damping, rtol=0.02)
    for name, part in found.parts.items():
        assert part.mean[-1] / plain.absorption[-1] != 0.0, name
    summed = sum(part.mean for part in found.parts.values())
    np.testing.assert_allclose(summed, found.absorption, rtol=1e-9)
    assert "differences of the dipole over Δt = 2 fs" in found.notes[0]
    write_table(tmp_path / "ir.csv", found)
    assert "# note: frames hold differences" in (tmp_path / "ir.csv").read_text()


@pytest.mark.parametrize(
    ("masses", "highest"),
    [
        ({"O": (15.999,), "H": (1.008,)}, 4506.0),  # above H2, 4401
        ({"O": (15.999,), "H": (2.014,)}, 3188.0),
        ({"O": (15.999,), "D": (2.014,)}, 3188.0),
        ({"O": (15.999,), "H": (2.014, 1.008)}, 4506.0),
        ({"C": (12.011,), "O": (15.999,)}, 2600.0),  # above CO, 2170, and C2, 1855
        ({"Na": (22.99,), "Cl": (35.45,)}, 1358.0),
        ({}, None),
    ],
)
def test_fastest_vibration(masses: dict[str, tuple[float, ...]], highest: float | None) -> None:
    found = fastest_vibration(masses)
    assert found == (None if highest is None else pytest.approx(highest, abs=2))


def test_frames_too_far_apart_for_hydrogen(tmp_path: Path) -> None:
    """Also where nothing shows it: the spectrum of the frames looks like any other."""
    header = {"stride": 16, "masses": {"O": (15.999,), "H": (1.008,)}}
    path = tmp_path / "a"
    with StreamWriter(
        path,
        StreamHeader(timestep=0.5, temperature=300.0, volume=990.0, **header),  # type: ignore[arg-type]
    ) as writer:
        slow = np.cos(0.02 * np.arange(2500.0))[:, None] * np.ones(3)
        for k in range(2500):
            writer.append(16 * k, 8.0 * k, {"bead": slow[k : k + 1]})
    spectrum = spectrum_of_streams([path], 20.0)
    assert len(spectrum.notes) == 1
    assert spectrum.notes[0].startswith("WARNING: frames are 8 fs apart, so the spectrum ends at ")
    assert "vibrations of H may reach 4508 cm⁻¹" in spectrum.notes[0]
    assert "at most 3.69 fs apart" in spectrum.notes[0]
    write_table(tmp_path / "ir.csv", spectrum)
    assert "# note: WARNING: frames are 8 fs apart" in (tmp_path / "ir.csv").read_text()
    assert any("WARNING" in line for line in report(spectrum))
    assert not spectrum_of_streams([stream(tmp_path / "b", masses=header["masses"])], 60.0).notes[
        1:
    ]


def test_no_number_in_a_stream(tmp_path: Path) -> None:
    path = as_version_1(stream(tmp_path / "a"))
    group = zarr.open_group(path, mode="r+")
    rates = np.asarray(group["dipole_rate/bead"][:])  # type: ignore[index]
    rates[1234, 1, 2] = np.nan
    group["dipole_rate/bead"][:] = rates  # type: ignore[index]
    with pytest.raises(InputError, match="dipole_rate/bead: found no value in frame 1234"):
        spectrum_of_streams([path], 30.0)


def test_frames_out_of_order(tmp_path: Path) -> None:
    path = as_version_1(stream(tmp_path / "a"))
    group = zarr.open_group(path, mode="r+")
    steps = np.asarray(group["step"][:])  # type: ignore[index]
    steps[[100, 101]] = steps[[101, 100]]
    group["step"][:] = steps  # type: ignore[index]
    with pytest.raises(InputError, match="step: found 8 steps after frame 99, expected 4"):
        spectrum_of_streams([path], 30.0)


def test_streams_without_enough_frames(tmp_path: Path) -> None:
    empty = stream(tmp_path / "empty", 0, {})
    with pytest.raises(InputError, match="empty: length: found 0 frames, 0 ps, expected at least"):
        spectrum_of_streams([empty])
    short = stream(tmp_path / "short", 500)
    with pytest.raises(InputError, match=r"short: length: found 500 frames, 1 ps, .*\(or a resol"):
        spectrum_of_streams([short])
    whole = stream(tmp_path / "whole")
    with pytest.raises(InputError, match="whole: length: found 0 frames"):
        spectrum_of_streams([whole], skip=7.0)
    with pytest.raises(InputError, match="spectrum: skip: found -1"):
        spectrum_of_streams([whole], skip=-1.0)
    with pytest.raises(InputError, match="spectrum: streams: found none"):
        spectrum_of_streams([])


def test_times_that_do_not_fit_the_header(tmp_path: Path) -> None:
    path = as_version_1(stream(tmp_path / "a"))
    group = zarr.open_group(path, mode="r+")
    group["time"][700:] = np.asarray(group["time"][700:]) + 1.0  # type: ignore[index]
    with pytest.raises(InputError, match="time: found 3 fs after frame 699, expected 2 fs"):
        spectrum_of_streams([path], 30.0)
    group["step"][900:] = np.asarray(group["step"][900:]) + 4  # type: ignore[index]
    with pytest.raises(InputError, match="step: found 8 steps after frame 899, expected 4"):
        spectrum_of_streams([path], 30.0)


def test_table_is_read_by_numpy_and_pandas(tmp_path: Path) -> None:
    spectrum = spectrum_of_streams([stream(tmp_path / "a\nb")], 30.0)
    path = tmp_path / "ir.csv"
    write_table(path, spectrum, provenance="aptnn-md spectrum ir a")
    numbers = np.loadtxt(path, delimiter=",")
    curves = [spectrum.blocks, *spectrum.parts.values()]
    expected = [
        spectrum.wavenumber,
        *(column for curve in curves for column in (curve.mean, curve.standard_error)),
    ]
    np.testing.assert_allclose(numbers, np.transpose(expected), rtol=1e-9)
    lines = path.read_text().splitlines()
    header = [line for line in lines if line.startswith("#")]
    assert len(lines) == len(header) + len(numbers)
    assert header[-1] == (
        "# wavenumber (cm^-1),n*alpha (cm^-1),standard error (cm^-1),"
        "O (cm^-1),O standard error (cm^-1),H (cm^-1),H standard error (cm^-1),"
        "O x H (cm^-1),O x H standard error (cm^-1)"
    )
    text = "\n".join(header)
    for words in (
        "aptnn_md 0.1.0",
        "temperature: 300 K",
        "volume: 1000 A^3",
        "length: 5 ps in 1 run(s), frames 2 fs apart",
        "resolution: 30",
        "f-sum rule: ",
        "provenance: aptnn-md spectrum ir a",
        f"stream: {tmp_path}/a b",
    ):
        assert words in text
    write_table(path, infrared_spectrum([RATES], 2.0, 300.0, 1000.0, 30.0))
    assert path.read_bytes().isascii()  # with a note on the Nyquist wavenumber: noise is white
    write_table(path, spectrum)
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(path, comment="#", header=None)
    np.testing.assert_allclose(frame.to_numpy(), numbers)
    columns = list(read_table(path)[0])
    # what a line of the file itself says
    (line,) = [line for line in path.read_text().splitlines() if "pandas.read_csv(" in line]
    named = eval(line.partition(": ")[2], {"pandas": pandas, "path": path})
    np.testing.assert_allclose(named.to_numpy(), numbers)
    assert [name.lstrip("# ") for name in named.columns] == columns
    write_table(path, spectrum, (100.0, 200.0))
    part = np.loadtxt(path, delimiter=",")
    assert part[0, 0] >= 100
    assert part[-1, 0] <= 200


def test_outputs_that_cannot_be_written(tmp_path: Path) -> None:
    spectrum = infrared_spectrum([RATES], 2.0, 300.0, 1000.0, 30.0)
    for path in (tmp_path / "no" / "ir.csv", Path("/proc/ir.csv")):
        with pytest.raises(InputError, match=r"ir.csv: output: found .*, expected a writable"):
            write_table(path, spectrum)
    with pytest.raises(InputError, match=r"ir.png: output: found No such file or directory"):
        draw_spectrum(tmp_path / "no" / "ir.png", spectrum)
    with pytest.raises(InputError, match=r"ir.doc: suffix: found '.doc', expected one of .*png"):
        draw_spectrum(tmp_path / "ir.doc", spectrum)
    with pytest.raises(InputError, match=r"range: found 10 to 1e\+06 cm⁻¹, .* 8339 cm⁻¹, the Ny"):
        draw_spectrum(tmp_path / "ir.png", spectrum, wavenumbers=(10.0, 1e6))
    with pytest.raises(InputError, match="range: found 20 to 10"):
        write_table(tmp_path / "ir.csv", spectrum, (20.0, 10.0))
    assert list(tmp_path.iterdir()) == []


def test_picture(tmp_path: Path) -> None:
    spectrum = infrared_spectrum([RATES], 2.0, 300.0, 1000.0, 30.0)
    draw_spectrum(tmp_path / "ir.png", spectrum, reference=WATER, wavenumbers=(0.0, 4000.0))
    with_marks = imread(tmp_path / "ir.png")
    assert with_marks.shape[:2] == (880, 1440)
    draw_spectrum(tmp_path / "plain.png", spectrum, wavenumbers=(0.0, 4000.0))
    assert (imread(tmp_path / "plain.png") != with_marks).any()
    for suffix in ("pdf", "svg"):
        draw_spectrum(tmp_path / f"ir.{suffix}", spectrum)
        assert (tmp_path / f"ir.{suffix}").stat().st_size > 5000
    svg = (tmp_path / "ir.svg").read_text()
    assert "svg" in svg


@pytest.mark.thorough
def test_picture_of_an_extreme_spectrum(tmp_path: Path) -> None:
    """Nothing at all, and values from tiny to huge."""
    for scale in (0.0, 1e-9, 1e9):
        spectrum = infrared_spectrum([scale * RATES], 2.0, 300.0, 1000.0, 30.0)
        assert np.isfinite(spectrum.standard_error).all()
        draw_spectrum(tmp_path / "ir.png", spectrum, reference=WATER)


def test_report_beside_the_experiment() -> None:
    spectrum = infrared_spectrum([RATES], 2.0, 300.0, 1000.0, 30.0, f_sum=1.0)
    text = "\n".join(report(spectrum, REFERENCES["water"]))
    for words in ("3392 ± 17", "1643 ± 5", "616 ± 29", "181 ± 13", "Bertie & Lan", "ratio"):
        assert words in text
    (found,) = find_bands(spectrum, {"bend": WATER.ranges["bend"]})
    assert f"{found.position:.0f} ± {found.position_error:.0f}" in text
    coarse = infrared_spectrum([RATES], 6.0, 300.0, 1000.0, 30.0)
    shorter = "\n".join(report(coarse, WATER))
    assert "bend" in shorter
    assert "OH stretch" not in shorter  # beyond the Nyquist wavenumber
    assert "no f-sum rule" in shorter


def test_experimental_bands_are_those_of_the_source() -> None:
    """n·α of liquid water at 25 °C after J. E. Bertie and Z. Lan (1996)."""
    table = {band.name: (band.position, band.height) for band in WATER.bands}
    assert table == {
        "H-bond stretch": (181.0, 1943.0),
        "libration": (616.0, 4621.0),
        "bend": (1643.0, 3724.0),
        "OH stretch": (3392.0, 17395.0),
    }
    for band in WATER.bands:
        assert band.low < band.position - band.position_error
        assert band.position + band.position_error < band.high
        assert band.height_error == pytest.approx(0.1 * band.height, rel=0.01)


def test_spectra_need_neither_torch_nor_ase_nor_pyplot() -> None:
    script = (
        "import sys, aptnn_md.spectra.infrared.plot, aptnn_md.cli.spectrum\n"
        "print([m for m in ('torch', 'ase', 'matplotlib.pyplot') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
