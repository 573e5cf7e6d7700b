"""Streams as datasets of xarray."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from aptnn_md import InputError, StreamHeader, StreamReader, StreamWriter, open_stream
from aptnn_md.stream.ensemble import Ensemble, run_path
from aptnn_md.stream.layout import StreamFrame

xarray = pytest.importorskip("xarray")

N_FRAMES, N_ATOMS = 5, 3
HEADER = StreamHeader(
    timestep=0.5,
    stride=2,
    estimators=("bead", "centroid-apt"),
    groups=("O", "H"),
    n_beads=4,
    n_atoms=N_ATOMS,
    formula="H2O",
    masses={"O": (15.999,), "H": (1.008,)},
    atom_numbers=(8, 1, 1),
    atom_masses=(15.999, 1.008, 1.008),
    atom_groups=(0, 1, 1),
    atom_labels=("O", "H"),
    temperature=300.0,
)


def write(path: Path) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    arrays = {
        "dipole_rate/bead": rng.normal(size=(N_FRAMES, 2, 3)),
        "dipole_rate/centroid-apt": rng.normal(size=(N_FRAMES, 2, 3)),
        "polarizability_rate/bead": rng.normal(size=(N_FRAMES, 2, 6)),
        "polarizability_rate/centroid-apt": rng.normal(size=(N_FRAMES, 2, 6)),
        "dipole_rate_beads": rng.normal(size=(N_FRAMES, 4, 2, 3)),
        "f_sum": rng.normal(size=(N_FRAMES, 2)),
        "temperature": rng.normal(size=N_FRAMES),
        "velocity": rng.normal(size=(N_FRAMES, N_ATOMS, 3)).astype(np.float32),
    }
    with StreamWriter(path, HEADER) as writer:
        for k in range(N_FRAMES):
            frame = StreamFrame(2 * k, 1.0 * k, {name: a[k] for name, a in arrays.items()})
            writer.append_frame(frame)
    return arrays


def test_dimensions_units_and_values(tmp_path: Path) -> None:
    arrays = write(tmp_path / "s")
    found = open_stream(tmp_path / "s")
    assert found.dipole_rate.dims == ("estimator", "frame", "group", "axis")
    assert found.polarizability_rate.dims == ("estimator", "frame", "group", "component")
    assert found.dipole_rate_beads.dims == ("frame", "bead", "group", "axis")
    assert found.velocity.dims == ("frame", "atom", "axis")
    for estimator in HEADER.estimators:
        for rate in ("dipole_rate", "polarizability_rate"):
            part = found[rate].sel(estimator=estimator)
            np.testing.assert_array_equal(part, arrays[f"{rate}/{estimator}"])
    for name in ("dipole_rate_beads", "f_sum", "temperature", "velocity"):
        np.testing.assert_array_equal(found[name], arrays[name])
    one = found.dipole_rate.sel(estimator="centroid-apt", group="H", axis="y")
    np.testing.assert_array_equal(one, arrays["dipole_rate/centroid-apt"][:, 1, 1])
    yz = found.polarizability_rate.sel(component="yz")[0]
    np.testing.assert_array_equal(yz, arrays["polarizability_rate/bead"][:, :, 3])
    assert found.time.to_numpy().tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert found.step.to_numpy().tolist() == [0, 2, 4, 6, 8]
    units = {name: found[name].attrs["units"] for name in [*found.data_vars, "time", "step"]}
    assert units == {
        "dipole_rate": "e Å/fs",
        "polarizability_rate": "Å³/fs",
        "dipole_rate_beads": "e Å/fs",
        "f_sum": "e²/amu",
        "temperature": "K",
        "velocity": "Å/fs",
        "time": "fs",
        "step": "1",
    }
    oxygen = found.velocity.sel(atom=found.atom_group == "O")
    np.testing.assert_array_equal(oxygen, arrays["velocity"][:, :1])
    assert found.atom_number.to_numpy().tolist() == [8, 1, 1]
    assert (found.attrs["timestep"], found.attrs["n_beads"]) == (0.5, 4)
    assert found.attrs["formula"] == "H2O"


def test_it_can_be_saved_and_chosen_from(tmp_path: Path) -> None:
    pytest.importorskip("h5netcdf")
    write(tmp_path / "s")
    chosen = open_stream(tmp_path / "s", ["dipole_rate", "f_sum"])
    assert set(chosen.data_vars) == {"dipole_rate", "f_sum"}
    assert "component" not in chosen.coords
    assert "atom" not in chosen.dims
    chosen.to_netcdf(tmp_path / "s.nc", engine="h5netcdf")
    with xarray.open_dataset(tmp_path / "s.nc", engine="h5netcdf") as again:
        xarray.testing.assert_equal(again.load(), chosen)
    with pytest.raises(InputError, match=r"variables: found 'dipole', expected of .*dipole_rate"):
        open_stream(tmp_path / "s", ["dipole"])


def test_an_ensemble_has_a_dimension_of_runs(tmp_path: Path) -> None:
    Ensemble(n_runs=3, n_frames=N_FRAMES).write(tmp_path)
    arrays = write(run_path(tmp_path, 1))
    with StreamWriter(run_path(tmp_path, 2), HEADER) as writer:
        for k in range(N_FRAMES):
            values = {name: 2.0 * a[k] for name, a in arrays.items()}
            writer.append_frame(StreamFrame(2 * k, 1.0 * k, values))
    with StreamWriter(run_path(tmp_path, 3), HEADER) as writer:  # not complete
        values = {name: a[0] for name, a in arrays.items()}
        writer.append_frame(StreamFrame(0, 0.0, values))
    found = open_stream(tmp_path, ["dipole_rate"])
    assert found.dipole_rate.dims == ("run", "estimator", "frame", "group", "axis")
    both = np.stack([arrays["dipole_rate/bead"], 2.0 * arrays["dipole_rate/bead"]])
    np.testing.assert_array_equal(found.dipole_rate.sel(estimator="bead"), both)
    assert found.attrs["formula"] == "H2O"


def test_what_zarr_offers_by_itself(tmp_path: Path) -> None:
    """The way that the docstring of the room names."""
    write(tmp_path / "s")
    tree = xarray.open_datatree(tmp_path / "s", engine="zarr", consolidated=False)
    rate = tree["dipole_rate/bead"]
    np.testing.assert_array_equal(rate, StreamReader(tmp_path / "s").dipole_rate())


def test_without_xarray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(InputError, match=r"xarray: found not installed.*aptnn_md\[netcdf\]"):
        open_stream(tmp_path)
