"""The stream of a stored trajectory.

With velocities frames hold rates, as those of running engines do. Without, they hold increments of
the dipole, ½ (P(r) + P(r'))·(r' - r)/Δt, as those of clients of the i-PI protocol
(:mod:`aptnn_md.engines.client.increments`): ``spectrum`` divides the damping of the difference out.

The stream is the only state: the same command continues it after its last committed frame.
"""

from __future__ import annotations

import time as clock
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.atoms.motion_temperature import MotionTemperatures
from aptnn_md.atoms.partition import parse_groups
from aptnn_md.atoms.rotation import WholeRotation
from aptnn_md.engines.kinetic_temperature import temperature
from aptnn_md.engines.trajectory.dipole_stream import StreamSummary
from aptnn_md.engines.trajectory.displacements import displacement
from aptnn_md.engines.trajectory.evaluation import Evaluated, Evaluation, ModelSource, Request
from aptnn_md.engines.trajectory.first_look import check_motion, volumes
from aptnn_md.engines.trajectory.frames import Frame
from aptnn_md.engines.trajectory.held import Held
from aptnn_md.engines.trajectory.joined import Joined
from aptnn_md.engines.trajectory.same_run import SameRun
from aptnn_md.engines.trajectory.settings import TrajectorySettings
from aptnn_md.engines.trajectory.time_axis import TimeAxis, time_axis
from aptnn_md.errors import InputError, RunError
from aptnn_md.prediction.interface import TensorModel, check_elements
from aptnn_md.prediction.watch import watch_of
from aptnn_md.progress import Progress
from aptnn_md.signals import stop_requested
from aptnn_md.stream import StreamHeader, StreamReader, StreamWriter, stream_exists
from aptnn_md.stream.frame import FrameRates, Instant
from aptnn_md.stream.increments import increment_arrays
from aptnn_md.stream.layout import StreamFrame
from aptnn_md.stream.members import streamed_members
from aptnn_md.stream.run_id import new_run_id

_SAME_VOLUME = 1e-6


@dataclass(frozen=True)
class Workers:
    """Other processes that evaluate the model.

    Attributes
    ----------
    source : the model by its name
    executor : where the work goes
    n : how many batches are worked on at once
    """

    source: ModelSource
    executor: Executor
    n: int


def stream_trajectory(
    frames: Joined,
    model: TensorModel,
    settings: TrajectorySettings,
    workers: Workers | None = None,
) -> StreamSummary:
    """Write the stream of a trajectory, or what is not yet in it.

    Parameters
    ----------
    frames : of :func:`aptnn_md.engines.trajectory.opening.open_trajectory`
    model : of APTs at least
    settings : what the stream holds
    workers : other processes for the model; None: it is evaluated in this one

    Raises
    ------
    InputError
        Frames that are missing, velocities of another time, a model that does not know the
        elements, or a stream of something else.
    RunError
        A frame cannot be followed from the one before, or the stream cannot be written.
    """
    axis = time_axis(
        frames.where,
        frames.steps,
        frames.times,
        timestep=settings.timestep,
        stride=settings.stride,
        first_step=settings.first_step,
        parts="--frames",
    )
    first = frames.read(0)
    increments = settings.increments or first.velocities is None
    check_motion(frames, axis, first, settings, increments)
    job = _Job(frames, model, settings, axis, first, increments)
    n_there = job.frames_there()
    total = len(frames) - int(increments)
    if n_there >= total:
        return StreamSummary(n_there, 0, job.axis)
    n_done = job.run(n_there, workers)
    n_frames = n_there + n_done
    return StreamSummary(n_frames, n_done, job.axis, n_frames == total)


class _Job:
    """Makes the frames of a stream."""

    def __init__(
        self,
        frames: Joined,
        model: TensorModel,
        settings: TrajectorySettings,
        axis: TimeAxis,
        first: Frame,
        increments: bool,
    ) -> None:
        self.frames, self.model, self.settings = frames, model, settings
        self.increments = increments
        self.spacing = axis.spacing
        self.axis = TimeAxis(axis.timestep, axis.stride, axis.step(1)) if increments else axis
        self.atoms = _start(frames, first)
        check_elements(model, self.atoms)
        self._held = Held.constrain(self.atoms, frames, axis.spacing)
        self.same = None if settings.run_of is None else SameRun(settings.run_of, self.axis)
        removed = self.same is not None and self.same.header.rotation == "removed"
        of_some = volumes(frames)
        self.volume = float(of_some[0])
        periodic = bool(np.all(self.atoms.pbc))
        groups = parse_groups(settings.groups, self.atoms)
        there = StreamReader(settings.path).header if stream_exists(settings.path) else None
        mobility = self._held.mobility(self.atoms)
        self.frame_rates = FrameRates(
            groups,
            np.asarray(self.atoms.get_masses(), dtype=np.float64),
            estimators=_estimators(frames, settings),
            velocities=settings.velocities,
            variable_cell=periodic and bool(np.ptp(of_some) > _SAME_VOLUME * self.volume),
            mobility=mobility,
            no_rotation=WholeRotation.of(self.atoms) if removed else None,
            # increments have the velocities of no one time
            motions=None if increments else MotionTemperatures.of(self.atoms, mobility, removed),
            n_members=streamed_members(model.committee_sizes, len(groups.labels), there),
            domain=watch_of(model, self.atoms.numbers),
        )
        self._temperatures: FloatArray | None = None
        if self.same is not None:
            self._temperatures = self.same.temperatures_of(len(frames) - int(increments))
        self.header = self._header()

    def frames_there(self) -> int:
        """Number of frames that are in the stream."""
        path = self.settings.path
        if not stream_exists(path):
            return 0
        reader = StreamReader(path)
        self.header.check_same_run(path, reader.header)
        if reader.n_frames:
            step = int(np.asarray(reader.read("step", 0, 1))[0])
            if step != self.axis.first_step:
                expected = f"{self.axis.first_step}, as here; another --stream for this one"
                raise InputError(path, "first step", step, expected)
        total = len(self.frames) - int(self.increments)
        if reader.n_frames > total:
            expected = f"at most {total}, as here; another --stream for this trajectory"
            raise InputError(path, "frames", reader.n_frames, expected)
        # a new process keeps what the header says
        self.header = replace(self.header, run_id=reader.header.run_id)
        return reader.n_frames

    def run(self, n_there: int, workers: Workers | None) -> int:
        """Append the frames that are missing; the number of them."""
        needs = self.frame_rates.needs()
        evaluation = Evaluation(
            self.frames.read,
            self.frames.where,
            Request(_bare(self.atoms), needs[0], needs[1]),
            self.model,
            self.settings.batch,
            *(() if workers is None else (workers.source, workers.executor, workers.n)),
        )
        # the last frame that is there is made again, to see that it is of this trajectory
        begin = max(0, n_there - 1)
        total = len(self.frames) - int(self.increments)
        first_step = self.axis.step(n_there)
        n_done, begun = 0, clock.monotonic()
        with (
            StreamWriter(
                self.settings.path,
                self.header,
                first_step,
                commit_seconds=self.settings.commit_seconds,
            ) as writer,
            Progress(total, "trajectory", "frame") as progress,
            stop_requested() as stop,
        ):
            progress.update(n_there)
            before: Evaluated | None = None
            for now in evaluation.frames(begin, len(self.frames)):
                number = now.number - int(self.increments)
                frame = self._frame(number, before, now)
                before = now
                if frame is None:
                    continue
                if number < n_there:
                    self._check_last(number, frame)
                    continue
                writer.append_frame(frame)
                n_done += 1
                progress.update(note=_time_left(begun, n_done, total - n_there))
                if stop.is_set():
                    break
        return n_done

    def _frame(self, number: int, before: Evaluated | None, now: Evaluated) -> StreamFrame | None:
        step = self.axis.step(number)
        self._check_volume(now)
        self._held.check(self.frames.where(now.number), now.frame)
        if not self.increments:
            return self._of_velocities(number, now)
        if before is None:
            return None
        where = self.frames.where(now.number)
        velocities = displacement(before.frame, now.frame, where) / self.spacing
        snapshot = now.frame.snapshot()
        first = Instant(velocities, None, before.at_beads, before.at_centroid)
        last = Instant(velocities, snapshot, now.at_beads, now.at_centroid)
        arrays = increment_arrays(self.frame_rates, first, last)
        if self.frame_rates.variable_cell:
            arrays["volume"] = np.asarray(snapshot.volume)
        if self._temperatures is not None:
            arrays["temperature"] = self._temperatures[number]
        return StreamFrame(step, step * self.axis.timestep, arrays)

    def _of_velocities(self, number: int, now: Evaluated) -> StreamFrame:
        step, velocities = self.axis.step(number), now.frame.velocities
        where = self.frames.where(now.number)
        if velocities is None:
            expected = "velocities as in the frames before; --increments does without"
            raise InputError(where, "velocities", "none", expected)
        instant = Instant(velocities, now.frame.snapshot(), now.at_beads, now.at_centroid)
        kelvin: float | None = temperature(self.atoms, velocities, self.frame_rates.no_rotation)
        if self.same is not None:
            kelvin = self._temperature_of_run(where, number, kelvin)
        return self.frame_rates.frame(step, step * self.axis.timestep, instant, kelvin)

    def _temperature_of_run(self, where: str, number: int, kelvin: float | None) -> float | None:
        """That of the other stream of the same run, which must be nearly the same."""
        if self._temperatures is None or self.same is None or kelvin is None:
            return None
        theirs = float(self._temperatures[number])
        self.same.check_temperature(where, kelvin, theirs)
        return theirs

    def _check_volume(self, now: Evaluated) -> None:
        if self.frame_rates.variable_cell or not np.all(self.atoms.pbc):
            return
        volume = now.frame.snapshot().volume
        if abs(volume - self.volume) > _SAME_VOLUME * self.volume:
            raise RunError(
                f"{self.frames.where(now.number)}: the volume changed from {self.volume:.8g} to "
                f"{volume:.8g} Å³, though it is the same at other frames: the frames of "
                "this part need a stream of their own (--frames)"
            )

    def _check_last(self, number: int, frame: StreamFrame) -> None:
        """Refuse to continue a stream that is of something else."""
        reader = StreamReader(self.settings.path)
        name = f"dipole_rate/{self.header.estimators[0]}"
        old = np.asarray(reader.read(name, number, number + 1))[0]
        new = np.asarray(frame.arrays[name])
        if np.abs(old - new).max() > 1e-4 * np.abs(new).max() + 1e-12:
            found = f"another rate than {self.frames.where(number)} gives"
            expected = "the stream of this trajectory and model; or another --stream"
            raise InputError(self.settings.path, f"frame {number}", found, expected)

    def _header(self) -> StreamHeader:
        constants: dict[str, Any] = {"run_id": new_run_id()}
        if self.same is not None:
            kept = ("run_id", "temperature", "ensemble", "rotation")
            constants |= {name: self.same.fields[name] for name in kept if name in self.same.fields}
        constants |= {
            "timestep": self.axis.timestep,
            "stride": self.axis.stride,
            "rate": "difference" if self.increments else "instantaneous",
            "n_beads": self.frames.n_beads,
            "model": self.model.name,
            "model_sha256": self.model.sha256,
        }
        if self.settings.temperature is not None:
            constants["temperature"] = self.settings.temperature
        header = self.frame_rates.header(self.atoms, **constants)
        if self.same is not None:
            self.same.check_system(header)
        return header


def _time_left(begun: float, n_done: int, total: int) -> str:
    """How long the rest takes at the pace so far."""
    seconds = (clock.monotonic() - begun) * (total - n_done) / n_done
    for size, unit in ((86400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"({seconds / size:.1f} {unit} left)"
    return f"({seconds:.0f} s left)"


def _estimators(frames: Joined, settings: TrajectorySettings) -> tuple[str, ...]:
    """Those that were asked for; of centroids there is one."""
    if not frames.of_centroids:
        return settings.estimators
    of_centroids = ("apt-at-centroid",)
    if settings.estimators not in (TrajectorySettings.estimators, of_centroids):
        expected = f"{of_centroids[0]}, as the trajectory holds centroids"
        raise InputError("trajectory", "--estimator", ", ".join(settings.estimators), expected)
    return of_centroids


def _start(frames: Joined, first: Frame) -> Atoms:
    """The template where the first frame has it."""
    positions = first.snapshot().centroid().positions
    return first.atoms(frames.template, positions)


def _bare(atoms: Atoms) -> Atoms:
    """Without constraints and velocities, which no model needs."""
    bare: Atoms = atoms.copy()
    bare.set_constraint()
    if bare.has("momenta"):
        del bare.arrays["momenta"]
    return bare
