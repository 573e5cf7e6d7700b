"""Streaming observer for ASE molecular dynamics."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.md.md import MolecularDynamics

from aptnn_md.arrays import FloatArray
from aptnn_md.atoms.coordinate_temperature import CoordinateTemperatures
from aptnn_md.atoms.motion_temperature import MotionTemperatures
from aptnn_md.atoms.partition import Partition, parse_groups
from aptnn_md.atoms.rotation import WholeRotation
from aptnn_md.atoms.snapshot import Snapshot
from aptnn_md.engines.ase.conserved_energy import (
    conserved_energy,
    conserves_energy,
    thermostat_time,
)
from aptnn_md.engines.ase.potential_dipole import ESTIMATOR as POTENTIAL_DIPOLE
from aptnn_md.engines.ase.potential_dipole import PotentialDipole
from aptnn_md.engines.ase.tensor_source import committee_size, n_members, source_of_tensors
from aptnn_md.engines.ase.uncertain_frames import UncertainFrames
from aptnn_md.engines.kinetic_temperature import temperature as kinetic_temperature
from aptnn_md.engines.mobility import say_mobility
from aptnn_md.engines.open_space import rotation_of, turns
from aptnn_md.engines.potential_identity import check_resumed, potential_fields
from aptnn_md.errors import InputError, RunError
from aptnn_md.prediction.loading import ModelSource
from aptnn_md.prediction.watch import watch_of
from aptnn_md.stream import StreamWriter
from aptnn_md.stream.frame import FrameRates, Instant
from aptnn_md.stream.run_id import run_id_of
from aptnn_md.structures import Mobility


class StreamObserver:
    """Writes Ṁ, and ȧ where the model knows it, of a running ASE simulation to a stream.

    ::

        dyn = VelocityVerlet(atoms, timestep=0.5 * units.fs)
        with StreamObserver(dyn, "water.zarr", "water-apt", stride=4, groups="element") as observer:
            dyn.attach(observer, interval=4)
            dyn.run(20_000)

    ASE calls observers after a complete step: forces are those of the new positions and the
    second half of the velocity update is done. So positions and velocities belong to the same
    time, and Ṁ = Σᵢ apt[i] @ v[i] is the exact derivative of the dipole there, up to the
    integrator's own error of second order in the time step; likewise ȧ = Σᵢ pgt[i] @ v[i] for the
    polarizability, where the model gives its gradients, too. With a barostat the velocities are
    the peculiar ones, without the strain rate of the cell times the positions; that part would
    depend on the origin and is no current of the molecules.

    Of Verlet's integrator and Bussi's thermostat the conserved energy is written, too, so that its
    drift can be judged. Whoever resumes a run of ``Bussi`` restores its ``transferred_energy``, as
    :class:`aptnn_md.engines.ase.restart.Checkpoint` does.

    Parameters
    ----------
    dynamics : any MD object of ASE, with its atoms
    path : directory of the stream
    model : model file, bundled name, several of them with commas between
        (``"water-apt,water-pgt"``), or a callable ``model(atoms) -> (n_atoms, 3, 3)``; None:
        the tensors of ``atoms.calc``, e.g. an
        :class:`aptnn_md.engines.ase.calculator.APTCalculator`, which evaluates them only once where
        its forces need them too
    stride : MD steps between frames, the ``interval`` of ``dynamics.attach``
    groups : groups of atoms or motions, or a name for
        :func:`aptnn_md.atoms.partition.parse_groups`, which finds them in the atoms as they are
        now. To resume a stream in which molecules may have changed, give the groups of the start
    first_step : None: a new stream, ``path`` must not exist. To resume a stream: the steps that
        the run had done when ``dynamics.nsteps`` was 0; frames from the first new step on are
        replaced, and a gap is an error
    variable_cell : write the volume with every frame; default: where the class of ``dynamics``
        changes the cell
    velocities : also write the velocities of all atoms, for their power spectrum: as much data as
        a trajectory in single precision
    no_rotation : the rotation of the whole, where it was taken out of the velocities at the start,
        so that f-sum and temperature are those of the other motions; None: it turns, or cannot
    dipole_calculator : also write Ṁ of this calculator's own dipole, as the estimator
        ``potential-dipole``; see :mod:`aptnn_md.engines.ase.potential_dipole`
    members : also write the rates of each member of a committee, as estimators ``member-1``, ...,
        whose spectra tell the error of the model; None: those of a committee where the groups are
        few (:mod:`aptnn_md.stream.members`), and as far as a stream that is resumed has them
    saved : keeps frames on which the members disagree; None: none are kept
    coordinates : also write the temperatures of bonds, angles and rotations, on which the
        spectra of many runs at constant energy are regressed
    header : other fields of :class:`aptnn_md.stream.StreamHeader`: ``temperature`` of a
        thermostat, ``ensemble``, ``rotation``, ``provenance``, ``notes``

    Raises
    ------
    InputError
        From the model, the groups or the stream; later, an ``interval`` that is not ``stride``.
    RunError
        During the run: disk full, values that are not finite, a cell that changes unexpectedly.
    """

    def __init__(
        self,
        dynamics: MolecularDynamics,
        path: str | os.PathLike[str],
        model: ModelSource | None = None,
        *,
        stride: int = 1,
        groups: Partition | str = "all",
        first_step: int | None = None,
        variable_cell: bool | None = None,
        velocities: bool = False,
        no_rotation: WholeRotation | None = None,
        dipole_calculator: Any = None,
        members: bool | None = None,
        saved: UncertainFrames | None = None,
        coordinates: CoordinateTemperatures | None = None,
        **header: Any,
    ) -> None:
        if not hasattr(dynamics, "dt"):
            found = type(dynamics).__name__
            raise InputError("StreamObserver", "dynamics", found, "molecular dynamics of ASE")
        atoms = dynamics.atoms
        self.dynamics, self.stride = dynamics, stride
        self.first_step = 0 if first_step is None else first_step
        self._is_new = first_step is None
        self.groups = parse_groups(groups, atoms) if isinstance(groups, str) else groups
        if self.groups.n_atoms != len(atoms):
            raise InputError(
                "StreamObserver", "groups", f"{self.groups.n_atoms} atoms", f"{len(atoms)} atoms"
            )
        self._tensors, source = source_of_tensors(atoms, model)
        self._potential_dipole = None
        if dipole_calculator is not None:
            self._potential_dipole = PotentialDipole(dipole_calculator, atoms)
        periodic = bool(np.all(atoms.pbc))
        if variable_cell is None:
            variable_cell = _changes_cell(dynamics)
        self._constant_volume = None
        if periodic and not variable_cell:
            self._constant_volume = float(atoms.get_volume())
        self._checked_cell = b""
        self._first: tuple[FloatArray, FloatArray]
        mobility = Mobility.of(atoms) if atoms.constraints else None
        say_mobility(mobility, self.groups)
        self.frame_rates = FrameRates(
            self.groups,
            np.asarray(atoms.get_masses(), dtype=np.float64),
            velocities=velocities,
            variable_cell=periodic and variable_cell,
            mobility=mobility,
            no_rotation=no_rotation,
            motions=MotionTemperatures.of(atoms, mobility, no_rotation is not None),
            coordinates=coordinates,
            given_estimators=() if dipole_calculator is None else (POTENTIAL_DIPOLE,),
            n_members=n_members(
                source, members, len(self.groups.labels), None if self._is_new else path
            ),
            domain=watch_of(source, atoms.numbers),
        )
        self._saved = saved
        if saved is not None:
            committee_size(source)  # one model alone disagrees with nobody
        self._conserves_energy = conserves_energy(dynamics)
        self._next_step = self.first_step + _next_call(dynamics.nsteps, stride)
        constants = {
            "timestep": dynamics.dt / units.fs,
            "stride": stride,
            "model": source.name,
            "model_sha256": source.sha256,
            **potential_fields(atoms.calc),
            "ensemble": type(dynamics).__name__,
            "run_id": run_id_of(dynamics, None if first_step is None else path),
            "thermostat_time": thermostat_time(dynamics),
        }
        if no_rotation is not None:
            constants["rotation"] = "removed"
        elif turns(atoms):
            constants["rotation"] = rotation_of(atoms, mobility)
        if first_step is not None:
            # the class of the dynamics says less than what another program may have written
            check_resumed(path, constants | {"ensemble": ""} | header)
        self.writer = StreamWriter(
            path,
            self.frame_rates.header(atoms, **(constants | header)),
            None if first_step is None else self._next_step,
        )

    @property
    def last_step(self) -> int | None:
        """Step of the last frame, committed or not; None before the first."""
        return self.writer.last_step

    @property
    def next_step(self) -> int:
        """Step of the frame that comes next."""
        return self._next_step

    def __call__(self) -> None:
        """Append the frame of the present step; called by ASE."""
        atoms = self.dynamics.atoms
        step = self.first_step + self.dynamics.nsteps
        if step == self.last_step == 0 and self._is_first_again(atoms):
            return  # ASE calls observers once more where a run of no steps went before
        # some older classes of ASE do not call observers before the first step
        late_start = self._is_new and self.last_step is None and step % self.stride == 0
        if step != self._next_step and not late_start:
            raise InputError(
                "StreamObserver",
                "interval",
                f"a call at step {step} where {self._next_step} is next",
                f"dynamics.attach(observer, interval={self.stride}), the stride of the stream",
            )
        self._check_volume(atoms)
        velocities = atoms.get_velocities() * units.fs
        given = {}
        if self._potential_dipole is not None:
            mobility = self.frame_rates.mobility
            moving = velocities if mobility is None else mobility.allowed(velocities)
            given[POTENTIAL_DIPOLE] = self._potential_dipole.rates(atoms, self.groups, moving)
        energy = conserved_energy(self.dynamics) if self._conserves_energy else None
        instant = Instant(
            velocities,
            Snapshot.of(atoms),
            self._tensors(atoms),
            given=given,
            conserved_energy=energy,
        )
        time = step * self.dynamics.dt / units.fs
        kelvin = temperature(atoms, self.frame_rates.no_rotation, self.frame_rates.mobility)
        frame = self.frame_rates.frame(step, time, instant, kelvin)
        self.writer.append_frame(frame)
        if self._saved is not None:
            self._saved.look_at(atoms, step, self.writer.path.stem, frame)
        self._next_step = step + self.stride
        if step == 0:
            self._first = atoms.positions.copy(), atoms.get_momenta()

    def _is_first_again(self, atoms: Atoms) -> bool:
        now = atoms.positions, atoms.get_momenta()
        return all(np.array_equal(a, b) for a, b in zip(now, self._first, strict=True))

    def commit(self) -> None:
        """Write all frames to disk; do so before a checkpoint is written."""
        self.writer.commit()

    def close(self) -> None:
        """Commit and release the stream."""
        self.writer.close()

    def __enter__(self) -> StreamObserver:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.writer.__exit__(kind, error, traceback)

    def _check_volume(self, atoms: Atoms) -> None:
        constant, cell = self._constant_volume, atoms.cell.array.tobytes()
        if constant is None or cell == self._checked_cell:
            return
        self._checked_cell = cell
        volume = float(atoms.get_volume())
        if abs(volume - constant) > 1e-6 * constant:
            raise RunError(
                f"{self.writer.path}: the volume changed from {constant} to {volume} Å³; "
                "StreamObserver(..., variable_cell=True) writes it with every frame"
            )


def temperature(
    atoms: Atoms, no_rotation: WholeRotation | None = None, mobility: Mobility | None = None
) -> float:
    """Kinetic temperature, K, of atoms with velocities;
    :func:`aptnn_md.engines.kinetic_temperature.temperature`."""
    return kinetic_temperature(atoms, atoms.get_velocities() * units.fs, no_rotation, mobility)


def _next_call(n_steps: int, stride: int) -> int:
    """Steps of the dynamics when its observers are called next: now only if it has not begun."""
    return 0 if n_steps == 0 else (n_steps // stride + 1) * stride


def _changes_cell(dynamics: MolecularDynamics) -> bool:
    name = type(dynamics).__name__
    barostat = getattr(dynamics, "externalstress", None) is not None
    return "NPT" in name or "NPH" in name or barostat
