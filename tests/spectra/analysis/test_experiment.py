"""Experimental tables of many kinds give one curve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aptnn_md.errors import InputError
from aptnn_md.spectra.analysis.experiment import read_reference

NU = np.concatenate([np.linspace(5.0, 300.0, 300), np.linspace(302.0, 6000.0, 2900)])
EPSILON = 1.77 + 2.1e6 / (1643.0**2 - NU**2 - 90j * NU) + 9e5 / (200.0**2 - NU**2 - 1j * 250 * NU)
N, K = np.sqrt(EPSILON).real, np.sqrt(EPSILON).imag
ALPHA = 4 * np.pi * NU * K
N_ALPHA = N * ALPHA


def table(path: Path, header: str, *columns: np.ndarray, comma: str = ",") -> Path:
    lines = [comma.join(f"{value:.8g}" for value in row) for row in zip(*columns, strict=True)]
    path.write_text(f"# some substance, 25 °C\n{header}\n" + "\n".join(lines) + "\n", "utf-8")
    return path


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("wavenumber,n_alpha", (NU, N_ALPHA)),
        ("wavenumber_invcm,n,k,alpha_invcm,n_alpha_invcm", (NU, N, K, ALPHA, N_ALPHA)),
        ("# wavenumber (cm^-1),n*alpha (cm^-1),standard error (cm^-1)", (NU, N_ALPHA, 0 * NU)),
        ("k,wavenumber,n", (K, NU, N)),
        ("Wavenumber [1/cm], α (cm⁻¹), n", (NU, ALPHA, N)),
        ("nu,epsilon_imag", (NU, EPSILON.imag)),
        ("wavenumber,ε''", (NU, EPSILON.imag)),
    ],
)
def test_columns(tmp_path: Path, header: str, columns: tuple[np.ndarray, ...]) -> None:
    curve = read_reference(table(tmp_path / "water 1996.csv", header, *columns))
    np.testing.assert_allclose(curve.wavenumber, NU, rtol=1e-7)
    np.testing.assert_allclose(curve.absorption, N_ALPHA, rtol=1e-6)
    assert curve.name == "water 1996"
    assert "n·α" in curve.origin


def test_blanks_and_falling_wavenumbers(tmp_path: Path) -> None:
    path = table(tmp_path / "a.txt", "wavenumber n k", NU[::-1], N[::-1], K[::-1], comma=" ")
    curve = read_reference(path, "mine")
    np.testing.assert_allclose(curve.absorption, N_ALPHA, rtol=1e-6)
    assert curve.name == "mine"


@pytest.mark.parametrize(("header", "column"), [("nu,k", K), ("nu,alpha", ALPHA)])
def test_refractive_index_by_kramers_kronig(
    tmp_path: Path, header: str, column: np.ndarray
) -> None:
    """To 1 % where the table ends far away."""
    path = table(tmp_path / "a.csv", header, NU, column)
    curve = read_reference(path, n_infinity=np.sqrt(1.77))
    inside = (NU > 20) & (NU < 4000)
    np.testing.assert_allclose(curve.absorption[inside], N_ALPHA[inside], rtol=0.01)
    assert "Kramers–Kronig" in curve.origin
    with pytest.raises(InputError, match=r"a.csv: header: found nu, .* a column 'n' too, or n∞"):
        read_reference(path)


def test_integral(tmp_path: Path) -> None:
    curve = read_reference(table(tmp_path / "a.csv", "nu,nalpha", NU, N_ALPHA))
    fine = np.linspace(1500.3, 1801.7, 100_001)
    expected = np.trapezoid(np.interp(fine, NU, N_ALPHA), fine)
    assert curve.integral(1500.3, 1801.7) == pytest.approx(expected, rel=1e-6)
    assert np.isnan(curve.integral(1.0, 100.0))
    assert np.isnan(curve.integral(100.0, 7000.0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2\n2,3\n3,4\n", "table: found 3 lines of numbers, 0 names"),
        ("wavelength,n,k\n1,2,3\n2,3,4\n3,4,5\n", "header: found wavelength, n, k, expected a h"),
        ("nu,n\n1,2\n2,3\n3,4\n", "header: found nu, n, expected a header line with 'waven"),
        ("nu,nalpha\n1,2\n2,x\n3,4\n", "line 3: table: found '2,x', expected 2 numbers"),
        ("nu,nalpha\n1,2\n2,nan\n3,4\n", "line 3: table: found '2,nan'"),
        ("nu,nalpha\n1,2\n2,3,4\n3,4\n", "line 3: table: found '2,3,4', expected 2 numbers"),
        ("nu,nalpha\n1,2\n1,3\n3,4\n", "wavenumber: found negative or repeated"),
        ("nu,nalpha\n", "table: found 0 lines"),
        ("", "table: found 0 lines"),
    ],
)
def test_bad_tables(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_reference(path)


def test_no_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv: table: found No such file"):
        read_reference(tmp_path / "none.csv")
    (tmp_path / "binary").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(InputError, match="binary: table: found no text"):
        read_reference(tmp_path / "binary")
