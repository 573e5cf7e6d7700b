"""Tensors of many frames, in this process or in several, always in the order of the frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.engines.trajectory.frames import Frame
from aptnn_md.errors import RunError
from aptnn_md.prediction.interface import TensorModel
from aptnn_md.prediction.loading import as_model
from aptnn_md.structure_checks import check_structure
from aptnn_md.targets import Tensors

_AHEAD = 2
"""Batches for each process that are read before they are asked for."""


@dataclass(frozen=True)
class ModelSource:
    """A model by its name, which any process can load.

    Attributes
    ----------
    name : as for :func:`aptnn_md.prediction.loading.as_model`
    options : its options: name and value
    """

    name: str
    options: tuple[tuple[str, Any], ...] = ()

    def load(self) -> TensorModel:
        """The model."""
        return as_model(self.name, **dict(self.options))


@dataclass(frozen=True)
class Request:
    """What is wanted of frames.

    Attributes
    ----------
    template : elements, charge and masses
    at_beads, at_centroid : tensors at the positions of the beads, and at their mean
    """

    template: Atoms
    at_beads: bool = True
    at_centroid: bool = False

    def structures(self, frame: Frame) -> list[Atoms]:
        """Those to be evaluated of a frame: all beads first, then the centroid."""
        found = []
        if self.at_beads:
            beads = frame.positions.reshape(-1, *frame.positions.shape[-2:])
            found += [frame.atoms(self.template, positions) for positions in beads]
        if self.at_centroid:
            found.append(frame.atoms(self.template, frame.snapshot().centroid().positions))
        return found


@dataclass(frozen=True)
class Evaluated:
    """A frame with its tensors, as :class:`aptnn_md.stream.frame.Instant` has them.

    Attributes
    ----------
    number : of the frame
    frame : positions, velocities, cell
    at_beads, at_centroid : tensors, or None where they were not wanted
    """

    number: int
    frame: Frame
    at_beads: Tensors | None
    at_centroid: Tensors | None


def evaluate(model: TensorModel, request: Request, frames: Sequence[Frame]) -> list[list[Tensors]]:
    """Tensors of the structures of each frame; one call of the model.

    Raises
    ------
    InputError
        A structure that cannot be, or that the model refuses.
    """
    structures = [request.structures(frame) for frame in frames]
    flat = [atoms for of_frame in structures for atoms in of_frame]
    for atoms in flat:
        check_structure(atoms)
    found = iter(model.evaluate(flat))
    return [[next(found) for _ in of_frame] for of_frame in structures]


@lru_cache(maxsize=1)
def _loaded(source: ModelSource) -> TensorModel:
    """The model of this process."""
    return source.load()


def evaluate_by_name(
    source: ModelSource, request: Request, frames: Sequence[Frame]
) -> list[list[Tensors]]:
    """:func:`evaluate` in a process that loads the model the first time."""
    return evaluate(_loaded(source), request, frames)


@dataclass
class Evaluation:
    """Reads frames, evaluates them in batches, and gives them in their order.

    Batches begin at fixed frames, so what a resumed stream gets of a model does not depend on where
    the run was stopped.

    Attributes
    ----------
    read : frame by number
    where : names a frame, for messages
    request : what is wanted
    model : for this process
    batch : frames in a batch
    source, executor, n_workers : for other processes; without an executor all is done here
    """

    read: Callable[[int], Frame]
    where: Callable[[int], str]
    request: Request
    model: TensorModel
    batch: int = 8
    source: ModelSource | None = None
    executor: Executor | None = None
    n_workers: int = 1
    _running: deque[tuple[range, list[Frame], Future[list[list[Tensors]]]]] = field(
        default_factory=deque
    )

    def frames(self, start: int, stop: int) -> Iterator[Evaluated]:
        """Frames ``start`` to before ``stop``.

        Raises
        ------
        InputError
            A frame that cannot be read or evaluated.
        RunError
            A process ended unexpectedly, or the model failed.
        """
        first = start - start % self.batch
        for begin in range(first, stop, self.batch):
            numbers = range(begin, min(begin + self.batch, stop))
            frames = [self.read(number) for number in numbers]
            for each in self._pushed(numbers, frames):
                yield from (one for one in each if one.number >= start)
        while self._running:
            yield from (one for one in self._popped() if one.number >= start)

    def _pushed(self, numbers: range, frames: list[Frame]) -> Iterator[list[Evaluated]]:
        """Begin a batch; what was finished meanwhile."""
        if self.executor is None:
            yield self._together(numbers, frames, evaluate(self.model, self.request, frames))
            return
        assert self.source is not None
        work = self.executor.submit(evaluate_by_name, self.source, self.request, frames)
        self._running.append((numbers, frames, work))
        while len(self._running) >= _AHEAD * self.n_workers:
            yield self._popped()

    def _popped(self) -> list[Evaluated]:
        numbers, frames, work = self._running.popleft()
        try:
            found = work.result()
        except BrokenProcessPool as error:
            where = self.where(numbers.start)
            raise RunError(
                f"{where}: a process ended unexpectedly (out of memory?); the same command "
                "continues the stream, with fewer --jobs if need be"
            ) from error
        return self._together(numbers, frames, found)

    def _together(
        self, numbers: range, frames: list[Frame], tensors: list[list[Tensors]]
    ) -> list[Evaluated]:
        rows = zip(numbers, frames, tensors, strict=True)
        return [self._one(number, frame, found) for number, frame, found in rows]

    def _one(self, number: int, frame: Frame, found: list[Tensors]) -> Evaluated:
        at_centroid = found[-1] if self.request.at_centroid else None
        if not self.request.at_beads:
            return Evaluated(number, frame, None, at_centroid)
        beads = found[:-1] if self.request.at_centroid else found
        if frame.positions.ndim == 2:
            return Evaluated(number, frame, beads[0], at_centroid)
        stacked: dict[str, FloatArray] = {
            name: np.stack([bead[name] for bead in beads], axis=1) for name in beads[0]
        }
        return Evaluated(number, frame, stacked, at_centroid)
