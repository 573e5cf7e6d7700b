"""Death of a writing process at any moment: no frame is lost, doubled, or from the past."""

from __future__ import annotations

import itertools
import multiprocessing
import shutil
import signal
import time
from pathlib import Path

import numpy as np
from helpers.dying_writers import HEADER, STRIDE, rate_of, write_for_ever
from helpers.processes import FORK, die

from aptnn_md.stream import StreamReader, StreamWriter
from aptnn_md.stream import store as stream_store


def check(path: Path, first_steps: list[int], checkpoint: int) -> int:
    """Every frame is there once, and from the last process that had to write it."""
    reader = StreamReader(path)
    steps, rates, f_sum = reader.step, reader.dipole_rate(), reader.read("f_sum")
    np.testing.assert_array_equal(steps, STRIDE * np.arange(reader.n_frames))
    np.testing.assert_array_equal(reader.time, 0.5 * steps)
    assert STRIDE * reader.n_frames >= checkpoint
    assert reader.n_frames == 0 or (f_sum is not None and (f_sum == 1.0).all())
    changes = reader.read("polarizability_rate/bead")
    if changes is not None:
        np.testing.assert_array_equal(changes, np.concatenate([rates, -rates], axis=2))
    generations = rates[:, 0, 0].astype(int)
    for step, generation, rate in zip(steps, generations, rates, strict=True):
        np.testing.assert_array_equal(rate, rate_of(int(step), int(generation)))
    # beyond the checkpoint an older process may have the last word, where the newest one was
    # killed before it cut the stream; but none comes back after a newer one
    assert (np.diff(generations) >= 0).all()
    expected = np.searchsorted(first_steps, steps, side="right") - 1
    before = steps < checkpoint
    np.testing.assert_array_equal(generations[before], expected[before])
    return reader.n_frames


def test_kill_at_any_moment(tmp_path: Path) -> None:
    path, checkpoint = tmp_path / "run.stream", tmp_path / "checkpoint"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["aptnn_md.stream.writer"])
    rng = np.random.default_rng(0)
    first_steps: list[int] = []
    n_frames: list[int] = []
    for generation in range(25):
        first_step = int(checkpoint.read_text()) if checkpoint.exists() else 0
        first_steps.append(first_step)
        ready = context.Event()
        arguments = (path, checkpoint, generation, ready)
        process = context.Process(target=write_for_ever, args=arguments)
        process.start()
        assert ready.wait(60)
        time.sleep(rng.uniform(0.0, 0.2))
        assert process.is_alive(), "the writer ended by itself"
        process.kill()
        process.join()
        after = int(checkpoint.read_text()) if checkpoint.exists() else 0
        if path.exists() and (path / "zarr.json").exists():
            n_frames.append(check(path, first_steps, after))
    assert len(n_frames) >= 15
    assert len(set(n_frames)) >= 4, "the kills did not fall into writing"


def rewrite(path: Path, first_step: int, n_operations: int) -> None:
    """A restart that cuts chunks and grows again; it ends before its next file operation."""
    write_whole, unlink = stream_store.write_whole, Path.unlink
    operations_left = n_operations

    def count() -> None:
        nonlocal operations_left
        if operations_left == 0:
            die()
        operations_left -= 1

    def counted_write(target: Path, data: bytes, *, durable: bool = True) -> None:
        count()
        write_whole(target, data, durable=durable)

    def counted_unlink(target: Path, missing_ok: bool = False) -> None:
        count()
        unlink(target, missing_ok)

    stream_store.write_whole = counted_write
    Path.unlink = counted_unlink  # type: ignore[method-assign]
    with StreamWriter(path, HEADER, first_step) as writer:
        for step in range(first_step, 30 * STRIDE, STRIDE):
            writer.append(step, 0.5 * step, {"bead": rate_of(step, 1)}, f_sum=[1.0] * 150)
            if step % 2 == 0:
                writer.commit()


def test_death_between_any_two_file_operations(tmp_path: Path) -> None:
    """A process is killed before each of its file operations in turn."""
    original, path = tmp_path / "original", tmp_path / "s"
    with StreamWriter(original, HEADER, 0) as writer:
        for step in range(0, 40 * STRIDE, STRIDE):
            writer.append(step, 0.5 * step, {"bead": rate_of(step, 0)}, f_sum=[1.0] * 150)
    first_step, checkpoint = 23 * STRIDE, 23 * STRIDE
    found = []
    for n_operations in itertools.count():
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(original, path)
        process = FORK.Process(target=rewrite, args=(path, first_step, n_operations))
        process.start()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        died = process.exitcode != 0
        found.append(check(path, [0, first_step], checkpoint))
        if not died:
            break
    assert len(found) > 35
    assert found[0] == 40
    assert min(found) == 23
    assert found[-1] == 30
