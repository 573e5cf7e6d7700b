"""Born effective charges from VASP's ``OUTCAR``.

The block is headed differently by different versions and kinds of runs::

    BORN EFFECTIVE CHARGES (in e, cummulative output)                                    5, LEPSILON
    BORN EFFECTIVE CHARGES (including local field effects) (in e, cummulative output)    5
    BORN EFFECTIVE CHARGES (including local field effects) (in |e|, cummulative output)  6
    BORN EFFECTIVE CHARGES (including local field effects)                               LCALCEPS

and followed for each ion by three rows, the direction of the field, of three numbers, the
components of the force: row = dipole, column = displacement. Blocks "excluding local field effects"
(``LRPA``) are another approximation and are not taken.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.labels.importers.formats import read_frames

HEAD = "BORN EFFECTIVE CHARGES"
EXCLUDING = "excluding local field effects"
POSITIONS = "TOTAL-FORCE (eV/Angst)"

_NUMBER = re.compile(r"[-+]?\d*\.\d+(?:[eE][-+]?\d+)?")  # columns may touch: -1.00000-2.00000
_SAME_PLACE = 1e-4


def read_outcar(path: Path) -> tuple[Atoms, FloatArray]:
    """The structure of the last block of Born charges, and the charges.

    Returns
    -------
    the structure with energy and forces, and (n_atoms, 3, 3), e, row = dipole

    Raises
    ------
    InputError
        No such block, one that is not complete, or a structure that cannot be identified.
    """
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    heads = [number for number, line in enumerate(lines) if HEAD in line]
    including = [number for number in heads if EXCLUDING not in lines[number]]
    if not including:
        found = f"only those {EXCLUDING}" if heads else "none"
        raise InputError(path, HEAD, found, "those of a run with LEPSILON or LCALCEPS")
    head = including[-1]
    frames = read_frames(path)
    charges = _read_block(path, lines, head, len(frames[0]))
    tables = [number for number, line in enumerate(lines) if POSITIONS in line]
    return _frame_of(path, frames, tables, head), charges


def _read_block(path: Path, lines: list[str], head: int, n_atoms: int) -> FloatArray:
    rows: list[list[float]] = []
    ion = 0
    for line in lines[head + 1 :]:
        words = line.split()
        if len(rows) == 3 * n_atoms:
            break
        if not words or set(line.strip()) == {"-"}:
            continue
        if words[0] == "ion":
            ion += 1
            if len(words) != 2 or words[1] != str(ion) or len(rows) != 3 * (ion - 1):
                break
            continue
        values = [float(value) for value in _NUMBER.findall(line)]
        if not ion or len(values) != 3 or words[0][:1] not in "123":
            break
        rows.append(values)
    if len(rows) != 3 * n_atoms:
        found = f"{len(rows)} rows that can be read, after line {head + 1}"
        raise InputError(path, HEAD, found, f"three for each of {n_atoms} ions")
    return np.array(rows).reshape(n_atoms, 3, 3)


def _frame_of(path: Path, frames: list[Atoms], tables: list[int], head: int) -> Atoms:
    """The ionic step whose table of positions is the last one before the block."""
    before = sum(number < head for number in tables)
    if len(frames) == len(tables):
        return frames[max(before, 1) - 1]
    last = frames[-1]
    if all(np.abs(frame.positions - last.positions).max() < _SAME_PLACE for frame in frames):
        return last
    raise InputError(
        path,
        "ionic steps",
        f"{len(frames)} of them with {len(tables)} tables of positions",
        "one table each, to know which structure the charges belong to; use vasprun.xml",
    )
