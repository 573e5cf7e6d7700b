"""Ids of trajectories."""

from __future__ import annotations

import gc
from pathlib import Path

from aptnn_md.stream import StreamHeader, StreamReader, StreamWriter
from aptnn_md.stream.run_id import new_run_id, run_id_of


class Engine:
    """What makes a trajectory."""


def stream(path: Path, run_id: str) -> Path:
    with StreamWriter(path, StreamHeader(timestep=1.0, run_id=run_id)) as writer:
        writer.append(0, 0.0, {"bead": [[0.0, 0.0, 0.0]]})
    return path


def test_an_engine_has_one_id() -> None:
    first, second = Engine(), Engine()
    assert run_id_of(first) == run_id_of(first) != run_id_of(second)
    known = {run_id_of(first), run_id_of(second)}
    del first, second
    gc.collect()
    assert not known & {run_id_of(Engine()) for _ in range(20)}
    assert len({new_run_id() for _ in range(20)}) == 20


def test_the_id_of_a_stream_that_is_resumed(tmp_path: Path) -> None:
    known = stream(tmp_path / "known", "x")
    engine = Engine()
    assert run_id_of(engine, known) == run_id_of(engine) == "x"
    unknown = stream(tmp_path / "unknown", "")
    for path in (unknown, tmp_path / "nowhere"):
        assert len(run_id_of(Engine(), path)) == 32
    other = Engine()
    before = run_id_of(other)
    assert run_id_of(other, known) == before


def test_runs_with_other_ids_belong_to_one_system(tmp_path: Path) -> None:
    """Ids neither keep independent runs apart nor change a stream that is resumed."""
    header = StreamReader(stream(tmp_path / "a", "x")).header
    header.check_same_run("b", StreamHeader(timestep=1.0, run_id="y"))
    with StreamWriter(tmp_path / "a", StreamHeader(timestep=1.0, run_id="y"), 1) as writer:
        writer.append(1, 1.0, {"bead": [[0.0, 0.0, 0.0]]})
    assert StreamReader(tmp_path / "a").header.run_id == "x"
