"""Molar absorption of molecules and clusters, which have no volume."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.oscillators import AMU, CHARGE, LIGHT_SPEED, VACUUM, absorption, langevin_velocities
from helpers.paired_streams import (
    BANDS,
    FIRST_CHARGES,
    SECOND_CHARGES,
    rates_of,
    temperatures_of,
    trajectories,
    write_stream,
)

from aptnn_md import units
from aptnn_md.cli import main
from aptnn_md.errors import InputError
from aptnn_md.normal_modes import infrared_modes, normal_modes
from aptnn_md.spectra import (
    InfraredSpectrum,
    difference,
    infrared_spectrum,
    optical_constants,
    quantities,
    read_table,
    spectrum_of_streams,
    static_permittivity,
)
from aptnn_md.spectra.infrared.comparison import comparison_report
from aptnn_md.spectra.infrared.plot import draw_spectrum

AVOGADRO = 6.02214076e23
T = 300.0
Q, M, POSITION, WIDTH = 0.4, 5.0, 1000.0, 60.0
AREA = 3 * AVOGADRO * (Q * CHARGE) ** 2 / (12 * VACUUM * LIGHT_SPEED**2 * M * AMU) / 1e3
"""km/mol of a charge on a spring that moves in three directions."""


def oscillators(n_runs: int, seed: int = 0, n_frames: int = 8000) -> list[np.ndarray]:
    velocities = langevin_velocities((n_frames, 3 * n_runs), 2.0, POSITION, WIDTH, T, M, seed)
    return [Q * velocities[:, k : k + 3] for k in range(0, 3 * n_runs, 3)]


@pytest.fixture(scope="module")
def spectrum() -> InfraredSpectrum:
    return infrared_spectrum(oscillators(40), 2.0, T, f_sum=Q**2 / M)


def test_units() -> None:
    """One prefactor follows from the other, and both from the constants of nature."""
    assert pytest.approx(6.02214076e-6, rel=1e-9) == units.MOLAR_IR_PREFACTOR / units.IR_PREFACTOR
    assert pytest.approx(3 * units.KM_PER_MOL, rel=1e-12) == units.MOLAR_F_SUM_PREFACTOR
    assert pytest.approx(AREA, rel=1e-8) == units.MOLAR_F_SUM_PREFACTOR * Q**2 / M


def test_intensity_of_a_charge_on_a_spring(spectrum: InfraredSpectrum) -> None:
    """The integral is N_A q²/(12 ε₀ c² m) for each direction, whatever the damping, and the curve
    is the line of the damped oscillator."""
    rule = spectrum.sum_rule
    assert rule.expected == pytest.approx(AREA, rel=1e-8)
    assert rule.found == pytest.approx(AREA, abs=3 * rule.standard_error)
    assert rule.standard_error < 0.02 * AREA
    near = np.abs(spectrum.wavenumber - POSITION) < 2 * WIDTH
    line = absorption(spectrum.wavenumber[near], Q**2 / M, POSITION, WIDTH, 1000.0)
    deviation = spectrum.absorption[near] - line * 1000.0 * AVOGADRO * 1e-24 / 1e5
    # what the resolution of 20 cm⁻¹ takes from the top
    allowed = 3 * spectrum.standard_error[near] + 0.1 * spectrum.absorption[near].max()
    assert (np.abs(deviation) < allowed).all()
    assert abs(deviation.mean()) < 0.03 * spectrum.absorption[near].mean()


def test_molar_absorption_is_that_of_a_thin_gas(spectrum: InfraredSpectrum) -> None:
    """n·α in a volume times that volume, in km/mol; parts, errors, blocks and integrals too."""
    runs = [np.stack([0.7 * run, 0.3 * run[::-1]], axis=1) for run in oscillators(3)]
    common = {"f_sum": Q**2 / M, "group_labels": ["a", "b"]}
    alone = infrared_spectrum(runs, 2.0, T, None, **common)  # type: ignore[arg-type]
    inside = infrared_spectrum(runs, 2.0, T, 500.0, **common)  # type: ignore[arg-type]
    factor = 500.0 * AVOGADRO * 1e-24 / 1e5
    assert (alone.volume, alone.ordinate.unit) == (None, "km/mol per cm⁻¹")
    assert (inside.volume, inside.ordinate.unit) == (500.0, "cm⁻¹")
    np.testing.assert_allclose(alone.absorption, factor * inside.absorption)
    np.testing.assert_allclose(alone.standard_error, factor * inside.standard_error)
    assert list(alone.parts) == list(inside.parts)
    for part, curve in alone.parts.items():
        np.testing.assert_allclose(curve.mean, factor * inside.parts[part].mean, atol=1e-12)
    a, b = alone.sum_rule, inside.sum_rule
    assert a.ratio == pytest.approx(b.ratio)
    assert (a.found, a.standard_error) == pytest.approx(
        (factor * b.found, factor * b.standard_error)
    )
    # that of decadic L mol⁻¹ cm⁻¹ follows from α, which is n·α where n = 1
    (decadic,) = quantities(alone, ["molar-absorption"])
    (thin,) = quantities(
        replace(inside, volume=1e9, absorption=inside.absorption * 500e-9,
                blocks=inside.blocks.scaled(500e-9)),
        ["molar-absorption"], n_molecules=1,
    )  # fmt: skip
    assert decadic.unit == thin.unit == "L mol^-1 cm^-1"
    above = alone.wavenumber > 20.0  # optical constants go like ν̃² below the resolution
    np.testing.assert_allclose(decadic.values[above], thin.values[above], rtol=1e-5)
    far = alone.wavenumber > 150.0  # errors are pooled over six resolutions
    errors = decadic.standard_error[far], thin.standard_error[far]
    np.testing.assert_allclose(*errors, rtol=1e-4)
    # a molecule and the whole cluster
    four = infrared_spectrum(runs, 2.0, T, f_sum=Q**2 / M, n_molecules=4)
    np.testing.assert_allclose(four.absorption, alone.absorption / 4)
    assert four.sum_rule.ratio == pytest.approx(a.ratio)


def test_bands_have_the_intensities_of_normal_modes() -> None:
    """A bent molecule of three elements, charges and isotopes, moving in its harmonic modes."""
    rng = np.random.default_rng(3)
    masses = np.array([15.999, 1.008, 2.014])
    positions = np.array([[0.0, 0.0, 0.0], [0.96, 0.1, 0.0], [-0.3, 0.9, 0.2]])
    springs = {(0, 1): 45.0, (0, 2): 38.0, (1, 2): 9.0}  # eV/Å²
    hessian = np.zeros((3, 3, 3, 3))
    for (i, j), k in springs.items():
        along = positions[i] - positions[j]
        along /= np.linalg.norm(along)
        block = k * np.outer(along, along)
        for a, b, sign in ((i, i, 1), (j, j, 1), (i, j, -1), (j, i, -1)):
            hessian[a, :, b, :] += sign * block
    modes = normal_modes(hessian.reshape(9, 9), masses, positions)
    apt = rng.normal(size=(3, 3, 3))
    harmonic = infrared_modes(modes, apt)
    assert len(modes) == 3
    assert np.diff(modes.wavenumber).min() > 300
    n_runs, n_frames = 60, 6000
    rates = np.zeros((n_runs, n_frames, 3))
    for k, wavenumber in enumerate(modes.wavenumber):
        q_rate = langevin_velocities((n_frames, n_runs), 2.0, wavenumber, 30.0, T, 1.0, seed=k)
        velocities = q_rate.T[:, :, None, None] * modes.displacements[k]
        rates += np.einsum("ixc,rfic->rfx", apt, velocities)
    spectrum = infrared_spectrum(list(rates), 2.0, T)
    for wavenumber, intensity in zip(modes.wavenumber, harmonic.intensity, strict=True):
        found, error = spectrum.integral(wavenumber - 130, wavenumber + 130)
        # the range holds this share of a line 30 cm⁻¹ wide
        share = 2 / math.pi * math.atan(130 / 15)
        assert error < 0.04 * intensity
        assert found == pytest.approx(share * intensity, abs=3 * error)
    total, error = spectrum.integral(0.0, spectrum.wavenumber[-1])
    assert total == pytest.approx(harmonic.intensity.sum(), abs=3 * error)


def test_a_molecule_has_no_optical_constants(spectrum: InfraredSpectrum) -> None:
    for name in ("n", "epsilon-real", "alpha"):
        with pytest.raises(InputError, match=f"quantity {name} .*a system without a volume"):
            quantities(spectrum, ["molar-absorption", name])
    with pytest.raises(InputError, match="a system without a volume"):
        static_permittivity(spectrum)
    assert optical_constants(spectrum.wavenumber, spectrum.absorption).permittivity.shape


def test_molecules_are_compared_with_molecules(spectrum: InfraredSpectrum) -> None:
    liquid = infrared_spectrum(oscillators(2), 2.0, T, 1000.0)
    for function in (
        lambda: difference(spectrum, liquid),
        lambda: comparison_report({"a": liquid, "b": spectrum}),
    ):
        with pytest.raises(InputError, match=r"found .*km/mol per cm⁻¹.*, expected .*--volume"):
            function()
    other = infrared_spectrum(oscillators(40, seed=9), 2.0, T)
    found = difference(spectrum, other)
    value, error = found.total
    assert abs(value) < 3 * error < 0.1 * AREA
    lines = comparison_report({"a": spectrum, "b": other}, differences={"b - a": found},
                              ranges={"line": (800.0, 1200.0)})  # fmt: skip
    text = "\n".join(lines)
    assert "band of molar absorption" in text
    assert "integral (km/mol)" in text
    assert "difference of integrals (km/mol)" in text
    assert "cm⁻²" not in text


def test_paired_models_of_a_molecule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (velocities,) = trajectories(3000, 1)
    heat = temperatures_of(velocities)
    for name, charges in (("a", FIRST_CHARGES), ("b", SECOND_CHARGES)):
        rates = rates_of(velocities, charges, 0)
        write_stream(tmp_path / name, rates, heat, volume=None, run_id="one")
        write_stream(tmp_path / f"{name}-box", rates, heat, volume=1000.0, run_id="one")
    alone = [spectrum_of_streams([tmp_path / name], 100.0, n_molecules=2) for name in "ab"]
    boxes = [spectrum_of_streams([tmp_path / f"{name}-box"], 100.0) for name in "ab"]
    found, other = difference(*alone), difference(*boxes)
    assert found.paired
    factor = 1000.0 * AVOGADRO * 1e-24 / 1e5 / 2
    assert found.total == pytest.approx((factor * other.total[0], factor * other.total[1]))
    for band, same in zip(found.bands(BANDS), other.bands(BANDS), strict=True):
        assert band.integral == pytest.approx(factor * same.integral)
        assert band.integral_error == pytest.approx(factor * same.integral_error)
    paths = [str(tmp_path / name) for name in "ab"]
    words = ["spectrum", "compare", *paths, "--difference", "--resolution", "100", "--names", "a"]
    words += ["b", "--n-molecules", "2", "--out", str(tmp_path / "c.csv"), "--bands", "x:400-900"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "paired: same trajectory" in printed
    assert "difference of integrals (km/mol)" in printed
    columns, _ = read_table(tmp_path / "c.csv")
    names = list(columns)
    assert names[1:3] == ["a (km/mol per cm^-1)", "a standard error (km/mol per cm^-1)"]


@pytest.mark.thorough
def test_everything_written_says_km_per_mol(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (run,) = oscillators(1)
    write_stream(Path("s"), run, volume=None)
    words = ["spectrum", "ir", "s", "--bands", "line:800-1200", "--out", "ir.csv", "--follow", "0"]
    words += ["--plot", "ir.svg", "--plot-convergence", "c.svg", "--quantities", "all"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "one molecule alone" in printed
    assert "integral of molar absorption (km/mol)" in printed
    assert "band of molar absorption" in printed
    assert "integral (km/mol)" in printed
    for wrong in ("n·α", "cm⁻²", "Å³", "ε∞"):
        assert wrong not in printed
    columns, header = read_table("ir.csv")
    assert list(columns)[:3] == [
        "wavenumber (cm^-1)",
        "molar absorption (km/mol per cm^-1)",
        "standard error (km/mol per cm^-1)",
    ]
    assert [name for name in columns if "L mol^-1 cm^-1" in name]
    text = "\n".join(header)
    assert "molecules: 1, alone" in text
    assert "volume:" not in text
    assert "km/mol" in text
    # the same, once more, of each of three molecules
    assert main(["spectrum", "ir", "s", "--n-molecules", "3", "--out", "3.csv"]) == 0
    assert "each of 3 molecules" in capsys.readouterr().out
    third, header = read_table("3.csv")
    assert "molecules: 3, alone" in "\n".join(header)
    name = "molar absorption (km/mol per cm^-1)"
    np.testing.assert_allclose(3 * third[name], columns[name], rtol=1e-8)


def test_axis_of_a_picture(tmp_path: Path, spectrum: InfraredSpectrum) -> None:
    import matplotlib as mpl

    with mpl.rc_context({"svg.fonttype": "none"}):
        draw_spectrum(tmp_path / "a.svg", spectrum)
    text = (tmp_path / "a.svg").read_text()
    assert "molar absorption" in text
    assert "Å³" not in text


def test_netcdf(tmp_path: Path, spectrum: InfraredSpectrum) -> None:
    pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    from aptnn_md.spectra.infrared.netcdf import to_dataset

    dataset = to_dataset(spectrum)
    np.testing.assert_array_equal(dataset.molar_absorption, spectrum.absorption)
    assert dataset.molar_absorption.attrs["units"] == "km mol-1 cm"
    assert dataset.attrs["integral_km_mol-1"] == spectrum.sum_rule.found
    assert dataset.attrs["f_sum_rule_km_mol-1"] == pytest.approx(AREA)
    assert dataset.attrs["n_molecules"] == 1.0
    assert not {"volume_A3", "integral_cm-2"} & set(dataset.attrs)
    assert "n_alpha" not in dataset
