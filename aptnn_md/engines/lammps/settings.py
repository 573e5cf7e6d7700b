"""What to stream of a LAMMPS run: numbers, their defaults and checks; LAMMPS is not needed."""

from __future__ import annotations

from dataclasses import dataclass

from aptnn_md.settings import Count, NewPath, Text, check_settings


@dataclass(frozen=True)
class LammpsSettings:
    """What to write down of a run.

    Parameters
    ----------
    path : directory of the stream
    stride : steps between frames, which are those that LAMMPS counts as multiples of it
    groups : name for :func:`aptnn_md.atoms.partition.parse_groups`
    velocities : also write the velocities of all atoms, for their power spectrum
    elements : symbol of each atom type; empty: found in the script, see
        :mod:`aptnn_md.engines.lammps.elements`
    runs : which ``run`` commands of the script are streamed, counted from 1 in the order of its
        lines: ``"all"``, ``"last"``, ``"2"``, ``"2,3"`` or ``"2-"``; empty: the only one

    Raises
    ------
    InputError
        A value of another type or out of its range.
    """

    path: NewPath
    stride: Count = 4
    groups: Text = "all"
    velocities: bool = False
    elements: tuple[str, ...] = ()
    runs: str = ""

    def __post_init__(self) -> None:
        check_settings(self, "LAMMPS stream")
