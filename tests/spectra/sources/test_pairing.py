"""Which streams are of one trajectory."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from helpers.paired_streams import write_stream

from aptnn_md.errors import InputError
from aptnn_md.spectra.sources.pairing import paired_runs
from aptnn_md.spectra.sources.stream_run import StreamRun
from aptnn_md.stream import StreamReader, StreamWriter

N = 40
RATES = np.random.default_rng(0).normal(size=(N, 3))
HEAT = 300.0 + np.random.default_rng(1).normal(size=N)
OTHER_HEAT = 300.0 + np.random.default_rng(2).normal(size=N)
CONSTANT = np.full(N, 300.0)


def common(a: Path, b: Path, skip: float = 0.0) -> tuple[range, range] | None:
    found = paired_runs([StreamRun(a, skip)], [StreamRun(b, skip)])
    return (found[0].first, found[0].second) if found else None


@pytest.mark.parametrize(
    ("heats", "ids", "paired"),
    [
        ((HEAT, HEAT), ("", ""), True),  # as in streams that have no id
        ((HEAT, HEAT * (1 + 1e-12)), ("", ""), True),
        ((HEAT, HEAT), ("x", "x"), True),
        ((HEAT, HEAT), ("x", "y"), True),  # a deterministic run that was repeated
        ((None, None), ("x", "x"), True),
        ((HEAT, None), ("x", "x"), True),
        ((CONSTANT, CONSTANT), ("x", "x"), True),
        ((HEAT, HEAT * (1 + 1e-7)), ("", ""), False),
        ((HEAT, OTHER_HEAT), ("", ""), False),
        ((HEAT, OTHER_HEAT), ("x", "x"), False),  # dynamics that were used for another run
        ((CONSTANT, CONSTANT), ("", ""), False),  # says nothing
        ((CONSTANT, CONSTANT), ("x", "y"), False),
        ((None, None), ("x", "y"), False),
        ((None, None), ("", ""), False),
        ((HEAT, None), ("", ""), False),
    ],
)
def test_temperatures_and_ids_tell(
    tmp_path: Path,
    heats: tuple[np.ndarray | None, np.ndarray | None],
    ids: tuple[str, str],
    paired: bool,
) -> None:
    a, b = (
        write_stream(tmp_path / name, RATES, heat, run_id=run_id)
        for name, heat, run_id in zip("ab", heats, ids, strict=True)
    )
    assert common(a, b) == ((range(N), range(N)) if paired else None)


@pytest.mark.parametrize(
    "constants",
    [{"timestep": 0.25}, {"system": "other atoms"}, {"n_beads": 4}],
)
def test_other_systems_are_other_trajectories(tmp_path: Path, constants: dict[str, object]) -> None:
    a = write_stream(tmp_path / "a", RATES, HEAT, run_id="x", system="atoms")
    b = write_stream(tmp_path / "b", RATES, HEAT, **{"run_id": "x", "system": "atoms", **constants})
    assert common(a, b) is None


def test_frames_are_matched_by_their_steps(tmp_path: Path) -> None:
    a = write_stream(tmp_path / "a", RATES, HEAT)
    b = write_stream(tmp_path / "b", RATES[10:], HEAT[10:], first_frame=10)
    assert common(a, b) == (range(10, N), range(N - 10))
    # 2 fs a frame
    assert common(a, b, skip=0.006) == (range(13, N), range(3, N - 10))
    c = write_stream(tmp_path / "c", RATES[:10], HEAT[:10], first_frame=N, run_id="x")
    d = write_stream(tmp_path / "d", RATES, HEAT, run_id="x")
    assert common(c, d) is None
    e = write_stream(tmp_path / "e", RATES, HEAT)
    assert common(e, a) == (range(N), range(N))


def test_a_copy_that_was_continued_otherwise_is_refused(tmp_path: Path) -> None:
    heat = np.concatenate([HEAT[:25], OTHER_HEAT[25:]])
    a = write_stream(tmp_path / "a", RATES, HEAT, run_id="x")
    b = write_stream(tmp_path / "b", RATES, heat, run_id="x")
    message = "another temperature at step 100, expected one trajectory or two.* --unpaired"
    with pytest.raises(InputError, match=message):
        common(a, b)
    # runs from one start agree at the beginning, too, and are two
    c = write_stream(tmp_path / "c", RATES, heat, run_id="y")
    assert common(a, c) is None


@pytest.mark.parametrize("heat", [HEAT, None])
def test_other_strides_of_one_trajectory_are_refused(
    tmp_path: Path, heat: np.ndarray | None
) -> None:
    a = write_stream(tmp_path / "a", RATES, heat, run_id="x")
    every_third = None if heat is None else heat[::3]
    b = write_stream(tmp_path / "b", RATES[::3], every_third, run_id="x", stride=12)
    message = "b: stride: found 12, expected 4, as in .*a, which is of the same trajectory; --unp"
    with pytest.raises(InputError, match=message):
        common(a, b)
    other = write_stream(tmp_path / "c", RATES[::3], OTHER_HEAT[::3], run_id="y", stride=12)
    assert common(a, other) is None


def test_increments_are_paired_with_rates(tmp_path: Path) -> None:
    """Each is corrected in its own way before they are compared."""
    a = write_stream(tmp_path / "a", RATES, HEAT)
    b = write_stream(tmp_path / "b", RATES[1:], HEAT[1:], first_frame=1, rate="difference")
    assert common(a, b) == (range(1, N), range(N - 1))


def test_after_a_restart_an_id_alone_does_not_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = (write_stream(tmp_path / name, RATES, run_id="x") for name in "ab")
    assert common(a, b) is not None
    with StreamWriter(b, StreamReader(b).header, 4 * N) as writer:
        writer.append(4 * N, 2.0 * N, {"bead": RATES[:1]})
    with caplog.at_level(logging.WARNING, logger="aptnn_md"):
        assert common(a, b) is None
    assert "have the same run id, but no temperatures" in caplog.text
