"""The stream of one system of an i-PI simulation: rates of Ṁ and ȧ of its present state."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import Any

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.atoms.motion_temperature import MotionTemperatures
from aptnn_md.atoms.partition import parse_groups
from aptnn_md.atoms.snapshot import Snapshot
from aptnn_md.engines.ipi import state as ipi_state
from aptnn_md.engines.ipi.backup import set_aside
from aptnn_md.engines.ipi.polar_tensors import TensorSource
from aptnn_md.engines.ipi.settings import StreamSettings
from aptnn_md.engines.ipi.state import BeadState
from aptnn_md.engines.open_space import rotation_of, warn_of_a_thin_cell
from aptnn_md.engines.potential_identity import check_resumed, potential_fields
from aptnn_md.errors import InputError
from aptnn_md.progress import log
from aptnn_md.stream import StreamHeader, StreamReader, StreamWriter, stream_exists
from aptnn_md.stream.frame import FrameRates, Instant, estimate
from aptnn_md.stream.members import streamed_members
from aptnn_md.stream.owner import StreamOwner
from aptnn_md.stream.ring_polymers import WARNING, ring_polymer_notes
from aptnn_md.stream.run_id import run_id_of
from aptnn_md.stream.start import start_fields, start_of
from aptnn_md.targets import APT, PGT, Target


@dataclass
class _Now:
    """The instant of one step, and the rates that were asked for."""

    step: int
    state: BeadState
    instant: Instant
    rates: dict[tuple[str, str], FloatArray] = field(default_factory=dict)


class SystemStream(StreamOwner):
    """Rates of a system of i-PI, written at a stride and given as properties.

    Parameters
    ----------
    system : bound system of i-PI
    settings : what to write
    source : makes the source of the tensors, given the atoms and the system

    Raises
    ------
    InputError
        No molecular dynamics, or dynamics whose dipole rate has no meaning (see
        :func:`aptnn_md.engines.ipi.state.check_dynamics`); groups of other atoms; a barostat
        without a cell.
    """

    def __init__(
        self,
        system: Any,
        settings: StreamSettings,
        source: Callable[[Atoms, Any], TensorSource],
    ) -> None:
        ipi_state.check_dynamics(system)
        self.system, self.settings = system, settings
        self.atoms = ipi_state.template(system)
        if not settings.pbc:
            self._open_boundaries()
        warn_of_a_thin_cell(self.atoms, "--no-cell, or pbc: False among the plugin's parameters")
        self.start = self._start()
        self.groups = parse_groups(settings.groups, self.start)
        mobility = ipi_state.mobility(system)
        self.source = source(self.atoms, system)
        self.frame_rates = FrameRates(
            self.groups,
            np.asarray(self.atoms.get_masses(), dtype=np.float64),
            settings.estimators,
            settings.beads_too,
            settings.velocities,
            settings.pbc and ipi_state.variable_cell(system),
            mobility,
            motions=MotionTemperatures.of(self.start, mobility),
            domain=self.source.domain,
        )
        self.source.check(*self.frame_rates.needs())
        self.timestep = ipi_state.timestep(system)
        self._now: _Now | None = None
        self._lock = threading.RLock()
        self._warn_of_masses()

    def _open_boundaries(self) -> None:
        """Let the atoms be in open space."""
        if ipi_state.variable_cell(self.system):
            expected = "nve or nvt, or a cell that is real"
            raise InputError("i-PI input", "dynamics mode", "a barostat without a cell", expected)
        self.atoms.pbc = False

    @property
    def step(self) -> int:
        """Number of steps that led to the present state, while i-PI writes its outputs."""
        return int(self.system.simul.step) + 1

    @property
    def _resumes(self) -> bool:
        return int(self.system.simul.step) > 0

    def open(self) -> None:
        """Create the stream, or resume it after the step that i-PI starts from.

        Raises
        ------
        InputError
            It cannot be written, belongs to another run, or lacks frames before that step.
        """
        done = int(self.system.simul.step)
        stride = self.settings.stride
        if done == 0:
            set_aside(self.settings.path)
        first_step = None if done == 0 else (done // stride + 1) * stride
        self.frame_rates = replace(self.frame_rates, n_members=self._n_members())
        header = self.header()
        if first_step is not None:
            check_resumed(self.settings.path, {**self._potential, "ensemble": header.ensemble})
        self.writer = StreamWriter(self.settings.path, header, first_step)
        for note in ring_polymer_notes(header):
            log.warning("%s", note.removeprefix(WARNING))

    def _n_members(self) -> int:
        """Members of a committee whose rates are streamed; a client tells how many there are."""
        path = self.settings.path
        earlier = StreamReader(path).header if self._resumes and stream_exists(path) else None
        return streamed_members(self.source.committee_sizes, len(self.groups.labels), earlier)

    def _start(self) -> Atoms:
        """The atoms where groups are found: a run that is resumed keeps those it began with."""
        path = self.settings.path
        if int(self.system.simul.step) == 0 or not stream_exists(path):
            return self.atoms
        return start_of(self.atoms, StreamReader(path).header)

    @property
    def _potential(self) -> dict[str, str]:
        """Fields of the header, where one potential alone is known."""
        found = ipi_state.potentials(self.system)
        return potential_fields(found[0]) if len(found) == 1 else {}

    def header(self) -> StreamHeader:
        """Constants of the run."""
        return self.frame_rates.header(
            self.atoms,
            timestep=self.timestep,
            stride=self.settings.stride,
            n_beads=int(self.system.beads.nbeads),
            temperature=ipi_state.thermostat_temperature(self.system),
            model=self.source.name,
            model_sha256=self.source.sha256,
            potential=self._potential.get("potential", ""),
            potential_sha256=self._potential.get("potential_sha256", ""),
            ensemble=ipi_state.describe(self.system),
            run_id=run_id_of(self.system, self.settings.path if self._resumes else None),
            rotation=rotation_of(self.atoms, self.frame_rates.mobility),
            notes=f"i-PI {metadata.version('ipi')}",
            thermostat_time=ipi_state.thermostat_time(self.system),
            **start_fields(self.start, self.settings.groups),
        )

    def record(self) -> None:
        """Append the frame of the present step where the stride asks for one.

        Raises
        ------
        RunError
            Values that are not finite, or the disk is full.
        """
        step = self.step
        if self.writer is None or step % self.settings.stride or step == self.writer.last_step:
            return
        energy = ipi_state.conserved_energy(self.system)
        with self._lock:
            instant = replace(self._evaluated().instant, conserved_energy=energy)
            temperature = ipi_state.temperature(self.system)
            frame = self.frame_rates.frame(step, step * self.timestep, instant, temperature)
            self.writer.append_frame(frame)

    @property
    def has_frames(self) -> bool:
        """Whether a frame has been written."""
        return self.writer is not None and self.writer.last_step is not None

    def rate(self, estimator: str) -> FloatArray:
        """Dipole rate (n_groups, 3) of the present state, e Å/fs; evaluated once per step."""
        return self.rate_of(APT, estimator)

    def polarizability_rate(self, estimator: str) -> FloatArray:
        """Polarizability rate (n_groups, 6) of the present state, Å³/fs; see :meth:`rate`.

        Raises
        ------
        InputError
            The model does not know it.
        """
        return self.rate_of(PGT, estimator)

    def bead_rates(self) -> FloatArray:
        """Dipole rate of each bead of the present state, (n_beads, n_groups, 3), e Å/fs."""
        with self._lock:
            return self.frame_rates.of_beads(self._evaluated("bead").instant)

    def rate_of(self, target: Target, estimator: str) -> FloatArray:
        """Rate (n_groups, n_components) of a target, in its ``rate_unit``; see :meth:`rate`.

        Raises
        ------
        InputError
            The model does not know it.
        """
        with self._lock:
            now = self._evaluated(estimator)
            if target.name not in now.instant.tensors:
                expected = f"a model that gives {target.title}s, too, e.g. water-apt,water-pgt"
                raise InputError("i-PI stream", "model", self.source.name, expected)
            if (target.name, estimator) not in now.rates:
                members = estimate(estimator, target, now.instant, self.groups)
                now.rates[target.name, estimator] = members.mean(axis=0)
            return now.rates[target.name, estimator]

    def _evaluated(self, *estimators: str) -> _Now:
        """The present step with the tensors that its frame and these estimators need, from one
        call of the source.
        """
        now = self._present()
        beads, centroid = self.frame_rates.needs(estimators)
        missing_beads = beads and now.instant.at_beads is None
        missing_centroid = centroid and now.instant.at_centroid is None
        if missing_beads or missing_centroid:
            at_beads, at_centroid = self.source.evaluate(now.state, missing_beads, missing_centroid)
            now.instant = replace(
                now.instant,
                at_beads=at_beads if missing_beads else now.instant.at_beads,
                at_centroid=at_centroid if missing_centroid else now.instant.at_centroid,
            )
        return now

    def _present(self) -> _Now:
        step = self.step
        if self._now is None or self._now.step != step:
            state = ipi_state.bead_state(self.system)
            x, y, z = (bool(periodic) for periodic in self.atoms.pbc)
            snapshot = Snapshot(state.positions, state.cell, (x, y, z))
            self._now = _Now(step, state, Instant(state.velocities, snapshot))
        return self._now

    def _warn_of_masses(self) -> None:
        method = ipi_state.method(self.system)
        physical = method == "classical" or "RPMD" in method
        if not physical and self.settings.estimators[0] == "bead":
            log.warning(
                "%s: beads move with masses of their own, which enter the estimator 'bead'; "
                "put 'centroid-apt' or 'apt-at-centroid' first",
                method,
            )
