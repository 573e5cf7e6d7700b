"""The stream of a LAMMPS run: frames of its states, on the rank that evaluates the model."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.atoms.motion_temperature import MotionTemperatures
from aptnn_md.atoms.partition import parse_groups
from aptnn_md.atoms.snapshot import Snapshot
from aptnn_md.engines.lammps.settings import LammpsSettings
from aptnn_md.engines.lammps.state import LammpsAtoms, LammpsState
from aptnn_md.engines.mobility import say_mobility
from aptnn_md.engines.open_space import rotation_of
from aptnn_md.errors import InputError, RunError
from aptnn_md.prediction.interface import TensorModel, check_elements
from aptnn_md.prediction.watch import watch_of
from aptnn_md.progress import Progress
from aptnn_md.spectra.convergence.monitor import Monitor
from aptnn_md.spectra.convergence.stopping import ConvergenceStop
from aptnn_md.stream import StreamHeader, StreamReader, StreamWriter, stream_exists
from aptnn_md.stream.frame import FrameRates, Instant
from aptnn_md.stream.members import streamed_members
from aptnn_md.stream.owner import StreamOwner
from aptnn_md.stream.run_id import run_id_of
from aptnn_md.stream.start import start_fields, start_of
from aptnn_md.structures import Mobility
from aptnn_md.units import AMU_A2_PER_FS2_EV, BOLTZMANN_EV_PER_K

_MOVED = 1e-6
"""Å, by which an atom that is held may be off."""


@dataclass(frozen=True)
class System:
    """What is constant in a run.

    Attributes
    ----------
    atoms : with LAMMPS's masses, where they are at the start
    mobility : what the fixes let move
    timestep : fs
    temperature : of a thermostat, K; None without one
    description : of the ensemble, for human readers
    version : of LAMMPS
    """

    atoms: Atoms
    mobility: Mobility
    timestep: float
    temperature: float | None
    description: str
    version: str


class LammpsStream(StreamOwner):
    """Frames of a run of LAMMPS, as :class:`aptnn_md.engines.lammps.recorder.Sink` asks for them.

    Parameters
    ----------
    settings : what to write
    model : that gives the tensors; None on ranks that write nothing
    restart : continue an existing stream
    stop : event by which a signal asks for the end
    until : the run ends when this finds that the spectrum of the stream has converged
    """

    def __init__(
        self,
        settings: LammpsSettings,
        model: TensorModel | None,
        restart: bool,
        stop: threading.Event,
        until: Monitor | None = None,
    ) -> None:
        self.settings, self.model, self.stop = settings, model, stop
        self._first_header = None
        if stream_exists(settings.path):
            if not restart:
                expected = "no such directory, or --restart to continue it"
                raise InputError(settings.path, "stream", "a stream", expected)
            self._first_header = StreamReader(settings.path).header
        self.until = until
        self.convergence: ConvergenceStop | None = None
        self.has_converged = False
        self.progress: Progress | None = None
        self.temperatures: list[float] = []
        self.first_step: int | None = None
        self._held: tuple[FloatArray, FloatArray] | None = None
        self._begins_at = 0
        # known when a run is about to begin
        self._source: LammpsAtoms
        self._system: System
        self._rates: FrameRates

    # ------------------------------------------------------------------ the runner's side

    @property
    def continues(self) -> bool:
        """Whether there was a stream to continue."""
        return self._first_header is not None

    def prepare(self, source: LammpsAtoms, system: System, step: int) -> None:
        """Before a run: what LAMMPS says of the system, and the step it is at.

        Raises
        ------
        InputError
            Groups that are not in the structure; or this run does not continue the one before.
        """
        self._source, self._begins_at = source, step
        if self.writer is not None:
            before = self._system.timestep
            if not math.isclose(before, system.timestep):
                found = f"{system.timestep:g} fs, and {before:g} fs in the run before"
                raise InputError("LAMMPS script", "timestep", found, "one time step in a stream")
            return
        self._system = system
        if self.model is not None:
            check_elements(self.model, system.atoms)
        start = start_of(system.atoms, self._first_header)
        partition = parse_groups(self.settings.groups, start)
        mobility = None if system.mobility.is_free else system.mobility
        say_mobility(mobility, partition)
        self._rates = FrameRates(
            partition,
            np.asarray(system.atoms.get_masses(), dtype=np.float64),
            velocities=self.settings.velocities,
            mobility=mobility,
            motions=MotionTemperatures.of(start, mobility),
            n_members=streamed_members(
                {} if self.model is None else self.model.committee_sizes,
                *(len(partition.labels), self._first_header),
            ),
            domain=None if self.model is None else watch_of(self.model, system.atoms.numbers),
        )

    # ------------------------------------------------------------------ the recorder's side

    def begin(self) -> None:
        """Open the stream, once LAMMPS has set up its first run."""
        if self.writer is not None:
            return
        if self._source.changes_cell and all(self._source.periodic):
            self._rates = replace(self._rates, variable_cell=True)
        stride = self.settings.stride
        resumes = self._first_header is not None
        next_step = math.ceil(self._begins_at / stride) * stride
        self.writer = StreamWriter(
            self.settings.path, self._header(), next_step if resumes else None
        )
        if self.until is not None:
            source: Any = self  # it commits and has a header, like an observer
            self.convergence = ConvergenceStop(self.until, source)

    def append(self, state: LammpsState) -> None:
        """Write the frame of a state.

        Raises
        ------
        RunError
            The number of atoms or the time step has changed, or see
            :meth:`aptnn_md.stream.StreamWriter.append_frame`.
        """
        system, rates = self._system, self._rates
        assert self.writer is not None
        assert self.model is not None
        if len(state.positions) != len(system.atoms):
            raise RunError(
                f"step {state.step}: {len(state.positions)} atoms, {len(system.atoms)} at the "
                "start; a stream is of the same atoms throughout"
            )
        if not math.isclose(self._source.timestep, system.timestep):
            raise RunError(
                f"step {state.step}: the time step is {self._source.timestep:g} fs, it was "
                f"{system.timestep:g} fs; a stream has one (no fix dt/reset)"
            )
        atoms = Atoms(
            numbers=system.atoms.numbers,
            positions=state.positions,
            cell=state.cell,
            pbc=system.atoms.pbc,
            masses=system.atoms.get_masses(),
        )
        self._check_held(state)
        tensors = self.model.evaluate([atoms])[0]
        instant = Instant(state.velocities, Snapshot.of(atoms), tensors)
        temperature = self._temperature(state)
        time = state.step * system.timestep
        self.writer.append_frame(rates.frame(state.step, time, instant, temperature))
        self.temperatures.append(temperature)
        if self.first_step is None:
            self.first_step = state.step
        if self.convergence is not None:
            self.has_converged = self.convergence()
        if self.progress is not None:
            done = state.step - self._begins_at - self.progress.done
            self.progress.update(max(0, done), f"{time / 1000.0:.3f} ps, {temperature:.0f} K")

    def wants_to_stop(self) -> bool:
        """Whether a signal has asked for the end, or the spectrum has converged."""
        return self.stop.is_set() or self.has_converged

    # ------------------------------------------------------------------ details

    def _header(self) -> StreamHeader:
        system, rates = self._system, self._rates
        assert self.model is not None
        start = start_of(system.atoms, self._first_header)
        turned_off = "momentum" in system.description  # fix momentum may take it away
        return rates.header(
            system.atoms,
            timestep=system.timestep,
            stride=self.settings.stride,
            temperature=system.temperature,
            model=self.model.name,
            model_sha256=self.model.sha256,
            ensemble=system.description,
            run_id=run_id_of(self, self.settings.path if self._first_header else None),
            rotation="" if turned_off else rotation_of(system.atoms, system.mobility),
            notes=f"LAMMPS {system.version}",
            **start_fields(start, self.settings.groups),
        )

    def _temperature(self, state: LammpsState) -> float:
        """LAMMPS's own, of what can move: it counts fixed atoms among those that carry it."""
        assert state.temperature is not None
        n_atoms, moves = len(state.positions), self._system.mobility.atoms > 0.5
        n_moving = int(moves.sum())
        if n_moving in (0, n_atoms):
            return state.temperature
        # LAMMPS counts fixed atoms, and the velocities that they keep
        masses = np.asarray(self._system.atoms.get_masses(), dtype=np.float64)
        held = float((masses[~moves, None] * state.velocities[~moves] ** 2).sum())
        of_moving = 3.0 * (n_atoms - 1) * state.temperature
        of_moving -= held * AMU_A2_PER_FS2_EV / BOLTZMANN_EV_PER_K
        return of_moving / (3.0 * n_moving)

    def _check_held(self, state: LammpsState) -> None:
        """Refuse atoms that move though no fix that is known here integrates them."""
        held, cell = self._system.mobility.atoms < 0.5, state.cell
        if self._held is None:
            self._held = state.positions[held], cell
            return
        places, cell_before = self._held
        if not np.array_equal(cell, cell_before):
            return  # barostats may take fixed atoms with them
        off = np.abs(state.positions[held] - places).max(initial=0.0)
        if off > _MOVED:
            raise RunError(
                f"step {state.step}: an atom has moved by {off:.2g} Å though no fix that is known "
                "here integrates its motion, so that it was taken for fixed; please report the "
                "script"
            )
