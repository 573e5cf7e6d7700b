"""Streams of an i-PI simulation: opened when it is bound, committed before each checkpoint.

What i-PI runs is wrapped in these places. Only simulations with streams do anything else in them,
whichever object runs: i-PI's ``InteractiveSimulation`` takes over all that the one that was bound
has.

* ``Simulation.bind``: rates become properties before i-PI looks up the names of
  ``<properties>``; streams are opened when everything else is ready;
* ``Simulation.write_outputs``: frames are appended first, from the main thread, and committed
  before any ``<checkpoint>`` of that step is written. i-PI holds back a soft exit meanwhile;
* i-PI's list of functions for a soft exit: streams are committed before RESTART is written;
* where that commit fails (disk full), no RESTART is written, which would be ahead of the stream;
* ``CheckpointOutput.write``: see :mod:`aptnn_md.engines.ipi.checkpoints`.

The dipole M itself is not a property: polar tensors are its derivative and do not give its value.
If the force provider sends a dipole, i-PI writes it: ``<trajectory extra_type='dipole'> extras
</trajectory>``.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ipi import ipi_global_settings
from ipi.engine.outputs import CheckpointOutput
from ipi.engine.simulation import Simulation
from ipi.scripting.interactive import InteractiveSimulation
from ipi.utils.softexit import softexit
from ipi.utils.units import UnitMap

from aptnn_md.arrays import FloatArray
from aptnn_md.engines.ipi.backup import remove_stale_sockets
from aptnn_md.engines.ipi.checkpoints import write_whole_checkpoints
from aptnn_md.engines.ipi.lost_clients import survive_lost_clients
from aptnn_md.engines.ipi.state import ATOMIC_TIME, BOHR
from aptnn_md.engines.ipi.streaming import SystemStream
from aptnn_md.errors import InputError, RunError
from aptnn_md.progress import log
from aptnn_md.stream.frame import ESTIMATORS
from aptnn_md.targets import APT, TARGETS, Target

EXACT_FORMAT = "%25.16e"
"""``floatformat`` of i-PI with which a RESTART keeps every bit."""

MakeStreams = Callable[[Any], Sequence[SystemStream]]


def bind_with_streams(simulation: Any, bind: Callable[..., None], make: MakeStreams) -> None:
    """Do what ``Simulation.bind`` does, and attach streams.

    Parameters
    ----------
    simulation : of i-PI, not yet bound
    bind : its own ``bind``
    make : gives the streams of the simulation; called when its systems are bound

    Raises
    ------
    InputError
        A socket is in use, or :class:`SystemStream` refuses the run.
    """
    remove_stale_sockets(simulation)
    survive_lost_clients()
    streams: list[SystemStream] = []
    last = simulation.syslist[-1]
    bind_properties = last.properties.bind

    def bind_last_properties(system: Any) -> None:
        bind_properties(system)  # all systems are bound now, outputs are not yet
        streams.extend(make(simulation))
        # if a system has two, the properties are those of the first
        for stream in reversed(streams):
            register_properties(stream)

    last.properties.bind = bind_last_properties
    bind()
    warn_of_float_format()
    try:
        for stream in streams:
            stream.open()
    except BaseException:
        simulation.stop()  # forcefields already run, and have sockets
        raise
    write_whole_checkpoints(simulation)
    simulation.chk.write = functools.partial(_write_restart, streams, simulation.chk.write)
    simulation.aptnn_md_streams = streams
    follow_simulations_with_streams()
    softexit.flist.insert(0, (_commit_before_restart, (simulation, streams), {}))


def property_name(rate: str, estimator: str) -> str:
    """Name for i-PI's ``<properties>``: ``dipole_rate``, ``dipole_rate_centroid_apt``, ..."""
    return rate if estimator == ESTIMATORS[0] else f"{rate}_{estimator.replace('-', '_')}"


@dataclass(frozen=True)
class RateUnit:
    """The unit of a target's rate in i-PI.

    Attributes
    ----------
    dimension : i-PI's name of what is measured: ``"velocity"`` for e Å/fs, as e is 1 in atomic
        units; else that of the rate, e.g. ``"polarizability-rate"``
    name : for properties, e.g. ``"ang3/fs"`` in ``polarizability_rate{ang3/fs}``
    atomic : the atomic unit in it: 1 a.u. is this many of them
    """

    dimension: str
    name: str
    atomic: float

    @classmethod
    def of(cls, target: Target) -> RateUnit:
        """From the target's ``rate_unit``."""
        powers = target.rate_powers
        atomic = BOHR ** powers.get("Å", 0) / ATOMIC_TIME ** -powers.get("fs", 0)
        name = f"{_power('ang', powers.get('Å', 0)) or '1'}/{_power('fs', -powers.get('fs', 0))}"
        dimension = "velocity" if name == "ang/fs" else target.rate_name.replace("_", "-")
        return cls(dimension, name, atomic)

    def register(self) -> None:
        """Let i-PI know it."""
        units = {"": 1.0, "automatic": 1.0, "atomic_unit": 1.0}
        UnitMap.setdefault(self.dimension, units).setdefault(self.name, 1.0 / self.atomic)


def _power(name: str, power: int) -> str:
    return "" if power == 0 else name if power == 1 else f"{name}{power}"


def register_properties(stream: SystemStream) -> None:
    """Make the rate of every target a property of i-PI, with arguments ``group`` and ``bead``."""
    for target in TARGETS.values():
        unit = RateUnit.of(target)
        unit.register()
        components = ", ".join(target.rate_components)
        for estimator in ESTIMATORS:
            name = property_name(target.rate_name, estimator)
            words = target.rate_name.replace("_", " ").capitalize()
            stream.system.properties.property_dict[name] = {
                "dimension": unit.dimension,
                "size": target.n_components,
                "help": f"{words}, estimator {estimator}, components {components}; in atomic units "
                f"or {target.rate_unit} ({unit.name}).",
                "func": functools.partial(_rate, stream, target, unit.atomic, estimator),
            }


def _rate(
    stream: SystemStream,
    target: Target,
    atomic: float,
    estimator: str,
    bead: str = "-1",
    group: str = "",
) -> FloatArray:
    """Rate (n_components,) of the whole or a group, of the ring polymer or a bead, atomic units."""
    name = property_name(target.rate_name, estimator)
    rates = stream.rate_of(target, estimator)
    if int(bead) >= 0:
        if target is not APT:
            raise InputError(name, "bead", bead, f"no bead: only {APT.rate_name} is known of each")
        if estimator != "bead":
            raise InputError(name, "bead", bead, "no bead, as it belongs to the centroid")
        of_beads = stream.bead_rates()
        if int(bead) >= len(of_beads):
            raise InputError(name, "bead", bead, f"a number below {len(of_beads)}")
        rates = of_beads[int(bead)]
    return _of_group(rates, stream, name, group) / atomic


def _of_group(rates: FloatArray, stream: SystemStream, name: str, group: str) -> FloatArray:
    """Rate (k,) of a group, or of all where none is named, of rates (n_groups, k)."""
    if not group:
        total: FloatArray = rates.sum(axis=0)
        return total
    labels = stream.groups.labels
    if group not in labels:
        raise InputError(name, "group", group, f"one of {', '.join(labels)}")
    part: FloatArray = rates[labels.index(group)]
    return part


def warn_of_float_format() -> None:
    """Warn if a RESTART will not keep every bit of the state."""
    text = str(ipi_global_settings["floatformat"])
    samples = np.array([1.0 / 3.0, np.pi * 1e-9, 1.0 + 2.0**-52])
    if any(float(text % value) != value for value in samples):
        log.warning(
            "floatformat %r is too short: a restarted run will differ from an unbroken one in the "
            "last digits. For an exact restart: <simulation floatformat='%s' ...>",
            text,
            EXACT_FORMAT,
        )


def _write_restart(
    streams: Sequence[SystemStream], write: Callable[..., None], store: bool = True
) -> None:
    for stream in streams:
        stream.commit()
    write(store)


def follow_simulations_with_streams() -> None:
    """Let the classes of i-PI's simulations look for streams of the object that runs."""
    if getattr(Simulation.write_outputs, "looks_for_streams", False):
        return
    write, run = Simulation.write_outputs, Simulation.run

    @functools.wraps(write)
    def write_outputs(self: Any) -> None:
        streams = self.__dict__.get("aptnn_md_streams", ())
        for stream in streams:
            stream.record()
        if any(type(out) is CheckpointOutput and out.active() for out in self.outputs):
            for stream in streams:
                stream.commit()
        write(self)

    @functools.wraps(run)
    def run_with_outputs(self: Any, write_outputs: bool = True) -> None:
        if self.__dict__.get("aptnn_md_streams") and not write_outputs:
            expected = "True: a stream has no gaps; without frames, run an input without streams"
            raise InputError("i-PI run", "write_outputs", "False", expected)
        run(self, write_outputs)

    write_outputs.looks_for_streams = True  # type: ignore[attr-defined]
    Simulation.write_outputs, Simulation.run = write_outputs, run_with_outputs
    for name in ("set_structures", "thermalize_momenta"):
        _refuse_jumps(InteractiveSimulation, name)


def _refuse_jumps(simulation_class: Any, name: str) -> None:
    """Refuse what would make two trajectories of one, which no spectrum is right for."""
    original = getattr(simulation_class, name)

    @functools.wraps(original)
    def method(self: Any, *arguments: Any, **keywords: Any) -> Any:
        if any(stream.has_frames for stream in self.__dict__.get("aptnn_md_streams", ())):
            expected = "one trajectory in a stream: begin a simulation with another stream"
            raise InputError("i-PI simulation", name, "after frames were streamed", expected)
        return original(self, *arguments, **keywords)

    setattr(simulation_class, name, method)


def _commit_before_restart(simulation: Any, streams: Sequence[SystemStream]) -> None:
    """Commit; if that fails, see to it that no RESTART is written."""
    try:
        for stream in streams:
            stream.commit()
    except RunError as error:
        simulation.chk.write = types.MethodType(_no_restart, simulation.chk)
        log.error("%s; no RESTART is written; resume from the last checkpoint", error)


def _no_restart(checkpoint: Any, store: bool = True) -> None:
    """In place of ``CheckpointOutput.write``."""
