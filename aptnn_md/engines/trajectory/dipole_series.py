"""Series of dipoles as files give them, whatever wrote them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.engines.trajectory.columns import (
    column_named,
    dipole_columns,
    first_column_is_time,
    time_unit,
    unit_of_columns,
)
from aptnn_md.engines.trajectory.cp2k_dipoles import is_cp2k, read_cp2k
from aptnn_md.engines.trajectory.ipi_extras import is_extras, read_extras
from aptnn_md.engines.trajectory.raw_series import RawSeries
from aptnn_md.engines.trajectory.table import Table, read_table
from aptnn_md.engines.trajectory.text_index import MOST_STEPS
from aptnn_md.errors import InputError
from aptnn_md.progress import log


@dataclass(frozen=True)
class Choice:
    """What the user says of the files.

    Attributes
    ----------
    rates : they hold the dipole's rate
    columns : names or numbers of the three columns; empty: by their names
    """

    rates: bool = False
    columns: tuple[str, ...] = ()


def read_dipoles(paths: Sequence[Path], choice: Choice, n_beads: int = 1) -> RawSeries:
    """Dipoles, or their rates, of several files in a row.

    Parameters
    ----------
    paths : files of one run in their order; of ``n_beads`` beads as many files of each, all files
        of the first bead first
    choice : what is in them
    n_beads : of a path integral; the dipole is the mean over the beads

    Raises
    ------
    InputError
        A file that cannot be read, or files that do not belong together.
    """
    if len(paths) % n_beads:
        expected = f"as many for each of {n_beads} beads"
        raise InputError(paths[0], "files", len(paths), expected)
    n_each = len(paths) // n_beads
    beads = [
        RawSeries.joined([_read(path, choice) for path in paths[k * n_each : (k + 1) * n_each]])
        for k in range(n_beads)
    ]
    for number, bead in enumerate(beads[1:], start=1):
        _check_same_times(paths[number * n_each], beads[0], bead)
    return beads[0].with_values(np.mean([bead.values for bead in beads], axis=0))


def _check_same_times(path: Path, first: RawSeries, other: RawSeries) -> None:
    if len(first.values) != len(other.values):
        found = f"{len(other.values)} frames"
        raise InputError(path, "frames", found, f"{len(first.values)}, as of the first bead")
    for name in ("steps", "times"):
        mine, theirs = getattr(first, name), getattr(other, name)
        if mine is not None and theirs is not None and not np.array_equal(mine, theirs):
            raise InputError(path, name, "others than of the first bead", "the same")


def _read(path: Path, choice: Choice) -> RawSeries:
    if not path.is_file():
        raise InputError(path, "file", "nothing", "a file of dipoles")
    if path.suffix == ".npy":
        return _of_array(path)
    try:
        head = _head(path)
    except OSError as error:
        raise InputError(path, "file", error.strerror or error, "a file of dipoles") from error
    if is_cp2k(path, head):
        if choice.rates:
            found, expected = "an output of CP2K", "dipoles, without --rates"
            raise InputError(path, "dipole rates", found, expected)
        return read_cp2k(path)
    if is_extras(head):
        return read_extras(path)
    return _of_table(read_table(path), choice)


def _head(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(20_000)


def _of_array(path: Path) -> RawSeries:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(path, "file", error, "an array of numpy") from error
    if values.ndim != 2 or values.shape[1] != 3 or values.dtype.kind not in "fiu":
        found = f"shape {values.shape} of {values.dtype}"
        raise InputError(path, "array", found, "numbers of shape (frames, 3)")
    lines = np.arange(1, len(values) + 1)
    return RawSeries(str(path), np.asarray(values, dtype=np.float64), lines)


def _of_table(table: Table, choice: Choice) -> RawSeries:
    chosen = dipole_columns(table, choice.columns, choice.rates)
    steps: IntArray | None = None
    times: FloatArray | None = None
    row_spacing: float | None = None
    step = column_named(table, "step", "timestep", "#step", "md_step")
    if step is not None:
        steps = _whole(table, step)
    time = column_named(table, "time", "t", "#time", "simulation_time")
    if time is not None and (fs := time_unit(table.names[time])) is not None:
        times = table.values[:, time] * fs
    elif time is not None and steps is None:
        steps, row_spacing = _counted(table, time)
    if first_column_is_time(table, chosen):
        steps, row_spacing = _counted(table, 0)
    unit = unit_of_columns(table, chosen, choice.rates)
    if unit is None and table.ipi:
        log.info("%s: i-PI writes what has no unit in atomic units", table.path)
        unit = "au"
    values = table.values[:, chosen]
    return RawSeries(
        str(table.path), values, table.lines, unit, steps, times, row_spacing=row_spacing
    )


def _whole(table: Table, column: int) -> IntArray:
    values = table.values[:, column]
    bad = np.flatnonzero(~((np.abs(values) <= MOST_STEPS) & (np.round(values) == values)))
    if len(bad):
        where = f"{table.path}, line {table.lines[bad[0]]}"
        raise InputError(where, "step", f"{values[bad[0]]:g}", "a whole number")
    return values.astype(np.int64)


def _counted(table: Table, column: int) -> tuple[IntArray, float]:
    """Times in an unknown unit, counted in their usual distance, and that; they need not begin at
    0."""
    values = table.values[:, column]
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        where = f"{table.path}, line {table.lines[bad[0]]}"
        raise InputError(where, "time", f"{values[bad[0]]:g}", "a finite number")
    gaps = np.diff(values)
    usual = float(np.median(gaps)) if len(gaps) else 1.0
    if not usual > 0.0:
        raise InputError(table.path, "time", "values that do not grow", "times of the rows")
    if not np.abs(values - values[0]).max() < MOST_STEPS * usual:
        raise InputError(table.path, "time", "values that are too far apart", "times of the rows")
    counted: IntArray = np.round((values - values[0]) / usual).astype(np.int64)
    return counted, usual
