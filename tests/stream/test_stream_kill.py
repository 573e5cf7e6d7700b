"""Death of a writing process at any moment: no frame is lost, doubled, or from the past."""

from __future__ import annotations

import itertools
import multiprocessing
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.die_at import run_and_die
from helpers.dying_writers import HEADER, N_GROUPS, STRIDE, rate_of, write_for_ever

from aptnn_md.stream import StreamReader, StreamWriter, check_stream, stream_exists

EVERY = pytest.mark.parametrize("every", [8, pytest.param(1, marks=pytest.mark.slow)])
"""The process dies at one of so many file operations."""


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


@pytest.mark.thorough
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


def write(path: Path, first_step: int, generation: int, stop: int) -> None:
    with StreamWriter(path, HEADER, first_step) as writer:
        for step in range(first_step, stop, STRIDE):
            rates = {"bead": rate_of(step, generation)}
            writer.append(step, 0.5 * step, rates, f_sum=[1.0] * N_GROUPS)
            if step % 4 == 0:
                writer.commit()


@pytest.mark.thorough
@EVERY
def test_death_at_any_file_operation_of_a_restart(tmp_path: Path, every: int) -> None:
    """A restart cuts chunks and grows again; it is killed before each operation in turn."""
    original, path = tmp_path / "original", tmp_path / "s"
    write(original, 0, 0, 40 * STRIDE)
    first_step = 23 * STRIDE
    found = []
    for operation in itertools.count(1, every):
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(original, path)
        ended = run_and_die(lambda: write(path, first_step, 1, 30 * STRIDE), path, operation)
        found.append(check(path, [0, first_step], first_step))
        check_stream(path)
        if ended:
            break
    assert len(found) > 35 // every
    assert found[0] == 40
    assert min(found) in range(23, 23 + every)
    assert found[-1] == 30


@pytest.mark.thorough
@EVERY
def test_death_at_any_file_operation_of_a_new_run(tmp_path: Path, every: int) -> None:
    """The first included: what is left is read, or is nothing; and the run begins again."""
    found = []
    for operation in itertools.count(1, every):
        path = tmp_path / f"s{operation}"
        ended = run_and_die(lambda path=path: write(path, 0, 0, 5 * STRIDE), path, operation)
        found.append(check(path, [0], 0) if stream_exists(path) else -1)
        if ended:
            break
        write(path, 0, 1, 5 * STRIDE)
        assert check(path, [0, 0], STRIDE) == 5
        assert check_stream(path)["frames"] == "5, finite, equally spaced"
        shutil.rmtree(path)
    assert found[0] == -1
    if every == 1:
        assert found[1] == -1
    assert sorted(found) == found
    assert len(found) > 30 // every
    assert found[-1] == 5
