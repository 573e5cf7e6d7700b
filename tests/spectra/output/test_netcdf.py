"""A spectrum goes through NetCDF and back."""

from __future__ import annotations

import builtins
from pathlib import Path

import numpy as np
import pytest

from aptnn_md.errors import InputError
from aptnn_md.spectra import infrared_spectrum, quantities
from aptnn_md.spectra.infrared.netcdf import to_dataset, write_netcdf

xarray = pytest.importorskip("xarray")
pytest.importorskip("h5netcdf")

RATES = np.random.default_rng(5).normal(size=(2500, 2, 3)) * 0.01
SPECTRUM = infrared_spectrum(
    [RATES, RATES[::-1]], 2.0, 300.0, 1000.0, 30.0, f_sum=0.4, group_labels=["O", "H"]
)


def test_everything_comes_back(tmp_path: Path) -> None:
    more = quantities(SPECTRUM, ["n", "epsilon-imag"], epsilon_infinity=1.8)
    path = tmp_path / "ir.nc"
    write_netcdf(path, SPECTRUM, provenance="aptnn-md spectrum ir a", quantities=more)
    with xarray.open_dataset(path, engine="h5netcdf") as found:
        np.testing.assert_array_equal(found.wavenumber, SPECTRUM.wavenumber)
        np.testing.assert_array_equal(found.n_alpha, SPECTRUM.absorption)
        np.testing.assert_array_equal(found.n_alpha_error, SPECTRUM.standard_error)
        np.testing.assert_array_equal(found.n, more[0].values)
        np.testing.assert_array_equal(found.epsilon_imag_error, more[1].standard_error)
        assert list(found.part.values) == ["O", "H", "O × H"]
        sums = found.part_n_alpha.sum("part")
        np.testing.assert_allclose(sums, found.n_alpha, rtol=1e-9)
        mean = (found.block_n_alpha * found.block_weight).sum("block")
        np.testing.assert_allclose(mean, found.n_alpha, rtol=1e-9)
        assert found.n_alpha.attrs["units"] == "cm-1"
        assert found.attrs["temperature_K"] == 300.0
        assert found.attrs["f_sum_rule_cm-2"] == pytest.approx(SPECTRUM.sum_rule.expected)
        assert "provenance: aptnn-md spectrum ir a" in found.attrs["history"]
    write_netcdf(path, SPECTRUM, (100.0, 200.0))
    with xarray.open_dataset(path, engine="h5netcdf") as part:
        assert 100 <= part.wavenumber.min() < part.wavenumber.max() <= 200
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"ir.nc: output: found No such file or directory"):
        write_netcdf(tmp_path / "no" / "ir.nc", SPECTRUM)
    with pytest.raises(InputError, match="range: found 20 to 10"):
        write_netcdf(tmp_path / "ir.nc", SPECTRUM, (20.0, 10.0))
    real = builtins.__import__

    def without_xarray(name: str, *rest: object, **more: object) -> object:
        if name == "xarray":
            raise ImportError(name)
        return real(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without_xarray)
    with pytest.raises(InputError, match=r"NetCDF: xarray: found not installed, .*\[netcdf\]"):
        to_dataset(SPECTRUM)
