"""The structure in which groups were found, kept in the header for runs that resume.

Molecules and selections are those of the start. A program that resumes from a restart file of its
own knows only where the atoms are now, so the stream tells where they were.
"""

from __future__ import annotations

from typing import Any

from ase import Atoms

from aptnn_md.stream.header import StreamHeader

_OF_ELEMENTS = ("all", "element")


def start_of(atoms: Atoms, header: StreamHeader | None) -> Atoms:
    """The atoms where groups are found: a run that resumes keeps those it began with.

    Parameters
    ----------
    atoms : as they are now
    header : of the stream that is resumed; None: a new one
    """
    if header is None or len(header.start_positions) != len(atoms):
        return atoms
    start: Atoms = atoms.copy()
    start.set_cell(header.start_cell)
    start.set_positions(header.start_positions)
    return start


def start_fields(start: Atoms, groups: object) -> dict[str, Any]:
    """Fields of the header by which :func:`start_of` finds the start again.

    Parameters
    ----------
    start : the structure
    groups : their name or the partition; all atoms and elements need no structure
    """
    if groups in _OF_ELEMENTS:
        return {}
    return {
        "start_positions": tuple(map(tuple, start.positions.tolist())),
        "start_cell": tuple(map(tuple, start.cell.tolist())),
    }
