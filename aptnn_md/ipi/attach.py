"""Streams beside an i-PI simulation: opened when it is bound, safe before each checkpoint.

What i-PI runs is wrapped in these places, each of one simulation object only:

* ``Simulation.bind``: dipole rates become properties before i-PI looks up the names of
  ``<properties>``; streams are opened when everything else is ready;
* ``Simulation.write_outputs``: frames are appended first, from the main thread, and committed
  before any ``<checkpoint>`` of that step is written. i-PI holds back a soft exit meanwhile;
* i-PI's list of functions for a soft exit: streams are committed before RESTART is written;
* where that commit fails (disk full), no RESTART is written, which would be ahead of the stream;
* ``CheckpointOutput.write``: see :mod:`aptnn_md.ipi.checkpoints`.

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
from aptnn_md.errors import InputError, RunError
from aptnn_md.ipi.backup import remove_stale_sockets
from aptnn_md.ipi.checkpoints import write_whole_checkpoints
from aptnn_md.ipi.state import VELOCITY
from aptnn_md.ipi.streaming import SystemStream
from aptnn_md.progress import log
from aptnn_md.rates import ESTIMATORS

EXACT_FORMAT = "%25.16e"
"""``floatformat`` of i-PI with which a RESTART keeps every bit."""

PROPERTIES = {
    "bead": "dipole_rate",
    "centroid-apt": "dipole_rate_centroid_apt",
    "apt-at-centroid": "dipole_rate_apt_at_centroid",
}
"""Estimator -> name of the property for i-PI's ``<properties>``."""

UNIT = "ang/fs"
"""``dipole_rate{ang/fs}`` is in e Å/fs; without a unit it is in atomic units, e a₀ E_h/ħ."""

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


def register_properties(stream: SystemStream) -> None:
    """Make dipole rates properties of i-PI, with arguments ``bead`` and ``group``."""
    UnitMap["velocity"].setdefault(UNIT, 1.0 / VELOCITY)
    for estimator in ESTIMATORS:
        stream.system.properties.property_dict[PROPERTIES[estimator]] = {
            "dimension": "velocity",
            "size": 3,
            "help": f"Dipole rate, estimator {estimator}; in atomic units or e Å/fs ({UNIT}).",
            "func": functools.partial(_property, stream, estimator),
        }


def _property(
    stream: SystemStream, estimator: str, bead: str = "-1", group: str = ""
) -> FloatArray:
    """Dipole rate (3,) of the whole or a group, of the ring polymer or a bead, atomic units."""
    rates = stream.rate(estimator)
    if int(bead) >= 0:
        if estimator != "bead":
            raise InputError(PROPERTIES[estimator], "bead", bead, "none: it is of the centroid")
        of_beads = stream.bead_rates()
        if int(bead) >= len(of_beads):
            raise InputError("dipole_rate", "bead", bead, f"less than {len(of_beads)}")
        rates = of_beads[int(bead)]
    if not group:
        total: FloatArray = rates.sum(axis=0) / VELOCITY
        return total
    labels = stream.groups.labels
    if group not in labels:
        raise InputError(PROPERTIES[estimator], "group", group, f"one of {', '.join(labels)}")
    part: FloatArray = rates[labels.index(group)] / VELOCITY
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
