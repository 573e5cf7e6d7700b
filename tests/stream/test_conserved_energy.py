"""The optional array of the conserved energy: kept, shown, verified, not added to old streams."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.version_1 import as_version_1

from aptnn_md.errors import InputError
from aptnn_md.stream import StreamHeader, StreamReader, StreamWriter, check_stream, open_stream
from aptnn_md.stream.ensemble import Ensemble, run_path

HEADER = StreamHeader(timestep=0.5, n_atoms=3, temperature=300.0, thermostat_time=100.0)


def write(path: Path, first: int, last: int, energy: bool = True) -> Path:
    with StreamWriter(path, HEADER, first, durable=False) as writer:
        for k in range(first, last):
            given = {"conserved_energy": -1.0 / (k + 3)} if energy else {}
            writer.append(k, 0.5 * k, {"bead": np.full((1, 3), float(k))}, **given)
    return path


def test_it_is_kept_over_restarts(tmp_path: Path) -> None:
    whole, parts = write(tmp_path / "whole", 0, 30), write(tmp_path / "parts", 0, 20)
    write(parts, 11, 30)
    for name in ("conserved_energy", "step"):
        found, expected = (StreamReader(path).read(name) for path in (parts, whole))
        np.testing.assert_array_equal(found, expected)
    assert StreamReader(parts).header.thermostat_time == 100.0
    assert check_stream(parts)["frames"] == "30, finite, equally spaced"


@pytest.mark.parametrize("version", [1, 2])
def test_a_stream_without_it_goes_on_without_it(tmp_path: Path, version: int) -> None:
    path = write(tmp_path / "s", 0, 20, energy=False)
    if version == 1:
        as_version_1(path)
    write(path, 11, 30)
    reader = StreamReader(path)
    assert reader.n_frames == 30
    assert reader.read("conserved_energy") is None
    check_stream(path)


def test_it_is_in_every_frame_or_in_none(tmp_path: Path) -> None:
    path = write(tmp_path / "s", 0, 20)
    with pytest.raises(InputError, match="expected conserved_energy"):
        write(path, 20, 21, energy=False)


@pytest.mark.thorough
@pytest.mark.parametrize("every", [47, pytest.param(5, marks=pytest.mark.slow)])
def test_each_damaged_byte_is_found(tmp_path: Path, every: int) -> None:
    path = write(tmp_path / "s", 0, 9)
    for place in sorted((path / "conserved_energy").iterdir()):
        content = place.read_bytes()
        for at in range(0, len(content), every):
            damaged = bytearray(content)
            damaged[at] ^= 4
            place.write_bytes(damaged)
            with pytest.raises(InputError):
                check_stream(path)
        place.write_bytes(content)
    check_stream(path)


def test_it_is_shown(tmp_path: Path) -> None:
    pytest.importorskip("xarray")
    found = open_stream(write(tmp_path / "s", 0, 9))
    np.testing.assert_array_equal(found.conserved_energy, -1.0 / np.arange(3, 12))
    assert found.conserved_energy.dims == ("frame",)
    assert found.conserved_energy.attrs["units"] == "eV"
    assert found.attrs["thermostat_time"] == 100.0
    # one run of an ensemble is from before it was known
    folder = tmp_path / "runs"
    folder.mkdir()
    Ensemble(2, 9).write(folder)
    write(run_path(folder, 1), 0, 9)
    write(run_path(folder, 2), 0, 9, energy=False)
    assert list(open_stream(folder).data_vars) == ["dipole_rate"]
