"""Streams beside an i-PI simulation: opened when it is bound, safe before each checkpoint.

What i-PI runs is wrapped in these places, each of one simulation object only:

* ``Simulation.bind``: rates become properties before i-PI looks up the names of
  ``<properties>``; streams are opened when everything else is ready;
* ``Simulation.write_outputs``: frames are appended first, from the main thread, and committed
  before any ``<checkpoint>`` of that step is written. i-PI holds back a soft exit meanwhile;
* i-PI's list of functions for a soft exit: streams are committed before RESTART is written;
* where that commit fails (disk full), no RESTART is written, which would be ahead of the stream;
* ``CheckpointOutput.write``: see :mod:`aptnn_md.engines.ipi.checkpoints`.

The dipole M itself is no property: polar tensors are its derivative, and say nothing of its value.
Where the force provider sends a dipole, i-PI writes it: ``<trajectory extra_type='dipole'> extras
</trajectory>``.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ipi import ipi_global_settings
from ipi.engine.outputs import CheckpointOutput
from ipi.utils.softexit import softexit
from ipi.utils.units import UnitMap

from aptnn_md.arrays import FloatArray
from aptnn_md.engines.ipi.backup import remove_stale_sockets
from aptnn_md.engines.ipi.checkpoints import write_whole_checkpoints
from aptnn_md.engines.ipi.state import ATOMIC_TIME, BOHR, VELOCITY
from aptnn_md.engines.ipi.streaming import SystemStream
from aptnn_md.errors import InputError, RunError
from aptnn_md.progress import log
from aptnn_md.stream.frame import ESTIMATORS

EXACT_FORMAT = "%25.16e"
"""``floatformat`` of i-PI with which a RESTART keeps every bit."""

DIPOLE, POLARIZABILITY = "dipole_rate", "polarizability_rate"
"""Properties of the estimator ``bead``; see :func:`property_name`."""

UNIT = "ang/fs"
"""``dipole_rate{ang/fs}`` is in e Å/fs; without a unit it is in atomic units, e a₀ E_h/ħ."""

POLARIZABILITY_UNIT = "ang3/fs"
"""``polarizability_rate{ang3/fs}`` is in Å³/fs; without a unit in atomic units, a₀³ E_h/ħ."""

_POLARIZABILITY_RATE = BOHR**3 / ATOMIC_TIME

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
        A socket is in use, or what :class:`SystemStream` refuses.
    """
    remove_stale_sockets(simulation)
    streams: list[SystemStream] = []
    last = simulation.syslist[-1]
    bind_properties = last.properties.bind

    def bind_last_properties(system: Any) -> None:
        bind_properties(system)  # all systems are bound now, outputs are not yet
        streams.extend(make(simulation))
        # where a system has two, the properties are those of the first
        for stream in reversed(streams):
            register_properties(stream)

    last.properties.bind = bind_last_properties
    bind()
    warn_of_float_format()
    try:
        for stream in streams:
            stream.open()
    except BaseException:
        simulation.stop()  # forcefields are at work already, and have sockets
        raise
    write_whole_checkpoints(simulation)
    record = functools.partial(_write_outputs, simulation, simulation.write_outputs, streams)
    simulation.write_outputs = record
    softexit.flist.insert(0, (_commit_before_restart, (simulation, streams), {}))


def property_name(rate: str, estimator: str) -> str:
    """Name for i-PI's ``<properties>``: ``dipole_rate``, ``dipole_rate_centroid_apt``, ..."""
    return rate if estimator == ESTIMATORS[0] else f"{rate}_{estimator.replace('-', '_')}"


def register_properties(stream: SystemStream) -> None:
    """Make rates properties of i-PI, with arguments ``group`` and, of the dipole, ``bead``."""
    UnitMap["velocity"].setdefault(UNIT, 1.0 / VELOCITY)
    UnitMap.setdefault(
        "polarizability-rate",
        {
            "": 1.0,
            "automatic": 1.0,
            "atomic_unit": 1.0,
            POLARIZABILITY_UNIT: 1.0 / _POLARIZABILITY_RATE,
        },
    )
    for estimator in ESTIMATORS:
        stream.system.properties.property_dict[property_name(DIPOLE, estimator)] = {
            "dimension": "velocity",
            "size": 3,
            "help": f"Dipole rate, estimator {estimator}; in atomic units or e Å/fs ({UNIT}).",
            "func": functools.partial(_dipole_rate, stream, estimator),
        }
        stream.system.properties.property_dict[property_name(POLARIZABILITY, estimator)] = {
            "dimension": "polarizability-rate",
            "size": 6,
            "help": f"Polarizability rate, estimator {estimator}, components xx, yy, zz, yz, xz, "
            f"xy; in atomic units or Å³/fs ({POLARIZABILITY_UNIT}).",
            "func": functools.partial(_polarizability_rate, stream, estimator),
        }


def _polarizability_rate(stream: SystemStream, estimator: str, group: str = "") -> FloatArray:
    """Polarizability rate (6,) of the whole or a group, atomic units."""
    rates = stream.polarizability_rate(estimator) / _POLARIZABILITY_RATE
    return _of_group(rates, stream, property_name(POLARIZABILITY, estimator), group)


def _dipole_rate(
    stream: SystemStream, estimator: str, bead: str = "-1", group: str = ""
) -> FloatArray:
    """Dipole rate (3,) of the whole or a group, of the ring polymer or a bead, atomic units."""
    rates = stream.rate(estimator)
    if int(bead) >= 0:
        if estimator != "bead":
            name = property_name(DIPOLE, estimator)
            raise InputError(name, "bead", bead, "none: it is of the centroid")
        of_beads = stream.bead_rates()
        if int(bead) >= len(of_beads):
            raise InputError(DIPOLE, "bead", bead, f"less than {len(of_beads)}")
        rates = of_beads[int(bead)]
    return _of_group(rates, stream, property_name(DIPOLE, estimator), group) / VELOCITY


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
    """Say so where a RESTART will not keep every bit of the state."""
    text = str(ipi_global_settings["floatformat"])
    samples = np.array([1.0 / 3.0, np.pi * 1e-9, 1.0 + 2.0**-52])
    if any(float(text % value) != value for value in samples):
        log.warning(
            "floatformat %r is too short: a restarted run will differ from an unbroken one in the "
            "last digits. For an exact restart: <simulation floatformat='%s' ...>",
            text,
            EXACT_FORMAT,
        )


def _write_outputs(
    simulation: Any, write: Callable[[], None], streams: Sequence[SystemStream]
) -> None:
    for stream in streams:
        stream.record()
    if any(type(out) is CheckpointOutput and out.active() for out in simulation.outputs):
        for stream in streams:
            stream.commit()
    write()


def _commit_before_restart(simulation: Any, streams: Sequence[SystemStream]) -> None:
    """Commit; where that fails take care that no RESTART is written."""
    try:
        for stream in streams:
            stream.commit()
    except RunError as error:
        simulation.chk.write = types.MethodType(_no_restart, simulation.chk)
        log.error("%s; no RESTART is written, go on from the last checkpoint", error)


def _no_restart(checkpoint: Any, store: bool = True) -> None:
    """In place of ``CheckpointOutput.write``."""
