"""The stream of one system of an i-PI simulation: rates of Ṁ and ȧ of its present state."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.atoms.frame import Frame
from aptnn_md.atoms.groups import atom_fields, parse_groups
from aptnn_md.atoms.rates import ESTIMATORS, dipole_rate, estimate, f_sum
from aptnn_md.engines.ipi import state as ipi_state
from aptnn_md.engines.ipi.backup import set_aside
from aptnn_md.engines.ipi.polar_tensors import TensorSource
from aptnn_md.engines.ipi.state import BeadState
from aptnn_md.errors import InputError
from aptnn_md.progress import log
from aptnn_md.provenance import command_line
from aptnn_md.stream import StreamHeader, StreamReader, StreamWriter
from aptnn_md.targets import APT, PGT, Tensors
from aptnn_md.tensors import largest_deviation


@dataclass(frozen=True)
class StreamSettings:
    """What to write down of a run.

    Parameters
    ----------
    path : directory of the stream
    stride : steps between frames
    estimators : of :data:`aptnn_md.atoms.rates.ESTIMATORS`; the first one is the default of
        readers, and what ``f_sum`` and the committee's deviation belong to
    groups : name for :func:`aptnn_md.atoms.groups.parse_groups`
    beads_too : also write the dipole rate of every bead
    velocities : also write the centroid velocities of all atoms, for their power spectrum

    Raises
    ------
    InputError
        Another estimator, one twice, or a stride that is not positive.
    """

    path: Path
    stride: int = 4
    estimators: tuple[str, ...] = ("bead",)
    groups: str = "all"
    beads_too: bool = False
    velocities: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))
        if int(self.stride) != self.stride or self.stride < 1:
            raise InputError("i-PI stream", "stride", self.stride, "a positive whole number")
        names = tuple(self.estimators)
        if not names or len(set(names)) != len(names) or not set(names) <= set(ESTIMATORS):
            expected = f"one or more of {', '.join(ESTIMATORS)}, each once"
            raise InputError("i-PI stream", "estimators", ", ".join(names) or "none", expected)
        object.__setattr__(self, "estimators", names)


@dataclass
class _Now:
    """The state of one step and what was evaluated of it."""

    step: int
    state: BeadState
    at_beads: Tensors | None = None
    at_centroid: Tensors | None = None
    rates: dict[tuple[str, str], FloatArray] = field(default_factory=dict)

    def tensors(self, estimator: str) -> Tensors:
        """What an estimator is made of."""
        found = self.at_centroid if estimator == "apt-at-centroid" else self.at_beads
        assert found is not None
        return found


class SystemStream:
    """Rates of a system of i-PI, written at a stride and given as properties.

    Parameters
    ----------
    system : bound system of i-PI
    settings : what to write
    source : makes where the tensors come from, given the atoms and the system

    Raises
    ------
    InputError
        No molecular dynamics, or one that has no dipole rate with a meaning (see
        :func:`aptnn_md.engines.ipi.state.check_dynamics`); groups that are not of these atoms.
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
        self.masses = np.asarray(self.atoms.get_masses(), dtype=np.float64)
        self.start = self._start()
        self.groups = parse_groups(settings.groups, self.start)
        self.source = source(self.atoms, system)
        self.source.check(*self._needs(set(settings.estimators)))
        self.timestep = ipi_state.timestep(system)
        self.variable_cell = ipi_state.variable_cell(system)
        self.writer: StreamWriter | None = None
        self._now: _Now | None = None
        self._lock = threading.RLock()
        self._warn_of_masses()

    @property
    def step(self) -> int:
        """Steps that the state of the system is behind, while i-PI writes its outputs."""
        return int(self.system.simul.step) + 1

    def open(self) -> None:
        """Create the stream, or go on with it behind the step that i-PI starts from.

        Raises
        ------
        InputError
            It cannot be written, is of another run, or lacks frames before that step.
        """
        done = int(self.system.simul.step)
        stride = self.settings.stride
        if done == 0:
            set_aside(self.settings.path)
        first_step = None if done == 0 else (done // stride + 1) * stride
        self.writer = StreamWriter(self.settings.path, self.header(), first_step)

    def _start(self) -> Atoms:
        """The atoms where groups are found: a run that goes on keeps those that it began with."""
        path = self.settings.path
        if int(self.system.simul.step) == 0 or not path.exists():
            return self.atoms
        found = StreamReader(path).header
        if len(found.start_positions) != len(self.atoms):
            return self.atoms
        start: Atoms = self.atoms.copy()
        start.set_cell(found.start_cell)
        start.set_positions(found.start_positions)
        return start

    def _start_fields(self) -> dict[str, Any]:
        if self.settings.groups in ("all", "element"):
            return {}
        return {
            "start_positions": tuple(map(tuple, self.start.positions.tolist())),
            "start_cell": tuple(map(tuple, self.start.cell.tolist())),
        }

    def header(self) -> StreamHeader:
        """Constants of the run."""
        periodic = bool(self.atoms.pbc.all())
        return StreamHeader.for_atoms(
            self.atoms,
            timestep=self.timestep,
            stride=self.settings.stride,
            estimators=self.settings.estimators,
            groups=self.groups.labels,
            n_beads=int(self.system.beads.nbeads),
            temperature=ipi_state.thermostat_temperature(self.system),
            volume=float(self.atoms.get_volume()) if periodic and not self.variable_cell else None,
            model=self.source.name,
            model_sha256=self.source.sha256,
            ensemble=ipi_state.describe(self.system),
            provenance=command_line(),
            notes=f"i-PI {metadata.version('ipi')}",
            **(atom_fields(self.atoms, self.groups) if self.settings.velocities else {}),
            **self._start_fields(),
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
        with self._lock:
            rates = {name: self.rate(name) for name in self.settings.estimators}
            now = self._present()
            volume = abs(float(np.linalg.det(now.state.cell))) if self.variable_cell else None
            optional = self._committee(now)
            if self.settings.beads_too:
                optional["dipole_rate_beads"] = self.bead_rates()
            if self.settings.velocities:
                optional["velocity"] = now.state.velocities.mean(axis=0)
            if PGT.name in now.tensors(self.settings.estimators[0]):
                optional["polarizability_rates"] = {
                    name: self.polarizability_rate(name) for name in self.settings.estimators
                }
            self.writer.append(
                step,
                step * self.timestep,
                rates,
                volume=volume,
                temperature=ipi_state.temperature(self.system),
                f_sum=self._f_sum(now),
                **optional,
            )

    def commit(self) -> None:
        """Put all frames on disk."""
        if self.writer is not None:
            self.writer.commit()

    def close(self) -> None:
        """Commit and let go of the stream."""
        if self.writer is not None:
            self.writer.close()

    def rate(self, estimator: str) -> FloatArray:
        """Dipole rate (n_groups, 3) of the present state, e Å/fs; evaluated once per step."""
        return self._rate(APT.name, estimator)

    def polarizability_rate(self, estimator: str) -> FloatArray:
        """Polarizability rate (n_groups, 6) of the present state, Å³/fs; see :meth:`rate`.

        Raises
        ------
        InputError
            The model does not know it.
        """
        return self._rate(PGT.name, estimator)

    def bead_rates(self) -> FloatArray:
        """Dipole rate of each bead of the present state, (n_beads, n_groups, 3), e Å/fs."""
        with self._lock:
            now = self._present()
            self._evaluate(now, {"bead"})
            apt = now.tensors("bead")[APT.name].mean(axis=0)
            return dipole_rate(apt, now.state.velocities, self.groups, self._frame(now.state))

    def _present(self) -> _Now:
        step = self.step
        if self._now is None or self._now.step != step:
            self._now = _Now(step, ipi_state.bead_state(self.system))
        return self._now

    def _rate(self, target: str, estimator: str) -> FloatArray:
        with self._lock:
            now = self._present()
            if (target, estimator) not in now.rates:
                self._evaluate(now, {estimator, *self.settings.estimators})
                mean = self._member_rates(now, target, estimator).mean(axis=0)
                now.rates[target, estimator] = mean
            return now.rates[target, estimator]

    def _evaluate(self, now: _Now, estimators: set[str]) -> None:
        """Get the tensors that these estimators need, in one call."""
        beads, centroid = self._needs(estimators)
        missing_beads = beads and now.at_beads is None
        missing_centroid = centroid and now.at_centroid is None
        if missing_beads or missing_centroid:
            at_beads, at_centroid = self.source.evaluate(now.state, missing_beads, missing_centroid)
            now.at_beads = at_beads if missing_beads else now.at_beads
            now.at_centroid = at_centroid if missing_centroid else now.at_centroid

    def _needs(self, estimators: set[str]) -> tuple[bool, bool]:
        """Whether they need tensors at the beads, and at the centroid."""
        beads = bool(estimators & {"bead", "centroid-apt"}) or self.settings.beads_too
        return beads, "apt-at-centroid" in estimators

    def _member_rates(self, now: _Now, target: str, estimator: str) -> FloatArray:
        """Rate of each committee member, (n_members, n_groups, 3 or 6), e Å/fs or Å³/fs."""
        known = now.tensors(estimator)
        if target not in known:
            expected = "a model that gives PGTs, too, e.g. water-apt,water-pgt"
            raise InputError("i-PI stream", "model", self.source.name, expected)
        tensors = known[target]
        velocities, frame = now.state.velocities, self._frame(now.state)
        return np.stack(
            [estimate(estimator, each, velocities, each, self.groups, frame) for each in tensors]
        )

    def _frame(self, state: BeadState, positions: FloatArray | None = None) -> Frame:
        """Where the beads are, or what has the other ``positions``."""
        where = state.positions if positions is None else positions
        x, y, z = (bool(periodic) for periodic in self.atoms.pbc)
        return Frame(where, state.cell, (x, y, z))

    def _f_sum(self, now: _Now) -> FloatArray:
        """What 3 k_B T times it is the mean of |Ṁ|² by the first estimator, (n_groups,)."""
        first = self.settings.estimators[0]
        apt = now.tensors(first)[APT.name].mean(axis=0)
        if first == "bead":
            of_beads = f_sum(apt, self.masses, self.groups, self._frame(now.state))
            mean: FloatArray = of_beads.mean(axis=0)
            return mean
        if first == "centroid-apt":
            apt = apt.mean(axis=0)
        frame = self._frame(now.state, now.state.centroid)
        return f_sum(apt, self.masses, self.groups, frame)

    def _committee(self, now: _Now) -> dict[str, Any]:
        """Spread over the members: of the first estimator, and largest of an atom's APT."""
        tensors = now.at_beads if now.at_beads is not None else now.at_centroid
        assert tensors is not None
        spread: dict[str, Any] = {}
        names = {APT.name: "dipole_rate_std", PGT.name: "polarizability_rate_std"}
        for target, members in tensors.items():
            if len(members) > 1:
                rates = self._member_rates(now, target, self.settings.estimators[0])
                spread[names[target]] = rates.std(axis=0, ddof=1)
        if len(tensors[APT.name]) > 1:
            spread["extrapolation"] = largest_deviation(tensors[APT.name])
        return spread

    def _warn_of_masses(self) -> None:
        method = ipi_state.method(self.system)
        physical = method == "classical" or "RPMD" in method
        if not physical and self.settings.estimators[0] == "bead":
            log.warning(
                "%s: beads move with masses of their own, which the estimator 'bead' contains; "
                "put 'centroid-apt' or 'apt-at-centroid' first",
                method,
            )


def one_stream_each(settings: StreamSettings, systems: list[Any]) -> list[StreamSettings]:
    """Settings for each of several systems: ``S.zarr`` becomes ``S_0.zarr``, ``S_1.zarr``, ...

    Where the systems have a ``prefix`` in i-PI, that is used in place of the number.
    """
    if len(systems) == 1:
        return [settings]
    names = [str(system.prefix) or str(n) for n, system in enumerate(systems)]
    if len(set(names)) < len(names):
        names = [str(n) for n in range(len(systems))]
    path = settings.path
    return [
        replace(settings, path=path.with_name(f"{path.stem}_{name}{path.suffix}")) for name in names
    ]
