"""The stream of each system of a batch: how it is begun or continued, and its frames."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ase import Atoms

from aptnn_md.atoms.motion_temperature import MotionTemperatures
from aptnn_md.atoms.partition import Partition, parse_groups
from aptnn_md.atoms.snapshot import Snapshot
from aptnn_md.engines.kinetic_temperature import temperature as kinetic_temperature
from aptnn_md.engines.mobility import say_mobility
from aptnn_md.engines.open_space import rotation_of
from aptnn_md.engines.torch_sim.systems import Kinematics, System
from aptnn_md.errors import RunError
from aptnn_md.prediction.interface import TensorModel
from aptnn_md.prediction.watch import watch_of
from aptnn_md.stream import StreamHeader, StreamReader, StreamWriter, stream_exists
from aptnn_md.stream.frame import FrameRates, Instant
from aptnn_md.stream.layout import StreamFrame
from aptnn_md.stream.members import streamed_members
from aptnn_md.stream.owner import StreamOwner
from aptnn_md.stream.start import start_fields, start_of
from aptnn_md.targets import Tensors


@dataclass
class SystemStream(StreamOwner):
    """The stream of a system.

    Attributes
    ----------
    system : whose it is
    path : of the stream
    rates : make its frames
    header : what the stream says of its run
    last_step, last_written_step : of the last frame, None before the first one; torch-sim asks
        for both
    """

    system: System
    path: Path
    rates: FrameRates
    header: StreamHeader
    last_step: int | None

    @property
    def last_written_step(self) -> int | None:
        """The same as :attr:`last_step`: torch-sim asks by both names."""
        return self.last_step

    def frame(
        self, step: int, kinematics: Kinematics, atoms: Atoms, tensors: Tensors
    ) -> StreamFrame:
        """The frame of a step.

        Parameters
        ----------
        step : its number
        kinematics : of all systems
        atoms : this one, as it is now
        tensors : target -> (n_members, n_atoms, *shape)

        Raises
        ------
        RunError
            The cell has changed although the integrator is not known to change it.
        """
        self._check_volume(atoms)
        velocities = kinematics.velocities[self.system.place]
        kelvin = kinetic_temperature(self.system.atoms, velocities)
        instant = Instant(velocities, Snapshot.of(atoms), tensors)
        frame = self.rates.frame(step, step * self.header.timestep, instant, kelvin)
        self.last_step = step
        return frame

    def write(self, frame: StreamFrame, first_step: int | None) -> None:
        """Append a frame; the first one opens the stream.

        Parameters
        ----------
        frame : of :meth:`frame`
        first_step : of the frames of a run that is continued; None: the stream is new
        """
        if self.writer is None:
            self.writer = StreamWriter(self.path, self.header, first_step)
        self.writer.append_frame(frame)

    def _check_volume(self, atoms: Atoms) -> None:
        constant = self.header.volume
        if constant is None:
            return
        volume = float(atoms.get_volume())
        if not math.isclose(volume, constant, rel_tol=1e-5):
            raise RunError(
                f"{self.path}: the volume changed from {constant:g} to {volume:g} Å³ under an "
                "integrator that is not known to change it (its states are not named NPT...)"
            )


@dataclass(frozen=True)
class StreamPlan:
    """What the streams of all systems have in common.

    Attributes
    ----------
    model : of the tensors
    timestep, stride : fs, and steps between frames
    groups : groups of atoms or motions, or a name for
        :func:`aptnn_md.atoms.partition.parse_groups`
    velocities : also write the velocities of all atoms
    changes_cell : whether the integrator does
    resume_at : step of the state with which the run is continued; None: it begins
    header : other fields of :class:`aptnn_md.stream.StreamHeader`
    """

    model: TensorModel
    timestep: float
    stride: int
    groups: Partition | str
    velocities: bool
    changes_cell: bool
    resume_at: int | None
    header: dict[str, Any]

    def stream_of(
        self, system: System, path: str | os.PathLike[str], temperature: float | None
    ) -> SystemStream:
        """The stream of a system at ``temperature``, K; an existing one is to be continued.

        Raises
        ------
        InputError
            From the groups, or a stream that cannot be read.
        """
        path = Path(path)
        atoms, mobility = system.atoms, system.mobility
        continues = self.resume_at is not None and stream_exists(path)
        earlier = StreamReader(path).header if continues else None
        start = start_of(atoms, earlier)
        groups = self.groups
        partition = parse_groups(groups, start) if isinstance(groups, str) else groups
        say_mobility(mobility, partition)
        rates = FrameRates(
            partition,
            atoms.get_masses(),
            velocities=self.velocities,
            variable_cell=self.changes_cell and bool(atoms.pbc.all()),
            mobility=mobility,
            motions=MotionTemperatures.of(start, mobility),
            n_members=streamed_members(self.model.committee_sizes, len(partition.labels), earlier),
            domain=watch_of(self.model, atoms.numbers),
        )
        constants: dict[str, Any] = {
            "timestep": self.timestep,
            "stride": self.stride,
            "model": self.model.name,
            "model_sha256": self.model.sha256,
            "temperature": temperature,
            "rotation": rotation_of(atoms, mobility),
            "notes": f"torch-sim {version('torch-sim-atomistic')}",
        }
        if earlier is not None:
            constants["run_id"] = earlier.run_id
        fields = constants | start_fields(start, groups) | self.header
        last = self.resume_at if continues else None
        return SystemStream(system, path, rates, rates.header(atoms, **fields), last)
