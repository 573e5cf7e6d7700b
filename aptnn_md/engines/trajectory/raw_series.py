"""Vectors along a run in the unit of their file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.errors import InputError


@dataclass(frozen=True, eq=False)
class RawSeries:
    """What a file says.

    Attributes
    ----------
    source : file
    values : (n, 3), in ``unit``
    lines : (n,) where the values stand in the file, counted from 1
    unit : name in :mod:`aptnn_md.engines.trajectory.dipole_units`; None: the file does not say
    steps : (n,) MD steps; None: the file has none
    times : (n,) fs; None: the file has none, or in an unknown unit
    cells : (n, 3, 3) or (3, 3), Å, rows, of Berry phases; None where the file has none
    berry_phase : 1 where values are defined up to e times a lattice vector, 0.5 where up to half of
        that; 0 where it is not known that they are Berry phases
    sources : file of each value, where there are several: (number of the first value, name)
    row_spacing : between times in an unknown unit, where ``steps`` only count rows by them
    """

    source: str
    values: FloatArray
    lines: IntArray
    unit: str | None = None
    steps: IntArray | None = None
    times: FloatArray | None = None
    cells: FloatArray | None = None
    berry_phase: float = 0.0
    sources: tuple[tuple[int, str], ...] = ()
    row_spacing: float | None = None

    @classmethod
    def joined(cls, parts: Sequence[RawSeries]) -> RawSeries:
        """Several in a row.

        Raises
        ------
        InputError
            Other units, or steps, times or cells in some of them only.
        """
        first = parts[0]
        starts = np.cumsum([0, *[len(part.values) for part in parts[:-1]]])
        sources = tuple((int(k), part.source) for k, part in zip(starts, parts, strict=True))
        for part in parts[1:]:
            for name in ("unit", "berry_phase"):
                mine, theirs = getattr(first, name), getattr(part, name)
                if mine != theirs:
                    expected = f"{mine or 'none'}, as in {first.source}"
                    raise InputError(part.source, name, theirs or "none", expected)
        joined = {}
        for name in ("steps", "times", "cells"):
            arrays = [getattr(part, name) for part in parts]
            there = [array is not None for array in arrays]
            if any(there) and not all(there):
                lacking = parts[there.index(False)].source
                raise InputError(lacking, name, "none", f"some, as in {first.source}")
            if name == "cells" and all(there):
                shapes = [(len(part.values), 3, 3) for part in parts]
                pairs = zip(arrays, shapes, strict=True)
                arrays = [np.broadcast_to(array, shape) for array, shape in pairs]
            joined[name] = np.concatenate(arrays) if all(there) else None
        values = np.concatenate([part.values for part in parts])
        lines = np.concatenate([part.lines for part in parts])
        return cls(
            first.source,
            values,
            lines,
            first.unit,
            **joined,
            berry_phase=first.berry_phase,
            sources=sources,
            row_spacing=first.row_spacing,
        )

    def with_values(self, values: FloatArray) -> RawSeries:
        """The same with other values."""
        return replace(self, values=values)

    def taken(self, frames: IntArray) -> RawSeries:
        """Some frames; places in the files are those of before."""
        cells = self.cells
        if cells is not None and cells.ndim == 3:
            cells = cells[frames]
        number = np.searchsorted([start for start, _ in self.sources], frames, side="right") - 1
        starts = {int(k): int(np.argmax(number == k)) for k in np.unique(number)}
        sources = tuple((at, self.sources[k][1]) for k, at in starts.items())
        return replace(
            self,
            values=self.values[frames],
            steps=None if self.steps is None else self.steps[frames],
            times=None if self.times is None else self.times[frames],
            cells=cells,
            lines=self.lines[frames],
            sources=sources,
        )

    def where(self, frame: int) -> str:
        """File and line of a frame, for messages."""
        name = self.source
        for start, source in self.sources:
            name = source if start <= frame else name
        word = "row" if name.endswith(".npy") else "line"
        return f"{name}, {word} {self.lines[frame]}"
