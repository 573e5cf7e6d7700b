"""A labelling job: frames in, labelled frames out, with the checks of each."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, TypeAlias

import numpy as np

from aptnn_md.atomic_units import FIELD
from aptnn_md.errors import InputError, RunError
from aptnn_md.executors import PROCESSES, check_executor, workers
from aptnn_md.files import PARTIAL, write_output
from aptnn_md.labels.checks import LIMITS
from aptnn_md.labels.engines.interface import Engine, load_engine
from aptnn_md.labels.frame_labels import Labels
from aptnn_md.labels.importers.options import ImportOptions
from aptnn_md.labels.importers.reading import read_labels
from aptnn_md.labels.labelled_file import FrameToLabel, Summary, check_and_format
from aptnn_md.labels.points import RUN_PREFIX, PointFailure
from aptnn_md.labels.schemes import FIELD_ORDER, Kind, Scheme
from aptnn_md.labels.work import (
    Task,
    forget_failures,
    frame_directory,
    results,
    run_tasks,
)
from aptnn_md.locks import DirectoryLock
from aptnn_md.progress import Progress
from aptnn_md.settings import Count, NewPath, Positive, Range, Text, check_settings
from aptnn_md.targets import TARGETS, targets_of

Limit: TypeAlias = Annotated[float, Range(at_least=0.0, infinite=True)]
"""Largest figure of a check that is accepted."""


@dataclass(frozen=True)
class LabelJob:
    """What to do.

    Parameters
    ----------
    frames : structures
    engine : text for :func:`aptnn_md.labels.engines.interface.load_engine`
    out : extxyz file to write
    properties : names of the targets, of :data:`aptnn_md.labels.schemes.FIELD_ORDER`
    scheme : ``"field"``, ``"space"``, or None: by field where the engine knows one
    field, step : V/Å and Å; None: the engine's
    linearity : calculate half the field too, as a check
    executor, jobs : where points are calculated: :func:`aptnn_md.executors.workers`
    work : directory of the single points; None: next to ``out``
    limits : largest figures of the checks: :data:`aptnn_md.labels.checks.LIMITS`
    retry : calculate points again that failed in an earlier run
    collect : calculate nothing, write what is known so far

    Raises
    ------
    InputError
        A value of another type or out of its range; a target that cannot be labelled, or the same
        twice.
    """

    frames: Sequence[FrameToLabel]
    engine: Text
    out: NewPath
    properties: tuple[str, ...] = ("apt",)
    scheme: Kind | None = None
    field: Positive | None = None
    step: Positive | None = None
    linearity: bool = False
    executor: Text = PROCESSES
    jobs: Count = 1
    work: NewPath | None = None
    limits: Mapping[str, Limit] = dataclasses.field(default_factory=lambda: dict(LIMITS))
    retry: bool = False
    collect: bool = False

    def __post_init__(self) -> None:
        check_settings(self, "label")
        check_executor("label", self.executor, self.jobs)
        targets_of(self.properties, "--property")


@dataclass(frozen=True)
class ImportJob:
    """Labels to take from files of other programs.

    Parameters
    ----------
    files : with Born effective charges, or derivatives of dipole and polarizability
    out : extxyz file to write; with PGTs where any file has them
    options : what the files do not say
    limits : largest figures of the checks: :data:`aptnn_md.labels.checks.LIMITS`

    Raises
    ------
    InputError
        A value of another type or out of its range.
    """

    files: Sequence[Path]
    out: NewPath
    options: ImportOptions = dataclasses.field(default_factory=ImportOptions)
    limits: Mapping[str, Limit] = dataclasses.field(default_factory=lambda: dict(LIMITS))

    def __post_init__(self) -> None:
        check_settings(self, "label --import")


def run_labels(job: LabelJob) -> Summary:
    """Calculate what is missing, put labels together, check them and write them.

    Raises
    ------
    InputError
        Settings that do not go together, or another run in the same directory.
    RunError
        No frame could be labelled, or a process died.
    """
    engine = load_engine(job.engine)
    scheme = make_scheme(job, engine)
    if not job.collect:
        _check_structures(job, engine)
    work = job.work or job.out.with_name(job.out.name + ".work")
    lock = _lock(work)
    try:
        tasks = [
            Task(
                f.atoms,
                f.charge,
                frame_directory(work, engine, f.atoms, f.charge),
                tuple(scheme.points(f.chosen)),
                scheme.needed,
            )
            for f in job.frames
        ]
        if job.retry:
            forget_failures(tasks)
        if not job.collect:
            _calculate(job, engine, tasks)
        summary, text = _put_together(job, engine, scheme, tasks)
    finally:
        lock.release()
    write_output(job.out, text.encode())
    _check_any(job.out, summary)
    return summary


def import_labels(job: ImportJob) -> Summary:
    """Labels from files of other programs: :mod:`aptnn_md.labels.importers.reading`.

    Raises
    ------
    InputError
        A file without labels.
    RunError
        None of them passes the checks.
    """
    frames, labels = [], []
    for path in job.files:
        read = read_labels(path, job.options)
        for number, (atoms, found) in enumerate(read):
            atoms.info["source_file"] = path.name
            name = path.name if len(read) == 1 else f"{path.name}, frame {number}"
            every = np.ones(len(atoms), dtype=bool)
            frames.append(FrameToLabel(atoms, every, float(atoms.info.pop("charge")), name))
            labels.append(found)
    properties = tuple(t for t in TARGETS if any(t in found.tensors for found in labels))
    about = {"label_scheme": "import"}
    summary, text = check_and_format(frames, labels, properties, job.limits, about)
    write_output(job.out, text.encode())
    _check_any(job.out, summary)
    return summary


def _check_any(out: Path, summary: Summary) -> None:
    if not summary.n_labelled:
        first = f"{summary.names[0]}, the first" if 0 in summary.names else "the first"
        raise RunError(f"{out}: no frame labelled; {first}: {summary.failures[0]}")


def _check_structures(job: LabelJob, engine: Engine) -> None:
    """Refuse structures that the engine cannot calculate, before any point is tried."""
    for number, frame in enumerate(job.frames):
        try:
            engine.check(frame.atoms, frame.charge)
        except InputError as error:
            where = frame.name or f"frame {number}"
            raise InputError(where, error.field, error.found, error.expected) from None


def make_scheme(job: LabelJob, engine: Engine) -> Scheme:
    """The scheme of a job with an engine.

    Raises
    ------
    InputError
        The engine cannot do it.
    """
    kind = job.scheme or ("field" if engine.has_field else "space")
    scheme = Scheme(
        kind,
        job.properties,
        engine.field if job.field is None else job.field,
        engine.step if job.step is None else job.step,
        job.linearity,
        engine.has_polarizability,
        engine.has_field,
    )
    if kind == "field" and not engine.has_field:
        raise InputError("options", "--scheme", "field", f"space: {engine.name} knows no field")
    if scheme.second_order and not (engine.has_field or engine.has_polarizability):
        first_order = [name for name, order in FIELD_ORDER.items() if order == 1]
        raise InputError(
            "label",
            "--property",
            ",".join(job.properties),
            f"{','.join(first_order)}: {engine.name} knows no field and gives no polarizability",
        )
    return scheme


def _calculate(job: LabelJob, engine: Engine, tasks: Sequence[Task]) -> None:
    # the same structure twice is calculated once, with the points of both
    unique: dict[Path, Task] = {}
    for task in tasks:
        known = unique.get(task.directory)
        points = dict.fromkeys([*(known.points if known else ()), *task.points])
        unique[task.directory] = replace(task, points=tuple(points))
    todo = list(unique.values())
    n_points = sum(len(task.points) for task in todo)
    with (
        Progress(n_points, "labelling", "point") as progress,
        workers(job.executor, job.jobs) as (executor, n_workers),
    ):
        run_tasks(job.engine, todo, executor, n_workers, progress.update)
    for task in todo:
        engine.clean(task.directory)


def _put_together(
    job: LabelJob, engine: Engine, scheme: Scheme, tasks: Sequence[Task]
) -> tuple[Summary, str]:
    about = {
        "label_engine": engine.name,
        "label_scheme": scheme.kind,
        "label_field": scheme.field / FIELD,
    }
    if scheme.kind == "space":
        about["label_step"] = scheme.step

    def labels_of(frame: FrameToLabel, task: Task) -> Labels | PointFailure:
        points = results(task)
        if isinstance(points, PointFailure):
            return points
        return scheme.labels(frame.atoms, frame.chosen, points)

    found = (labels_of(frame, task) for frame, task in zip(job.frames, tasks, strict=True))
    return check_and_format(job.frames, found, job.properties, job.limits, about)


def _lock(work: Path) -> DirectoryLock:
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = DirectoryLock(work, "work directory", "another run")
    except OSError as error:
        raise InputError(work, "work directory", error.strerror, "a writable place") from error
    for left_over in work.glob(f"*/.*{PARTIAL}*"):
        left_over.unlink(missing_ok=True)
    for left_over in work.glob(f"*/{RUN_PREFIX}*"):
        shutil.rmtree(left_over, ignore_errors=True)
    return lock
