"""A reporter for torch-sim's batched simulations that writes the dipole rate of each system."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch_sim.trajectory import TrajectoryReporter

from aptnn_md.atoms.partition import Partition
from aptnn_md.engines.torch_sim.streams import StreamPlan, SystemStream
from aptnn_md.engines.torch_sim.systems import Kinematics, systems_of
from aptnn_md.engines.torch_sim.velocity_check import VelocityCheck
from aptnn_md.errors import InputError
from aptnn_md.prediction.interface import TensorModel
from aptnn_md.prediction.loading import ModelSource, as_model
from aptnn_md.settings import Count, fitting
from aptnn_md.stream import stream_exists
from aptnn_md.stream.layout import StreamFrame

_Path = str | os.PathLike[str]


class TorchSimReporter(TrajectoryReporter):  # type: ignore[misc]
    """Writes Ṁ, and ȧ where the model knows it, of each system of a batch to a stream of its own.

    ::

        reporter = TorchSimReporter("water-apt", ["a.zarr", "b.zarr"], stride=4, timestep=0.5)
        torch_sim.integrate([a, b], model, integrator=..., timestep=0.0005, n_steps=20_000,
                            temperature=300.0, trajectory_reporter=reporter)

    It is torch-sim's ``trajectory_reporter``, and takes the place of the trajectories; where these
    are wanted too, it hands everything on to a reporter of torch-sim's own. In a loop of one's own,
    call :meth:`report` after each step, and use the reporter in a ``with`` statement.

    All systems are evaluated together. The batched state is neither split nor copied on its device;
    positions and velocities of the frames come to the host in one transfer, where structures,
    groups and motions are handled as those of every engine.

    Parameters
    ----------
    model : model file, bundled name, several of them with commas between, or whatever
        :func:`aptnn_md.prediction.loading.as_model` takes
    paths : directories of the streams, one for each system
    stride : steps between frames, which are those whose number is a multiple of it
    timestep : fs; torch-sim does not tell its reporters, so it is compared with how far the atoms
        move
    groups : groups of atoms or motions of each system, or a name for
        :func:`aptnn_md.atoms.partition.parse_groups`
    velocities : also write the velocities of all atoms, for their power spectrum
    temperature : of the thermostat, K: one for all, or one for each system
    resume_at : step of the state with which the run is continued: so are existing streams, whose
        frames after this step are replaced
    trajectory : a reporter of torch-sim's own, which gets all calls after the streams are
        committed. Opened with ``mode="a"`` it says by itself at which step a run continues
    total_charge : e, to which tensors of a model that is loaded here sum up
    device : of a model that is loaded here; by default that of the states
    header : other fields of :class:`aptnn_md.stream.StreamHeader` of all systems: ``ensemble``,
        ``notes``

    Raises
    ------
    InputError
        A stream that exists, or paths that are not different; when the simulation begins: from the
        model, another number of systems, groups, a time step by which the atoms do not move,
        velocities at half steps.
    RunError
        During the run: disk full, values that are not finite, a cell that changes although the
        integrator has no barostat.
    """

    def __init__(
        self,
        model: ModelSource,
        paths: _Path | Sequence[_Path],
        stride: int = 4,
        *,
        timestep: float,
        groups: Partition | str = "all",
        velocities: bool = False,
        temperature: float | Sequence[float] | None = None,
        resume_at: int | None = None,
        trajectory: Any = None,
        total_charge: float | None = None,
        device: str | None = None,
        **header: Any,
    ) -> None:
        self._all = _different([paths] if isinstance(paths, str | os.PathLike) else paths)
        self._paths = self._all
        self.stride = int(fitting(stride, Count, "TorchSimReporter", "stride"))
        self.timestep = timestep
        self._source, self._charge, self._device = model, total_charge, device
        self._groups, self._velocities, self._header_fields = groups, velocities, header
        self._temperatures = dict(zip(self._all, _each(temperature, len(self._all)), strict=True))
        self._trajectory = trajectory
        if resume_at is None and trajectory is not None and getattr(trajectory, "mode", "w") == "a":
            resume_at = min((s for s in trajectory.last_written_steps if s is not None), default=0)
        self._resume_at, self._shift = resume_at, 0
        for path in self._all:
            if stream_exists(path) and resume_at is None:
                expected = "no such directory, or resume_at= the step of the state to continue it"
                raise InputError(path, "stream", "a stream", expected)
        self._model: TensorModel | None = None
        self._streams: list[SystemStream] = []
        self._check = VelocityCheck(timestep)
        self._waiting: list[list[StreamFrame]] = []
        self._next = 0
        self._names = self.filenames
        # what torch-sim's own methods that are not overridden look at
        self.state_frequency, self.metadata = self.stride, None
        self.state_kwargs: dict[str, Any] = {}
        self.prop_calculators: dict[int, Any] = {}

    # ------------------------------------------------------------------ what torch-sim calls

    @property
    def filenames(self) -> list[str]:
        """Paths of the streams, or of the trajectories."""
        if self._trajectory is not None and self._trajectory.filenames:
            return list(self._trajectory.filenames)
        return [str(path) for path in self._paths]

    @property
    def trajectories(self) -> list[Any]:
        """What torch-sim asks for the last step written: streams, or trajectories."""
        return list(self._trajectory.trajectories if self._trajectory else self._streams)

    @property
    def mode(self) -> str:
        """``"a"`` where a run is continued, else ``"w"``."""
        return "w" if self._resume_at is None else "a"

    @property
    def last_written_steps(self) -> list[int | None]:
        """Step of the state that is continued, for each system."""
        if self._trajectory is not None:
            return list(self._trajectory.last_written_steps)
        return [self._resume_at] * len(self._paths)

    def report(
        self, state: Any, step: int | list[int], model: Any = None, **options: Any
    ) -> list[dict[str, Any]]:
        """Write the frames of a step; called after each step.

        Parameters
        ----------
        state : batched state of molecular dynamics
        step : its number, the same for all systems
        model : that gave the forces, for the trajectory
        options : ``force``, for the trajectory: streams hold even steps only

        Raises
        ------
        InputError, RunError
            See the class.
        """
        number = self._number(step)
        if number % self.stride == 0 or not self._check.done:
            kinematics = Kinematics.of(state)
            if not self._streams:
                self._begin(state, kinematics, number)
            if number % self.stride == 0:
                self._add(number, kinematics)
            self._look(number, kinematics)
        if self._trajectory is None:
            return [{} for _ in range(state.n_systems)]
        self._commit_before_a_state(number, bool(options.get("force")))
        found: list[dict[str, Any]] = self._trajectory.report(state, step, model, **options)
        return found

    def reopen_trajectories(self, filenames: Any) -> None:
        """Continue with the systems of the next batch.

        Parameters
        ----------
        filenames : some of :attr:`filenames`
        """
        names = [filenames] if isinstance(filenames, str | os.PathLike) else list(filenames)
        if self._trajectory is not None:
            known = dict(zip(self._names, self._all, strict=True))
            chosen = [known[str(name)] for name in names]
            reopen = getattr(self._trajectory, "reopen_trajectories", None)
            (reopen or self._trajectory.load_new_trajectories)(filenames=names)
        else:
            chosen = [Path(name) for name in names]
        self._close_streams()
        self._paths, self._check = chosen, VelocityCheck(self.timestep)

    load_new_trajectories = reopen_trajectories  # its name in torch-sim 0.3

    def commit(self) -> None:
        """Write all frames to disk; do so before a state is saved by hand."""
        self._write_waiting()
        for stream in self._streams:
            stream.commit()

    def finish(self) -> None:
        """Commit and release the streams, and the trajectories."""
        self._close_streams()
        if self._trajectory is not None:
            self._trajectory.finish()

    def close(self) -> None:
        """Do the same as :meth:`finish`."""
        self.finish()

    def __enter__(self) -> TorchSimReporter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.finish()

    # ------------------------------------------------------------------ details

    def _number(self, step: int | list[int]) -> int:
        """Step of the whole run; torch-sim 0.3 counts from 1 whenever a run is continued."""
        number = step if isinstance(step, int) else min(step)
        if not isinstance(step, int) and min(step) != max(step):
            expected = "one step for all systems: molecular dynamics, no optimization"
            raise InputError("torch-sim", "step", f"{min(step)} to {max(step)}", expected)
        first = not self._streams and not self._shift
        if first and self._resume_at is not None and number <= self._resume_at:
            self._shift = self._resume_at
        return number + self._shift

    def _begin(self, state: Any, kinematics: Kinematics, number: int) -> None:
        if state.n_systems != len(self._paths):
            expected = f"{state.n_systems}, one for each system"
            raise InputError("TorchSimReporter", "paths", len(self._paths), expected)
        if self._model is None:
            device = self._device or str(state.device)
            self._model = as_model(self._source, total_charge=self._charge, device=device)
        plan = StreamPlan(
            model=self._model,
            timestep=self.timestep,
            stride=self.stride,
            groups=self._groups,
            velocities=self._velocities,
            changes_cell=type(state).__name__.startswith("NPT"),
            resume_at=self._resume_at,
            header=self._header_fields,
        )
        self._streams = [
            plan.stream_of(system, path, self._temperatures[path])
            for system, path in zip(systems_of(state, kinematics), self._paths, strict=True)
        ]
        self._next = math.ceil(number / self.stride) * self.stride

    def _add(self, number: int, kinematics: Kinematics) -> None:
        """Make the frames of all systems, which wait until time step and velocities are known."""
        assert self._model is not None
        structures = [
            stream.system.now(kinematics.positions[stream.system.place], kinematics.cells[k])
            for k, stream in enumerate(self._streams)
        ]
        evaluated = self._model.evaluate(structures)
        found = zip(self._streams, structures, evaluated, strict=True)
        self._waiting.append(
            [stream.frame(number, kinematics, atoms, tensors) for stream, atoms, tensors in found]
        )

    def _look(self, number: int, kinematics: Kinematics) -> None:
        """Check the first steps; write frames once these are right."""
        try:
            if not self._check.done:
                self._check.see(number, kinematics)
        except InputError:
            self._waiting = []
            raise
        if self._check.done:
            self._write_waiting()

    def _write_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        first = self._next if self._resume_at is not None else None
        for frames in waiting:
            for stream, frame in zip(self._streams, frames, strict=True):
                stream.write(frame, first)

    def _commit_before_a_state(self, number: int, force: bool) -> None:
        """Commit where the trajectory may write a state, from which a run may be continued."""
        frequency = self._trajectory.state_frequency
        if self._check.done and (force or (frequency and number % frequency == 0)):
            self.commit()

    def _close_streams(self) -> None:
        self._write_waiting()
        for stream in self._streams:
            stream.close()
        self._streams = []


def _different(paths: Sequence[_Path]) -> list[Path]:
    found = [Path(path) for path in paths]
    if not found or len(set(found)) < len(found):
        shown = ", ".join(map(str, found)) or "none"
        raise InputError("TorchSimReporter", "paths", shown, "one for each system, all different")
    return found


def _each(value: float | Sequence[float] | None, n: int) -> list[float | None]:
    """A value for each of n systems."""
    if value is None or isinstance(value, int | float):
        return [value] * n
    if len(value) != n:
        raise InputError("TorchSimReporter", "temperature", f"{len(value)} of them", f"1 or {n}")
    return [float(each) for each in value]
