"""What to make streams of, and how: numbers, their defaults and checks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from aptnn_md.settings import Count, NewPath, NotEmpty, Positive, Range, check_settings

Unit = Literal[
    "e-angstrom",
    "debye",
    "au",
    "e-nm",
    "e-angstrom/fs",
    "e-angstrom/ps",
    "debye/fs",
    "debye/ps",
]
UNITS: tuple[str, ...] = get_args(Unit)
"""Of dipoles and their rates; ``au`` is of either."""


@dataclass(frozen=True)
class DipoleSettings:
    """A series of dipoles, and the stream of it.

    Parameters
    ----------
    dipoles : files of one run in their order; of several beads all files of the first bead first
    path : the stream
    rates : the files hold the dipole's rate, not the dipole
    columns : names, or numbers from 1 on, of the three columns; empty: by their names
    units : of the files; None: what they say, else e Å (or e Å/fs)
    timestep : MD time step, fs; None: from the file's times
    stride : steps between frames; None: from the file's steps, else 1
    first_step : step of the first row of a file without steps
    n_beads : of a path integral; the dipole is the mean of theirs
    unwrap : dipoles are Berry phases of the cell of ``structure``, defined up to e times a lattice
        vector; those of CP2K are known to be
    structure : file of the atoms, for the header: system, volume
    temperature : K, for the header
    run_of : a stream of the same trajectory, with which this one can be compared as paired

    Raises
    ------
    InputError
        A value of another type or out of its range.
    """

    dipoles: Annotated[tuple[Path, ...], NotEmpty()]
    path: NewPath
    rates: bool = False
    columns: tuple[str, ...] = ()
    units: Unit | None = None
    timestep: Positive | None = None
    stride: Count | None = None
    first_step: Annotated[int, Range(at_least=0, less_than=2**53)] = 0
    n_beads: Count = 1
    unwrap: bool = False
    structure: Path | None = None
    temperature: Positive | None = None
    run_of: Path | None = None

    def __post_init__(self) -> None:
        check_settings(self, "dipoles")
