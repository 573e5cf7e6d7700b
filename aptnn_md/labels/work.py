"""Units of work: single points, each calculated once, with its result in a file written whole.

A point's file lies in a directory named by a hash of everything that determines its numbers
(engine, settings, structure, charge), so a run that was stopped can resume, and a run with more
frames or more properties calculates only what is new.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from aptnn_md.errors import RunError
from aptnn_md.executors import how_it_broke
from aptnn_md.files import write_whole
from aptnn_md.labels.engines.interface import Engine, load_engine
from aptnn_md.labels.points import (
    Point,
    PointFailure,
    PointResult,
    failure_json,
    read_point,
)


@dataclass(frozen=True)
class Task:
    """Single points of one frame.

    Parameters
    ----------
    atoms, charge : the structure and its charge, e
    directory : where the points' files are
    points : the first one is calculated before the others, which may begin from it
    needed : property that every point must have
    """

    atoms: Atoms
    charge: float
    directory: Path
    points: tuple[Point, ...]
    needed: str

    def path(self, point: Point) -> Path:
        """File of a point."""
        return self.directory / f"{point.name}.json"

    def read(self, point: Point) -> PointResult | PointFailure | None:
        """Result or failure of a point; None: not calculated yet."""
        try:
            return read_point(self.path(point).read_text())
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{self.path(point)}: not a single point ({error}); remove it") from None


def frame_directory(work: Path, engine: Engine, atoms: Atoms, charge: float) -> Path:
    """Directory for the points of a structure with an engine."""
    of_structure: dict[str, Any] = getattr(engine, "identity_of", lambda atoms: {})(atoms)
    identity = json.dumps(
        {
            "engine": {**engine.identity, **of_structure},
            "numbers": atoms.numbers.tolist(),
            "pbc": atoms.pbc.tolist(),
            "charge": charge,
        },
        sort_keys=True,
    )
    digest = hashlib.sha256(identity.encode())
    for array in (atoms.positions, atoms.cell.array):
        digest.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
    return work / digest.hexdigest()[:24]


@lru_cache(maxsize=1)
def _engine(spec: str) -> Engine:
    """The engine of this process."""
    return load_engine(spec)


@contextmanager
def failures() -> Iterator[None]:
    """Whatever a program raises in between is a failure of the point."""
    try:
        yield
    except (PointFailure, OSError):
        raise
    except Exception as error:
        lines = str(error).splitlines() or [""]
        raise PointFailure(f"{type(error).__name__}: {lines[0]}") from error


def run_point(spec: str, task: Task, point: Point) -> bool:
    """Calculate a point and write its file; True unless it failed."""
    try:
        result = _calculate(_engine(spec), task, point)
    except PointFailure as failure:
        write_whole(task.path(point), failure_json(failure).encode())
        return False
    write_whole(task.path(point), result.to_json().encode())
    return True


def _calculate(engine: Engine, task: Task, point: Point) -> PointResult:
    with_forces = task.needed == "forces" or point.is_zero
    with failures():
        result = engine.calculate(
            point.place(task.atoms),
            np.array(point.field),
            charge=task.charge,
            with_forces=with_forces,
            scratch=task.directory,
            keep=point.is_zero,
        )
    result.check(len(task.atoms), [task.needed])
    return result


def run_tasks(
    spec: str,
    tasks: Sequence[Task],
    executor: Executor | None,
    n_workers: int,
    done: Callable[[int], None],
) -> None:
    """Calculate all points that have no file yet.

    A frame's other points follow its first one; after a failure the rest of the frame is skipped.

    Parameters
    ----------
    spec : of the engine
    tasks : each directory once
    executor : None: in this process
    n_workers : points to calculate at the same time
    done : called with the number of points that are finished

    Raises
    ------
    RunError
        A process of the executor died.
    """
    waiting: deque[tuple[int, Point]] = deque()
    upcoming = _open_points(tasks, done)
    left_out: set[int] = set()
    at_work: dict[Future[bool], tuple[int, Point]] = {}

    def next_point() -> tuple[int, Point] | None:
        while True:
            if not waiting:
                more = next(upcoming, None)
                if more is None:
                    return None
                waiting.extend(more)
                continue
            number, point = waiting.popleft()
            if number not in left_out:
                return number, point
            done(1)

    def ended(number: int, point: Point, success: bool) -> None:
        done(1)
        task = tasks[number]
        if not success:
            left_out.add(number)
        if point == task.points[0]:
            rest = [(number, other) for other in task.points[1:] if task.read(other) is None]
            done(len(task.points) - 1 - len(rest))
            waiting.extendleft(reversed(rest))

    if executor is None:
        while (item := next_point()) is not None:
            ended(*item, run_point(spec, tasks[item[0]], item[1]))
        return
    exhausted = False
    while True:
        while len(at_work) < n_workers and not exhausted:
            item = next_point()
            if item is None:
                break
            at_work[executor.submit(run_point, spec, tasks[item[0]], item[1])] = item
        if not at_work:
            return
        finished, _ = wait(at_work, return_when=FIRST_COMPLETED)
        for future in finished:
            item = at_work.pop(future)
            try:
                success = future.result()
            except BrokenExecutor as error:
                raise RunError(
                    f"label: {how_it_broke(error)}; the same command resumes where it stopped"
                ) from error
            ended(*item, success)


def _open_points(
    tasks: Sequence[Task], done: Callable[[int], None]
) -> Iterator[list[tuple[int, Point]]]:
    """For each task, what can be started: its first point, or after that all the others."""
    for number, task in enumerate(tasks):
        task.directory.mkdir(parents=True, exist_ok=True)
        first = task.read(task.points[0])
        if first is None:
            yield [(number, task.points[0])]
            continue
        known = [first, *(task.read(point) for point in task.points[1:])]
        if any(isinstance(result, PointFailure) for result in known):
            done(len(task.points))
            continue
        rest = [p for p, result in zip(task.points, known, strict=True) if result is None]
        done(len(task.points) - len(rest))
        if rest:
            yield [(number, point) for point in rest]


def forget_failures(tasks: Iterable[Task]) -> None:
    """Remove the files of points that failed, so that they are calculated again."""
    for task in tasks:
        for point in task.points:
            if isinstance(task.read(point), PointFailure):
                task.path(point).unlink()


def results(task: Task) -> Mapping[Point, PointResult] | PointFailure:
    """All points of a task, or the first failure among them."""
    found: dict[Point, PointResult] = {}
    missing = 0
    for point in task.points:
        result = task.read(point)
        if isinstance(result, PointFailure):
            return PointFailure(f"{point.name}: {result}")
        if result is None:
            missing += 1
        else:
            found[point] = result
    if missing:
        return PointFailure(f"{missing} of {len(task.points)} points not calculated")
    return found
