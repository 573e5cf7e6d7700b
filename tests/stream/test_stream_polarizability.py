"""Polarizability rates in streams: optional, for all estimators, as safe as the dipole's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from aptnn_md.cli.info import describe
from aptnn_md.errors import InputError, RunError
from aptnn_md.stream import StreamHeader, StreamReader, StreamWriter, check_stream, open_stream
from aptnn_md.targets import PGT

ESTIMATORS = ("centroid-apt", "bead")
HEADER = StreamHeader(timestep=0.5, stride=4, estimators=ESTIMATORS, groups=("O", "H"))
RATES = np.random.default_rng(3).normal(size=(900, 2, 2, 3))
CHANGES = np.random.default_rng(4).normal(size=(900, 2, 2, 6))


def by_estimator(values: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(ESTIMATORS, values, strict=True))


def append(writer: StreamWriter, frames: range, sign: float = 1.0) -> None:
    for k in frames:
        writer.append(
            4 * k,
            2.0 * k,
            by_estimator(sign * RATES[k]),
            polarizability_rates=by_estimator(sign * CHANGES[k]),
            polarizability_rate_std=abs(CHANGES[k, 0]),
        )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    with StreamWriter(tmp_path / "s", HEADER, 0) as writer:
        append(writer, range(900))
    reader = StreamReader(tmp_path / "s")
    assert reader.n_frames == 900
    for index, name in enumerate(ESTIMATORS):
        np.testing.assert_array_equal(reader.polarizability_rate(name), CHANGES[:, index])
        np.testing.assert_array_equal(reader.dipole_rate(name), RATES[:, index])
    np.testing.assert_array_equal(reader.polarizability_rate(), CHANGES[:, 0])
    pieces = list(reader.pieces(reader.array_name(PGT, "bead"), 400, 50))
    assert [piece.shape for piece in pieces] == [(400, 2, 6), (400, 2, 6), (50, 2, 6)]
    np.testing.assert_array_equal(np.concatenate(pieces), CHANGES[50:, 1])
    np.testing.assert_array_equal(reader.read("polarizability_rate_std"), abs(CHANGES[:, 0]))


def test_another_program_knows_what_it_reads(tmp_path: Path) -> None:
    with StreamWriter(tmp_path / "s", HEADER, 0) as writer:
        append(writer, range(3))
    group = zarr.open_group(tmp_path / "s", mode="r")
    array = group["polarizability_rate/bead"]
    assert array.metadata.dimension_names == ("frame", "group", "component")  # type: ignore[union-attr]
    assert array.dtype == np.float64  # type: ignore[union-attr]
    assert group.attrs["units"]["polarizability_rate"] == "Å³/fs"  # type: ignore[call-overload, index]
    assert "xx, yy, zz, yz, xz, xy" in str(group.attrs["index_order"])
    assert group.attrs["version"] == 2
    assert "polarizability_rate/bead" in str(describe(str(tmp_path / "s"))["arrays"])


def test_streams_without_it(tmp_path: Path) -> None:
    with StreamWriter(tmp_path / "s", HEADER, 0) as writer:
        assert StreamReader(tmp_path / "s").polarizability_rate().shape == (0, 2, 6)
        writer.append(0, 0.0, by_estimator(RATES[0]))
    reader = StreamReader(tmp_path / "s")
    assert reader.dipole_rate().shape == (1, 2, 3)
    assert not any("polarizability" in name for name in reader.arrays)
    assert reader.read("polarizability_rate/bead") is None
    with pytest.raises(InputError, match="found dipole rates only, expected polarizability rates"):
        reader.polarizability_rate()
    with pytest.raises(InputError, match="estimator: found other"):
        reader.polarizability_rate("other")
    # a run that begins to give them does not go on with this stream
    with (
        StreamWriter(tmp_path / "s", HEADER, 4) as writer,
        pytest.raises(InputError, match=r"step 4: arrays: found .*polarizability_rate/bead"),
    ):
        append(writer, range(1, 2))
    assert StreamReader(tmp_path / "s").n_frames == 1


def test_bad_frames(tmp_path: Path) -> None:
    writer = StreamWriter(tmp_path / "s", HEADER, 0)
    rates, changes = by_estimator(RATES[0]), by_estimator(CHANGES[0])
    with pytest.raises(InputError, match=r"rate/bead: found shape \(2, 3\), expected shape \(2, 6"):
        writer.append(0, 0.0, rates, polarizability_rates=changes | {"bead": RATES[0, 0]})
    bad = CHANGES[0, 1].copy()
    bad[1, 4] = np.inf
    with pytest.raises(RunError, match=r"polarizability_rate/bead: found inf at \(1, 4\)"):
        writer.append(0, 0.0, rates, polarizability_rates=changes | {"bead": bad})
    writer.append(0, 0.0, rates, polarizability_rates=changes)
    with pytest.raises(InputError, match="step 4: arrays"):
        writer.append(4, 2.0, rates)
    with pytest.raises(InputError, match=r"arrays: found .*, expected .*polarizability_rate/bead"):
        writer.append(4, 2.0, rates, polarizability_rates={"centroid-apt": CHANGES[0, 0]})
    writer.close()
    assert StreamReader(tmp_path / "s").polarizability_rate("bead").shape == (1, 2, 6)


def test_an_estimator_may_have_dipole_rates_alone(tmp_path: Path) -> None:
    """As a potential's own dipole; the first frame decides."""
    only = {"centroid-apt": CHANGES[0, 0]}
    for first in (0, 1):  # a restart knows it, too
        with StreamWriter(tmp_path / "s", HEADER, 4 * first) as writer:
            for k in range(first, first + 2):
                writer.append(4 * k, 2.0 * k, by_estimator(RATES[k]), polarizability_rates=only)
    reader = StreamReader(tmp_path / "s")
    np.testing.assert_array_equal(reader.dipole_rate("bead"), RATES[:3, 1])
    np.testing.assert_array_equal(reader.polarizability_rate(), CHANGES[[0, 0, 0], 0])
    with pytest.raises(InputError, match=r"estimator: found bead, expected .*: centroid-apt"):
        reader.polarizability_rate("bead")
    check_stream(tmp_path / "s")
    pytest.importorskip("xarray")
    named = open_stream(tmp_path / "s")["polarizability_rate"]
    assert np.isnan(named.sel(estimator="bead")).all()
    np.testing.assert_array_equal(named.sel(estimator="centroid-apt"), CHANGES[[0, 0, 0], 0])


@pytest.mark.parametrize("kept", [0, 1, 437])
def test_restart_drops_what_comes_again(tmp_path: Path, kept: int) -> None:
    with StreamWriter(tmp_path / "s", HEADER, 0) as writer:
        append(writer, range(900), sign=-1.0)
    with StreamWriter(tmp_path / "s", HEADER, 4 * kept) as writer:
        append(writer, range(kept, 600))
    reader = StreamReader(tmp_path / "s")
    signs = np.where(np.arange(600) < kept, -1.0, 1.0)[:, None, None]
    for index, name in enumerate(ESTIMATORS):
        found = reader.polarizability_rate(name)
        np.testing.assert_array_equal(found, signs * CHANGES[:600, index])
        assert len(found) == len(reader.dipole_rate(name)) == len(reader.step) == 600
