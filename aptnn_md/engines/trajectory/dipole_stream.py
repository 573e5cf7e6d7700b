"""A series of dipoles, or of their rates, becomes a stream.

Frame n of a stream of dipoles holds (M(n) - M(n-1))/Δt, the increment over the time between two
frames, as the streams of clients of the i-PI protocol do; ``spectrum`` divides the damping
sin(ωΔt/2)/(ωΔt/2) of this difference out. Rates are taken as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.atomic_units import TIME
from aptnn_md.engines.trajectory.branches import check_no_jumps, unwrapped
from aptnn_md.engines.trajectory.dipole_series import Choice, read_dipoles
from aptnn_md.engines.trajectory.dipole_units import DIPOLE_UNITS, RATE_UNITS
from aptnn_md.engines.trajectory.raw_series import RawSeries
from aptnn_md.engines.trajectory.same_run import SameRun
from aptnn_md.engines.trajectory.settings import DipoleSettings
from aptnn_md.engines.trajectory.time_axis import TimeAxis, time_axis, without_repeats
from aptnn_md.errors import InputError
from aptnn_md.progress import log
from aptnn_md.provenance import command_line
from aptnn_md.stream import StreamHeader, StreamReader, StreamWriter, stream_exists
from aptnn_md.stream.layout import StreamFrame
from aptnn_md.stream.run_id import new_run_id
from aptnn_md.structure_files import read_structure
from aptnn_md.targets import APT

_SAME = 1e-9


@dataclass(frozen=True)
class StreamSummary:
    """What was written.

    Attributes
    ----------
    n_frames : of the stream
    n_new : of them, written now
    axis : their times
    finished : False if a signal ended it early
    """

    n_frames: int
    n_new: int
    axis: TimeAxis
    finished: bool = True


def stream_dipoles(settings: DipoleSettings) -> StreamSummary:
    """Write the stream of a series of dipoles, or what is not yet in it.

    Raises
    ------
    InputError
        Files that cannot be read, frames that are missing or not finite, branches that are not
        known, or a stream of something else.
    RunError
        The stream cannot be written.
    """
    series = read_dipoles(
        settings.dipoles, Choice(settings.rates, settings.columns), settings.n_beads
    )
    series = _without_repeats(series)
    _check_finite(series)
    axis = time_axis(
        series.where,
        _steps(series, settings.timestep, settings.stride),
        series.times,
        timestep=settings.timestep,
        stride=settings.stride,
        first_step=settings.first_step,
    )
    values = _in_our_units(series, settings)
    if settings.rates:
        return _write(settings, axis, values, series.where)
    values = _continuous(settings, series, values)
    if len(values) < 2:
        raise InputError(series.source, "frames", len(values), "two or more dipoles")
    later = TimeAxis(axis.timestep, axis.stride, axis.step(1))
    rates = np.diff(values, axis=0) / axis.spacing
    return _write(settings, later, rates, lambda frame: series.where(frame + 1))


def _steps(series: RawSeries, timestep: float | None, stride: int | None) -> IntArray | None:
    """MD steps of the rows.

    Where a time column without a unit only counts rows, they are ``stride`` steps apart, or one
    where their spacing in a usual unit is the time step.

    Raises
    ------
    InputError
        It is in none.
    """
    spacing = series.row_spacing
    if series.steps is None or spacing is None:
        return series.steps
    if stride is None and timestep is not None:
        known = (spacing, 1e3 * spacing, spacing * TIME)
        if not any(math.isclose(each, timestep, rel_tol=1e-3) for each in known):
            raise InputError(
                series.where(0),
                "time",
                f"a column without a unit, rows {spacing:g} apart, and a step of {timestep:g} fs",
                "--stride N, the steps between rows, or the unit in the header: time [fs]",
            )
    return series.steps * (stride or 1)


def _without_repeats(series: RawSeries) -> RawSeries:
    """Of steps or times that are there twice, the later ones."""
    axis = series.steps if series.steps is not None else series.times
    if axis is None:
        return series
    stays = without_repeats(axis)
    if n_gone := len(axis) - len(stays):
        log.info(
            "%s: %d frames were written again later, after a restart; these are used",
            *(series.source, n_gone),
        )
    return series.taken(stays)


def _check_finite(series: RawSeries) -> None:
    bad = np.flatnonzero(~np.isfinite(series.values).all(axis=1))
    if len(bad):
        frame = int(bad[0])
        found = " ".join(f"{value:g}" for value in series.values[frame])
        raise InputError(series.where(frame), "dipole", found, "finite numbers")


def _in_our_units(series: RawSeries, settings: DipoleSettings) -> FloatArray:
    """Values in e Å, or e Å/fs; what was assumed is said."""
    known, standard = (
        (RATE_UNITS, "e-angstrom/fs") if settings.rates else (DIPOLE_UNITS, "e-angstrom")
    )
    unit = settings.units
    if unit is not None and unit not in known:
        what = "rates" if settings.rates else "dipoles"
        raise InputError("--units", "unit", unit, f"one of {what}: {', '.join(known)}")
    if unit is None and series.unit is not None:
        unit = series.unit  # type: ignore[assignment]
        log.info("%s: in %s, as the file says", series.source, unit)
    elif unit is not None and series.unit is not None and unit != series.unit:
        log.warning(
            "%s: taken in %s as given, though the file is in %s", series.source, unit, series.unit
        )
    if unit is None:
        unit = standard  # type: ignore[assignment]
        log.warning(
            "%s: the file does not say its unit: taken in %s; --units for another one (%s)",
            *(series.source, unit, ", ".join(known)),
        )
    assert unit is not None
    scaled: FloatArray = series.values * known[unit]
    return scaled


def _continuous(settings: DipoleSettings, series: RawSeries, values: FloatArray) -> FloatArray:
    """Dipoles on one branch."""
    fraction = series.berry_phase or float(settings.unwrap)
    if not fraction:
        check_no_jumps(values, series.where)
        return values
    cells = series.cells
    if settings.structure is not None:
        # with more digits than some programs print
        cells = read_structure(settings.structure).cell.array
    if cells is None or not np.all(np.linalg.matrix_rank(cells) == 3):
        expected = "--structure FILE with that of the run, to know the branches of the Berry phase"
        raise InputError(settings.structure or series.source, "cell", "none", expected)
    joined, n_jumps = unwrapped(values, fraction * cells, series.where)
    if n_jumps:
        log.info("%s: %d jumps between branches of the Berry phase", series.source, n_jumps)
    return joined


def _header(settings: DipoleSettings, axis: TimeAxis, same: SameRun | None) -> StreamHeader:
    fields: dict[str, Any] = {"run_id": new_run_id()}
    if same is not None:
        fields |= same.fields
    fields |= {
        "timestep": axis.timestep,
        "stride": axis.stride,
        "n_beads": settings.n_beads,
        "rate": "instantaneous" if settings.rates else "difference",
        "model": "dipole rates" if settings.rates else "dipoles",
        "provenance": command_line(),
        "notes": f"from {', '.join(path.name for path in settings.dipoles)}",
    }
    if settings.temperature is not None:
        fields["temperature"] = settings.temperature
    if settings.structure is None:
        return StreamHeader(**fields)
    atoms = read_structure(settings.structure)
    for name in ("formula", "n_atoms", "masses", "system"):
        fields.pop(name, None)
    if all(atoms.pbc):
        fields.pop("volume", None)
    header = StreamHeader.for_atoms(atoms, **fields)
    if same is not None:
        same.check_system(header)
    return header


def _write(
    settings: DipoleSettings,
    axis: TimeAxis,
    rates: FloatArray,
    where: Callable[[int], str],
) -> StreamSummary:
    """Append the frames that are not yet there."""
    same = None if settings.run_of is None else SameRun(settings.run_of, axis)
    header = _header(settings, axis, same)
    temperatures = None if same is None else same.temperatures_of(len(rates))
    n_there = 0
    if stream_exists(settings.path):
        n_there = _check_frames(settings, header, axis, rates, where)
    if n_there == len(rates):
        return StreamSummary(n_there, 0, axis)
    with StreamWriter(settings.path, header, axis.step(n_there)) as writer:
        for frame in range(n_there, len(rates)):
            step = axis.step(frame)
            arrays = {f"{APT.rate_name}/{header.estimators[0]}": rates[frame][None]}
            if temperatures is not None:
                arrays["temperature"] = temperatures[frame]
            writer.append_frame(StreamFrame(step, step * axis.timestep, arrays))
    return StreamSummary(len(rates), len(rates) - n_there, axis)


def _check_frames(
    settings: DipoleSettings,
    header: StreamHeader,
    axis: TimeAxis,
    rates: FloatArray,
    where: Callable[[int], str],
) -> int:
    """Number of frames in the stream, which must be these."""
    reader = StreamReader(settings.path)
    header.check_same_run(settings.path, reader.header)
    n_there = reader.n_frames
    if n_there == 0:
        return 0
    expected = "the frames of these files; another --stream for another series"
    first = int(np.asarray(reader.read("step", 0, 1))[0])
    if first != axis.first_step:
        raise InputError(settings.path, "first step", first, f"{axis.first_step}: {expected}")
    if n_there > len(rates):
        raise InputError(settings.path, "frames", n_there, f"at most {len(rates)}: {expected}")
    old = np.asarray(reader.dipole_rate()).sum(axis=1)
    differ = np.abs(old - rates[:n_there]).max(axis=1) > _SAME * np.abs(rates).max()
    if differ.any():
        frame = int(np.argmax(differ))
        found = f"another rate than {where(frame)} gives, in frame {frame}"
        raise InputError(settings.path, "frames", found, expected)
    return n_there
