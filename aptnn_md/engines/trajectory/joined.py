"""Files that belong together: velocities beside positions, beads, parts of a run in a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.atoms.snapshot import nearest_images
from aptnn_md.engines.trajectory.frames import Frame, FrameFile
from aptnn_md.engines.trajectory.time_axis import without_repeats
from aptnn_md.errors import InputError
from aptnn_md.progress import log
from aptnn_md.structures import SAME_CHARGE, charge_of

_REPEATED = 2.0
"""Times the distance of frames in a row."""

_SAME_TIME = 0.1
"""Of the distance of frames."""

_FREE = 1.8
"""Smallest displacement over two frames, in units of that over one, of atoms that fly freely."""

_OTHER = 0.7
"""Smallest difference between the next displacements of two runs that part, in the same unit."""

_SAME_POSITIONS, _SAME_MASS = 1e-6, 1e-4


class Joined:
    """Frames of all files, each time once; a context manager that closes them.

    Parameters
    ----------
    beads : for each bead its files in their order, classical atoms being one bead
    template : elements, masses, charge and constraints
    cell : of the frames whose files give none; None: none
    cells : (steps, (n, 3, 3)) of a file of cells
    of_centroids : beads whose centroids the frames hold; 0: they hold atoms or beads

    Raises
    ------
    InputError
        Beads of different frames, elements or masses other than those of the template, or parts
        whose counters begin anew.
    """

    def __init__(
        self,
        beads: Sequence[Sequence[FrameFile]],
        template: Atoms,
        cell: FloatArray | None = None,
        pbc: tuple[bool, bool, bool] = (True, True, True),
        cells: tuple[IntArray, FloatArray] | None = None,
        of_centroids: int = 0,
    ) -> None:
        self.beads, self.template, self.of_centroids = beads, template, of_centroids
        self._cell, self._pbc, self._cells = cell, pbc, cells
        self._no_cell: bool | None = None
        self._charge = charge_of(template)
        first = beads[0]
        self._check_files()
        self.parts = first
        n_frames = [min(files[k].n_frames for files in beads) for k in range(len(first))]
        # number of the file among those of a bead, and of the frame in it
        self._part: IntArray = np.repeat(np.arange(len(first)), n_frames)
        self._frame: IntArray = np.concatenate([np.arange(n) for n in n_frames])
        self.steps = _concatenated([f.steps for f in first], n_frames)
        self.times = _concatenated([f.times for f in first], n_frames)

    def __len__(self) -> int:
        """Number of frames."""
        return len(self._part)

    @property
    def n_beads(self) -> int:
        """Number of beads, also of those whose centroids these are."""
        return self.of_centroids or len(self.beads)

    @property
    def note(self) -> str:
        """Where velocities come from; empty where there are none."""
        return self.beads[0][0].note

    def close(self) -> None:
        """Close all files."""
        for files in self.beads:
            for each in files:
                each.close()

    def __enter__(self) -> Joined:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def where(self, frame: int) -> str:
        """File and frame, for messages."""
        return f"{self.parts[self._part[frame]].path}, frame {self._frame[frame]}"

    def use(self, frames: slice) -> None:
        """Only some of the frames, each time once.

        Raises
        ------
        InputError
            There are none, they are not one after the other, or counters begin anew in them.
        """
        chosen = range(len(self))[frames]
        if len(chosen) == 0 or chosen.step < 1:
            expected = f"some of the {len(self)} there are, in their order"
            raise InputError("--frames", "frames", f"{frames.start}:{frames.stop}", expected)
        self._take(np.arange(len(self))[frames])
        self._drop_repeats()

    def read(self, frame: int) -> Frame:
        """A frame; (n_beads, n_atoms, 3) where there are several beads."""
        part, number = int(self._part[frame]), int(self._frame[frame])
        of_beads = [files[part].read(number) for files in self.beads]
        found = of_beads[0]
        if len(of_beads) > 1:
            velocities = [each.velocities for each in of_beads]
            found = Frame(
                np.stack([each.positions for each in of_beads]),
                None if velocities[0] is None else np.stack(velocities),  # type: ignore[arg-type]
                found.cell,
                found.pbc,
                found.charge,
            )
        self._check_charge(frame, found.charge)
        if (found.cell is None) is not self._without_cell(found):
            raise InputError(self.where(frame), "cell", "none", "one, as in the frame read first")
        if self._cells is not None and self.steps is not None:
            return replace(found, cell=self._cell_of(frame), pbc=self._pbc)
        if found.cell is None and self._cell is not None:
            return replace(found, cell=self._cell, pbc=self._pbc)
        return found

    def _check_charge(self, frame: int, charge: float | None) -> None:
        known = self._charge
        if charge is not None and (known is None or abs(charge - known) > SAME_CHARGE):
            expected = f"{'none' if known is None else f'{known:g} e'}, as at the beginning"
            raise InputError(self.where(frame), "charge", f"{charge:g} e", expected)

    def _without_cell(self, frame: Frame) -> bool:
        """Whether the files give no cell, by the first frame that is read."""
        if self._no_cell is None:
            self._no_cell = frame.cell is None
        return self._no_cell

    def _cell_of(self, frame: int) -> FloatArray:
        assert self._cells is not None
        assert self.steps is not None
        steps, cells = self._cells
        # of repeated steps the last one
        at = int(np.searchsorted(steps, self.steps[frame], side="right")) - 1
        if at < 0 or steps[at] != self.steps[frame]:
            expected = "a cell for every frame in --cell-file"
            raise InputError(
                self.where(frame), "cell", f"none of step {self.steps[frame]}", expected
            )
        cell: FloatArray = cells[at]
        return cell

    def _check_files(self) -> None:
        for files in self.beads:
            for each in files:
                theirs = each.template
                if theirs is None:
                    continue
                if not np.array_equal(theirs.numbers, self.template.numbers):
                    found = theirs.get_chemical_formula()
                    expected = f"{self.template.get_chemical_formula()} in one order of atoms"
                    raise InputError(each.path, "elements", found, expected)
                masses, own = self.template.get_masses(), theirs.get_masses()
                if theirs.has("masses") and not np.allclose(own, masses, rtol=_SAME_MASS):
                    k = int(np.abs(own - masses).argmax())
                    expected = f"{masses[k]:g} amu, as in --structure or another file"
                    raise InputError(each.path, f"mass of atom {k}", f"{own[k]:g} amu", expected)
        for number, files in enumerate(self.beads):
            for k, each in enumerate(files):
                first = self.beads[0][k]
                n = min(each.n_frames, first.n_frames)
                if each.n_frames != first.n_frames and number:
                    log.warning("%s and %s: the first %d frames", first.path, each.path, n)
                mine, others = first.steps, each.steps
                both = mine is not None and others is not None
                if both and not np.array_equal(mine[:n], others[:n]):  # type: ignore[index]
                    found, expected = "others", f"those of {first.path}"
                    raise InputError(each.path, "steps", found, expected)

    def _take(self, frames: IntArray) -> None:
        self._part, self._frame = self._part[frames], self._frame[frames]
        self.steps = None if self.steps is None else self.steps[frames]
        self.times = None if self.times is None else self.times[frames]

    def _drop_repeats(self) -> None:
        axis = self.steps if self.steps is not None else self.times
        if axis is None:
            self._drop_shared()
            return
        stays = without_repeats(axis)
        if n_gone := len(self) - len(stays):
            for later in np.flatnonzero(np.diff(axis) <= 0) + 1:
                self._check_repeat(axis, int(later))
            log.info("%d frames were written again later, after a restart; these are used", n_gone)
        self._take(stays)

    def _check_repeat(self, axis: np.ndarray, later: int) -> None:
        """Refuse a part that is no repetition: what a restart writes again begins where the frame
        of that step was, and goes on as that did."""
        same = _SAME_TIME * float(np.median(np.abs(np.diff(axis))))  # times may be rounded
        earlier = np.flatnonzero(np.abs(axis[:later] - axis[later]) <= same)
        if not len(earlier):
            raise self._no_repetition(later, f"back to {axis[later]:g}, which no frame before has")
        before = int(earlier[-1])
        if later < 2 or before + 1 == later:
            return  # the frame at which two parts meet
        again = _rms(self._moved(before, later))
        moved = self._moved(before, before + 1)
        step = _rms(moved)
        if again > _REPEATED * step + _SAME_POSITIONS:
            found = f"{axis[later]:g} once more, {again:.2g} Å (rms) from the frame that has it"
            raise self._no_repetition(later, found)
        if later + 1 >= len(self) or abs(axis[later + 1] - axis[before + 1]) > same:
            return
        # while atoms fly freely, noise of a thermostat changes little: other velocities show
        flies = before + 2 < later and _rms(self._moved(before, before + 2)) > _FREE * step
        if flies and _rms(self._moved(later, later + 1) - moved) > _OTHER * step:
            found = f"{axis[later]:g} once more, after which the atoms move otherwise"
            raise self._no_repetition(later, found)

    def _no_repetition(self, later: int, found: str) -> InputError:
        return InputError(
            self.where(later),
            "step or time",
            found,
            "files of one run in their order, or what a restart writes again; of independent runs, "
            "and of parts whose counters begin anew, make a stream each (--frames START:STOP where "
            "they are in one file), which spectrum takes as runs of their own",
        )

    def _moved(self, first: int, second: int) -> FloatArray:
        """Displacements from one frame to another, Å."""
        one, other = self.read(first), self.read(second)
        return nearest_images(other.positions - one.positions, one.cell, one.pbc)

    def _drop_shared(self) -> None:
        """Of files without steps that share a frame at their border, the first one's."""
        stays = np.ones(len(self), dtype=bool)
        for k in np.flatnonzero(np.diff(self._part)):
            one, other = (self.parts[self._part[n]].read(int(self._frame[n])) for n in (k, k + 1))
            if np.abs(one.positions - other.positions).max() < _SAME_POSITIONS:
                stays[k] = False
                log.info(
                    "%s begins with the last frame of %s, which is used once",
                    *(self.parts[self._part[k + 1]].path, self.parts[self._part[k]].path),
                )
        self._take(np.flatnonzero(stays))


def _rms(vectors: FloatArray) -> float:
    return float(np.sqrt((vectors**2).sum(axis=-1).mean()))


def _concatenated(
    arrays: Sequence[np.ndarray | None], n_frames: Sequence[int]
) -> np.ndarray | None:
    """Of all files, where all have them."""
    if any(array is None for array in arrays):
        return None
    pairs = zip(arrays, n_frames, strict=True)
    return np.concatenate([array[:n] for array, n in pairs if array is not None])


def grouped_by_bead(numbers: Sequence[int], first: Path, n_beads: int) -> list[list[int]]:
    """Numbers of the files of each bead, which come bead by bead.

    Parameters
    ----------
    numbers : of files
    first : file, for messages
    n_beads : number of beads

    Raises
    ------
    InputError
        Not as many for each bead.
    """
    if len(numbers) % n_beads:
        expected = f"as many for each of {n_beads} beads (--beads)"
        raise InputError(first, "files", len(numbers), expected)
    n_each = len(numbers) // n_beads
    return [list(numbers[k * n_each : (k + 1) * n_each]) for k in range(n_beads)]
