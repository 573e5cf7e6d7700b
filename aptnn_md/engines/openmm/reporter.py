"""A reporter for OpenMM simulations that writes the dipole rate to a stream."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.atoms.motion_temperature import MotionTemperatures
from aptnn_md.atoms.partition import Partition, parse_groups
from aptnn_md.atoms.snapshot import Snapshot
from aptnn_md.engines.mobility import say_mobility
from aptnn_md.engines.open_space import rotation_of
from aptnn_md.engines.openmm.integrators import integrator_of, velocities_lag
from aptnn_md.engines.openmm.particles import PER_NM, PER_PS, Particles
from aptnn_md.errors import InputError, RunError
from aptnn_md.prediction.interface import check_elements
from aptnn_md.prediction.loading import ModelSource, as_model
from aptnn_md.prediction.watch import watch_of
from aptnn_md.settings import Count, fitting
from aptnn_md.stream import StreamHeader, StreamReader, StreamWriter, stream_exists
from aptnn_md.stream.frame import FrameRates, Instant
from aptnn_md.stream.members import streamed_members
from aptnn_md.stream.owner import StreamOwner
from aptnn_md.stream.run_id import run_id_of
from aptnn_md.stream.start import start_fields, start_of


@dataclass(frozen=True)
class _Seen:
    """What the context held at a step."""

    step: int
    positions: FloatArray
    velocities: FloatArray
    cell: FloatArray | None


class StreamReporter(StreamOwner):
    """Writes Ṁ, and ȧ where the model knows it, of an OpenMM simulation to a stream.

    ::

        simulation.reporters.append(StreamReporter("water-apt", "water.zarr", 4))
        simulation.step(20_000)

    OpenMM's integrators keep velocities half a step before the positions. So a frame is completed
    one step later, by the mean of the velocities of two steps, which for Verlet is exactly the
    central difference of the positions; see :mod:`aptnn_md.engines.openmm.integrators`. The frame
    of the step at which the simulation stands when it is first run is written, too.

    Virtual sites are not shown to the model. Atoms of mass 0 are fixed; with rigid bonds there is
    no f-sum. Tensors come from the model, forces from any system, openmm-ml's included.

    Parameters
    ----------
    model : model file, bundled name, several of them with commas between, or whatever
        :func:`aptnn_md.prediction.loading.as_model` takes
    path : directory of the stream
    stride : steps between frames, which are those that OpenMM counts as multiples of it
    groups : groups of atoms or motions, or a name for
        :func:`aptnn_md.atoms.partition.parse_groups`
    velocities : also write the velocities of all atoms, for their power spectrum
    restart : continue an existing stream, once a checkpoint or state has been loaded; frames from
        its step on are replaced. Add this reporter before any ``CheckpointReporter``: it commits
        its frames before a checkpoint is written. Before ``saveCheckpoint`` and ``saveState`` call
        :meth:`commit`
    total_charge : e, to which tensors of a model that is loaded here sum up
    device : of a model that is loaded here
    header : other fields of :class:`aptnn_md.stream.StreamHeader`: ``temperature`` (default: the
        integrator's), ``ensemble``, ``notes``

    Raises
    ------
    InputError
        From the model, or a stream that exists; when the simulation begins: groups, an integrator
        whose velocities cannot be used, particles without elements, reporters in a wrong order.
    RunError
        During the run: disk full, values that are not finite, a time step that changes.
    """

    def __init__(
        self,
        model: ModelSource,
        path: str | os.PathLike[str],
        stride: int = 4,
        *,
        groups: Partition | str = "all",
        velocities: bool = False,
        restart: bool = False,
        total_charge: float | None = None,
        device: str = "cpu",
        **header: Any,
    ) -> None:
        self.path, self.stride = path, int(fitting(stride, Count, "StreamReporter", "stride"))
        self._header_fields, self._velocities, self._groups = header, velocities, groups
        self._model = as_model(model, total_charge=total_charge, device=device)
        self._continues = stream_exists(path)
        if self._continues and not restart:
            expected = "no such directory, or restart=True to continue it"
            raise InputError(path, "stream", "a stream", expected)
        self._particles: Particles
        self._rates: FrameRates
        self._timestep = 0.0
        self._lag = True
        self._waiting: _Seen | None = None
        self._next_step = 0

    def describeNextReport(self, simulation: Any) -> tuple[int, bool, bool, bool, bool, None]:
        """Steps to the next call; OpenMM asks before it runs on."""
        step = int(simulation.currentStep)
        if self.writer is None:
            self._begin(simulation, step)
        expected = self._next_step if self._waiting is None else self._waiting.step
        if step > expected or (self._waiting is not None and step != expected):
            raise RunError(
                f"{self.path}: the context was set to step {step}, expected {expected}: a "
                "trajectory that jumps is another stream"
            )
        if step == self._next_step and self._waiting is None:
            # the simulation stands at a frame's step already
            self._see(simulation, step)
        following = step + 1 if self._waiting is not None else self._next_step
        # nothing of OpenMM's state is asked for, so that this is called in the order of the list
        return (following - step, False, False, False, False, None)

    def report(self, simulation: Any, state: Any) -> None:
        """Complete the frame of the step before, or begin one; called by OpenMM.

        Raises
        ------
        RunError
            The time step has changed, or see :meth:`aptnn_md.stream.StreamWriter.append_frame`.
        """
        step = int(simulation.currentStep)
        timestep = float(integrator_of(simulation).getStepSize()._value) / PER_PS
        if not math.isclose(timestep, self._timestep, rel_tol=1e-9):
            raise RunError(
                f"{self.path}: step {step}: the time step is {timestep:g} fs, it was "
                f"{self._timestep:g} fs; one stream has one"
            )
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            later = self._velocities_now(simulation)
            self._append(waiting, 0.5 * (waiting.velocities + later))
        if step == self._next_step:
            self._see(simulation, step)
        self._commit_before_checkpoints(simulation, step)

    def __enter__(self) -> StreamReporter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.writer is not None:
            self.writer.__exit__(kind, error, traceback)

    # ------------------------------------------------------------------ details

    def _begin(self, simulation: Any, step: int) -> None:
        _check_order(simulation, self)
        self._particles = particles = Particles.of(simulation)
        self._lag = velocities_lag(simulation)
        self._timestep = float(integrator_of(simulation).getStepSize()._value) / PER_PS
        seen = self._look(simulation, step)
        atoms = particles.atoms(seen.positions, seen.cell)
        check_elements(self._model, atoms)
        found = None
        if self._continues:
            there = StreamReader(self.path)
            _check_not_begun_anew(simulation, step, there)
            found = there.header
        start = start_of(atoms, found)
        groups = self._groups
        partition = parse_groups(groups, start) if isinstance(groups, str) else groups
        mobility = particles.mobility
        has_limits = not mobility.is_free or mobility.mass_fractions is not None
        self._rates = FrameRates(
            partition,
            particles.masses,
            velocities=self._velocities,
            variable_cell=particles.periodic and particles.changes_cell,
            mobility=mobility if has_limits else None,
            motions=MotionTemperatures.of(start, mobility),
            n_members=streamed_members(self._model.committee_sizes, len(partition.labels), found),
            domain=watch_of(self._model, start.numbers),
        )
        say_mobility(mobility, partition)
        self._next_step = math.ceil(step / self.stride) * self.stride
        self._header_fields = self._header_fields | start_fields(start, groups)
        header = self._header(simulation, atoms)
        self.writer = StreamWriter(self.path, header, self._next_step if self._continues else None)

    def _header(self, simulation: Any, atoms: Any) -> StreamHeader:
        import openmm

        integrator = integrator_of(simulation)
        constants: dict[str, Any] = {
            "timestep": self._timestep,
            "stride": self.stride,
            "model": self._model.name,
            "model_sha256": self._model.sha256,
            "ensemble": type(integrator).__name__,
            "run_id": run_id_of(simulation, self.path if self._continues else None),
            "rotation": rotation_of(atoms, self._particles.mobility),
            "notes": f"OpenMM {openmm.__version__}",
        }
        if hasattr(integrator, "getTemperature"):
            constants["temperature"] = float(integrator.getTemperature()._value)
        return self._rates.header(atoms, **(constants | self._header_fields))

    def _look(self, simulation: Any, step: int) -> _Seen:
        """Positions and velocities of the context, and its cell."""
        state = simulation.context.getState(getPositions=True, getVelocities=True)
        index, cell = self._particles.index, None
        positions = np.array(state.getPositions(asNumpy=True)._value)[index] * PER_NM
        velocities = np.array(state.getVelocities(asNumpy=True)._value)[index]
        if self._particles.periodic:
            cell = np.array(state.getPeriodicBoxVectors(asNumpy=True)._value) * PER_NM
        return _Seen(step, positions, velocities * PER_NM * PER_PS, cell)

    def _velocities_now(self, simulation: Any) -> FloatArray:
        state = simulation.context.getState(getVelocities=True)
        velocities = np.array(state.getVelocities(asNumpy=True)._value)[self._particles.index]
        return velocities * PER_NM * PER_PS

    def _see(self, simulation: Any, step: int) -> None:
        """Begin the frame of a step, which is complete where velocities do not lag."""
        seen = self._look(simulation, step)
        if self._lag:
            self._waiting = seen
        else:
            self._append(seen, seen.velocities)
        self._next_step = step + self.stride

    def _append(self, seen: _Seen, velocities: FloatArray) -> None:
        assert self.writer is not None
        atoms = self._particles.atoms(seen.positions, seen.cell)
        tensors = self._model.evaluate([atoms])[0]
        instant = Instant(velocities, Snapshot.of(atoms), tensors)
        temperature = self._particles.temperature(velocities)
        time = seen.step * self._timestep
        self.writer.append_frame(self._rates.frame(seen.step, time, instant, temperature))

    def _commit_before_checkpoints(self, simulation: Any, step: int) -> None:
        """Commit where a checkpoint may be written before the next call, or now after this one."""
        following = step + 1 if self._waiting is not None else self._next_step
        for reporter in simulation.reporters:
            interval = _checkpoint_interval(reporter)
            if interval and (
                step % interval == 0 or step // interval < (following - 1) // interval
            ):
                self.commit()
                return


def _checkpoint_interval(reporter: Any) -> int:
    """Steps between the checkpoints of a reporter; 0: it writes none."""
    if "Checkpoint" not in type(reporter).__name__:
        return 0
    return int(getattr(reporter, "_reportInterval", 1))


def _check_not_begun_anew(simulation: Any, step: int, there: StreamReader) -> None:
    """Refuse to replace a stream by that of a simulation whose checkpoint was not loaded.

    A run that was killed before its first checkpoint begins anew.
    """
    if step or not there.n_frames:
        return
    intervals = [n for n in map(_checkpoint_interval, simulation.reporters) if n]
    last = int(np.asarray(there.read("step", there.n_frames - 1))[0])
    if last > min(intervals, default=0):
        raise InputError(
            there.path,
            "restart",
            f"frames to step {last}, and a simulation that begins at step 0",
            "its checkpoint loaded before (simulation.loadCheckpoint), or no such directory",
        )


def _check_order(simulation: Any, own: StreamReporter) -> None:
    for reporter in simulation.reporters:
        if reporter is own:
            return
        if _checkpoint_interval(reporter):
            expected = "the StreamReporter first, so that frames are on disk before a checkpoint is"
            found = f"{type(reporter).__name__} before it"
            raise InputError("OpenMM", "simulation.reporters", found, expected)
