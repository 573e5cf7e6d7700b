"""What to make streams of, and how: numbers, their defaults and checks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from aptnn_md.errors import InputError
from aptnn_md.settings import (
    AtLeastZero,
    Count,
    NewPath,
    NotEmpty,
    Positive,
    Range,
    Text,
    check_settings,
)
from aptnn_md.stream.frame import ESTIMATORS

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


VelocityUnit = Literal["Å/fs", "ASE's unit", "nm/ps", "atomic units", "Å/ps", "m/s"]
LammpsUnit = Literal["real", "metal", "si", "cgs", "electron", "nano"]

VELOCITY_OPTION: dict[str, VelocityUnit] = {
    "angstrom/fs": "Å/fs",
    "angstrom/ps": "Å/ps",
    "nm/ps": "nm/ps",
    "ase": "ASE's unit",
    "au": "atomic units",
    "m/s": "m/s",
}
"""Names on the command line -> names in :data:`aptnn_md.structure_columns.VELOCITY_UNITS`."""


@dataclass(frozen=True)
class TrajectoryFiles:
    """A stored trajectory.

    Parameters
    ----------
    trajectory : files of one run in their order; of several beads all files of the first bead first
    structure : file of the atoms, for trajectories without elements or without a cell
    velocity_files : as many as ``trajectory``, with velocities in place of positions (CP2K, i-PI)
    velocity_unit : of velocities in columns or in files of their own; None: what is known of the
        program
    lammps_units : of LAMMPS dumps that do not say it
    elements : of LAMMPS' types 1, 2, ...
    cell_file : CP2K's file of cells
    n_beads : of a path integral
    frames : START:STOP of the frames of all files, counted from 0, as in Python

    Raises
    ------
    InputError
        A value of another type or out of its range.
    """

    trajectory: Annotated[tuple[Path, ...], NotEmpty()]
    structure: Path | None = None
    velocity_files: tuple[Path, ...] = ()
    velocity_unit: VelocityUnit | None = None
    lammps_units: LammpsUnit | None = None
    elements: tuple[str, ...] = ()
    cell_file: Path | None = None
    n_beads: Count = 1
    frames: Text = ":"

    def __post_init__(self) -> None:
        check_settings(self, "trajectory")
        self.chosen_frames  # noqa: B018 refuses what is no range
        if self.velocity_files and len(self.velocity_files) != len(self.trajectory):
            expected = f"{len(self.trajectory)}, one for each file of positions"
            found = len(self.velocity_files)
            raise InputError("trajectory", "--velocity-files", found, expected)

    @property
    def chosen_frames(self) -> slice:
        """``frames`` as a slice."""
        parts = self.frames.split(":")
        try:
            if len(parts) != 2:
                raise ValueError
            start, stop = (int(part) if part.strip() else None for part in parts)
        except ValueError:
            expected = "START:STOP, whole numbers of which either may be left out"
            raise InputError("trajectory", "frames", repr(self.frames), expected) from None
        return slice(start, stop)


@dataclass(frozen=True)
class TrajectorySettings:
    """What the stream of a trajectory holds, and how it is calculated.

    Parameters
    ----------
    path : the stream
    timestep : MD time step, fs; None: from the files' times
    stride : steps between frames; None: from the files' steps, else 1
    first_step : step of the first frame of files without steps
    increments : increments of the dipole from positions alone, though there are velocities
    groups : name for :func:`aptnn_md.atoms.partition.parse_groups`
    estimators : of :data:`aptnn_md.stream.frame.ESTIMATORS`
    velocities : also the velocities of all atoms
    temperature : of the thermostat, K, for the header
    run_of : a stream of the same trajectory, with which this one can be compared as paired
    batch : frames that are evaluated in one call
    commit_seconds : wall-clock time between commits to the disk; None: see
        :class:`aptnn_md.stream.StreamWriter`

    Raises
    ------
    InputError
        A value of another type or out of its range.
    """

    path: NewPath
    timestep: Positive | None = None
    stride: Count | None = None
    first_step: Annotated[int, Range(at_least=0, less_than=2**53)] = 0
    increments: bool = False
    groups: Text = "all"
    estimators: tuple[str, ...] = ("bead",)
    velocities: bool = False
    temperature: Positive | None = None
    run_of: Path | None = None
    batch: Count = 8
    commit_seconds: AtLeastZero | None = None

    def __post_init__(self) -> None:
        check_settings(self, "trajectory")
        for name in self.estimators or ("",):
            if name not in ESTIMATORS:
                expected = f"one or more of {', '.join(ESTIMATORS)}"
                raise InputError("trajectory", "--estimator", repr(name), expected)
        if self.increments and self.velocities:
            expected = "velocities of the trajectory, or increments"
            raise InputError("trajectory", "velocities", "with increments", expected)
