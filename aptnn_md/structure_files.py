"""Structures from files: what ASE reads, and what it drops.

Beside what ASE does itself: masses and velocities in columns of their own
(:mod:`aptnn_md.structure_columns`), the symbols D and T of hydrogen's isotopes in xyz files, units
and cell in the comment lines of i-PI's xyz files. A path that exists is a file, whatever
separators are in it; ASE's ``file@index`` holds where there is no such file.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import IO

import ase.io
import numpy as np
from ase import Atoms, units
from ase.io.formats import UnknownFileTypeError, filetype, open_with_compression
from ase.utils import string2index

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.ipi_xyz import IpiComment, apply_comment, parse_comment
from aptnn_md.names import split_suffix
from aptnn_md.progress import log
from aptnn_md.structure_checks import check_distances, check_structure
from aptnn_md.structure_columns import ISOTOPE_MASSES, kinetic_temperature, take_over
from aptnn_md.structures import stated_charges

_WHOLE_CHARGE = 1e-3
_MOST_COLUMNS = 100_000
EXPECTED = "a file that ASE can read, e.g. extxyz"


def read_structure(
    path: str | PathLike[str], positions: bool = True, named: str | None = None
) -> Atoms:
    """The last structure of a file, with the masses, velocities and charge that it gives.

    Parameters
    ----------
    path : a file in any format that ASE reads; ``file@index`` for another structure than the last,
        where no file has that name
    positions : whether positions and cell count; without, no unit of theirs is asked for
    named : in messages, of a file that is a copy of something else

    Raises
    ------
    InputError
        No such file, none that ASE can read, no atoms, or numbers that are implausible.
    """
    frames, name = _read(path, last=True)
    return _finished(named or name, frames[-1:], positions)[0]


def read_structures(path: str | PathLike[str]) -> list[Atoms]:
    """All structures of a file; see :func:`read_structure`."""
    frames, name = _read(path, last=False)
    return _finished(name, frames)


@dataclass
class _Scan:
    """What was found in an xyz file before ASE reads it.

    Attributes
    ----------
    isotopes : for each frame with D or T (n_atoms,) masses, amu, NaN for other atoms; else None
    comments : of each frame, i-PI's own; else None
    text : with H for D and T; empty where nothing had to be changed
    """

    isotopes: list[FloatArray | None] = field(default_factory=list)
    comments: list[IpiComment | None] = field(default_factory=list)
    text: str = ""


@dataclass
class _Read:
    """A frame as ASE read it, and what it dropped."""

    atoms: Atoms
    isotopes: FloatArray | None = None
    comment: IpiComment | None = None


def _read(path: str | PathLike[str], last: bool) -> tuple[list[_Read], str]:
    """Frames, of several only the last if ``last``, and the file's name."""
    name = fspath(path)
    index: int | slice = -1 if last else slice(None)
    if not Path(name).exists():
        name, index = _split(name, index)
    if not Path(name).is_file() and not Path(name).is_dir():
        raise InputError(path, "file", "nothing", EXPECTED)
    try:
        file_format = _format(name)
        if file_format == "extxyz":
            return _read_xyz(name, index), name
        found = ase.io.read(name, index=index, format=file_format, do_not_split_by_at_sign=True)
    except InputError:
        raise
    except Exception as error:  # ASE's readers raise whatever their parsing runs into
        raise _unreadable(path, error) from error
    frames = found if isinstance(found, list) else [found]
    if not frames:
        raise InputError(path, "frames", "none", "at least one")
    if file_format.startswith("lammps-dump"):
        for atoms in frames:
            _forget_unit(atoms)
    return [_Read(atoms) for atoms in frames], name


def _forget_unit(atoms: Atoms) -> None:
    """Velocities of a LAMMPS dump as a column, Å/ps or Å/fs; ASE takes them for Å/ps."""
    if atoms.has("momenta"):
        numbers = atoms.get_velocities() * (1000.0 * units.fs)
        del atoms.arrays["momenta"]
        atoms.set_array("velocities", numbers)


def _split(name: str, index: int | slice) -> tuple[str, int | slice]:
    """ASE's ``file@index``."""
    base, text = split_suffix(name)
    try:
        chosen = string2index(text) if text else ""
    except ValueError:
        return name, index
    return (name, index) if isinstance(chosen, str) else (base, chosen)


def _format(name: str) -> str:
    base = Path(name).name.lower()
    if base.startswith("vasprun.xml"):
        return "vasp-xml"  # also vasprun.xml-born and vasprun.xml.gz
    try:
        found = str(filetype(name))
    except UnknownFileTypeError:
        if ".xyz" in base:
            return "extxyz"
        raise
    return "extxyz" if found == "xyz" else found


def _unreadable(path: object, error: Exception) -> InputError:
    message = str(error).splitlines()[0] if str(error) else ""
    if isinstance(error, KeyError) and message.strip("'") in ISOTOPE_MASSES:
        symbol = message.strip("'")
        expected = "an extxyz file, which may have D and T, or H with a column of masses"
        return InputError(path, "symbol", f"{symbol}, which ASE does not know", expected)
    return InputError(path, "file", f"{type(error).__name__}: {message}", EXPECTED)


def _finished(name: str, frames: list[_Read], positions: bool = True) -> list[Atoms]:
    """Structures with all that the file says of them."""
    structures, notes = [], set()
    for number, frame in enumerate(frames):
        where = name if len(frames) == 1 else f"{name}, frame {number}"
        atoms = frame.atoms
        if len(atoms) == 0:
            raise InputError(where, "structure", "no atoms", "at least one")
        if positions and frame.comment is not None:
            apply_comment(where, atoms, frame.comment)
        _refuse_bare_types(where, atoms)
        _warn_of_initial_charges(where, atoms)
        notes.add(take_over(where, atoms, frame.isotopes))
        try:
            check_structure(atoms)
            if positions:
                check_distances(atoms)
        except InputError as error:
            raise InputError(where, error.field, error.found, error.expected) from None
        structures.append(atoms)
    kelvin = ""
    if len(structures) == 1 and structures[0].has("momenta"):
        velocities = structures[0].get_velocities() * units.fs
        kelvin = f", {kinetic_temperature(structures[0].get_masses(), velocities):.4g} K"
    for note in sorted(notes - {""}):
        log.info("%s: %s%s", name, note, kelvin)
    return structures


def _warn_of_initial_charges(where: str, atoms: Atoms) -> None:
    """Some programs take the sum of the atoms' charges for the charge of the structure."""
    total = float(atoms.get_initial_charges().sum())
    if round(total) and abs(total - round(total)) < _WHOLE_CHARGE and not stated_charges(atoms):
        log.warning(
            "%s: the initial charges add up to %d e, which is not taken for the charge of the "
            "structure; charge=%d in the comment line says it",
            *(where, round(total), round(total)),
        )


def _refuse_bare_types(where: str, atoms: Atoms) -> None:
    """LAMMPS dumps without elements: ASE takes type 1 for H, 2 for He, and so on."""
    types = atoms.arrays.get("type")
    if types is not None and len(types) == len(atoms) and np.array_equal(types, atoms.numbers):
        expected = "elements (dump_modify ... element), or a column of masses"
        raise InputError(where, "elements", "types of LAMMPS alone", expected)


# ---------------------------------------------------------------------- xyz


def _read_xyz(name: str, index: int | slice) -> list[_Read]:
    scan = _scan_xyz(name)
    n_frames = len(scan.isotopes)
    if not n_frames:
        raise InputError(name, "frames", "none", "at least one")
    source = io.StringIO(scan.text) if scan.text else name
    found = ase.io.read(source, index=index, format="extxyz", do_not_split_by_at_sign=True)
    frames = found if isinstance(found, list) else [found]
    numbers = range(n_frames)[index]
    chosen = list(numbers) if isinstance(numbers, range) else [numbers]
    return [
        _Read(atoms, scan.isotopes[k], scan.comments[k])
        for atoms, k in zip(frames, chosen, strict=True)
    ]


def _scan_xyz(name: str, rewrite: bool = False) -> _Scan:
    """Isotopes and comments of all frames, and with ``rewrite`` their text without D and T.

    Raises
    ------
    InputError
        A frame that declares more atoms than the file has lines.
    """
    scan = _Scan()
    text = io.StringIO()
    unused: list[tuple[int, int]] = []
    with open_with_compression(name, "rt") as file:
        lines = _Lines(file)
        while header := lines.read():
            words = header.split()
            if not words:
                continue
            frame = f"{name}, frame {len(scan.isotopes)}" if scan.isotopes else name
            n_atoms = _count(frame, words[0])
            comment = lines.read()
            scan.comments.append(parse_comment(comment))
            isotopes, body, columns = _scan_atoms(frame, lines, n_atoms, comment, rewrite)
            scan.isotopes.append(isotopes)
            unused += [columns] if columns[1] > columns[0] else []
            vectors = _cell_vectors(lines)
            if rewrite:
                text.writelines([header, comment, *body, *vectors])
    if not rewrite and any(masses is not None for masses in scan.isotopes):
        return _scan_xyz(name, rewrite=True)
    if unused:
        log.warning(
            "%s: the columns after the first %d of %d are not used%s: the comment line names "
            "columns by Properties=...",
            *(name, *unused[0], f" (in {len(unused)} frames)" if len(unused) > 1 else ""),
        )
    scan.text = text.getvalue()
    return scan


def _count(where: str, word: str) -> int:
    if not word.isdecimal():
        raise InputError(where, "file", repr(word), "the number of atoms")
    return int(word)


class _Lines:
    """Lines of a file, one after the other, of which the last one can be put back: to seek in a
    compressed file is to read it again."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._back: str | None = None

    def read(self) -> str:
        """The next line; empty at the end."""
        line, self._back = self._back, None
        return self._file.readline() if line is None else line

    def put_back(self, line: str) -> None:
        """Make this line the next one."""
        self._back = line


def _scan_atoms(
    where: str, lines: _Lines, n_atoms: int, comment: str, keep: bool
) -> tuple[FloatArray | None, list[str], tuple[int, int]]:
    """Masses of isotopes, with ``keep`` the lines of a frame with H in their place, and how many
    columns have a meaning and how many there are."""
    column, n_columns = _columns(where, comment)
    heavy: dict[int, float] = {}
    kept = []
    n_found = 0
    for k in range(n_atoms):
        line = lines.read()
        if not line:
            raise InputError(
                where, "file", f"{n_atoms} atoms declared, {k} lines", "a line for each atom"
            )
        if column is not None:
            words = line.split(maxsplit=column + 1)
            if len(words) > column and (mass := ISOTOPE_MASSES.get(words[column].upper())):
                heavy[k] = mass
                words[column] = "H"
                line = " ".join(words).rstrip("\n") + "\n"
        if k == 0:
            n_found = len(line.split())
        if keep:
            kept.append(line)
    if not heavy:
        return None, kept, (n_columns, n_found)
    masses = np.full(n_atoms, np.nan)
    masses[list(heavy)] = list(heavy.values())
    return masses, kept, (n_columns, n_found)


def _columns(where: str, comment: str) -> tuple[int | None, int]:
    """Which word of a line is the symbol, if any, and how many words have a meaning.

    By ``Properties``; without it a symbol and three coordinates.
    """
    _, key, rest = comment.partition("Properties=")
    if not key:
        return 0, 4
    parts = rest.split()[0].strip("\"'").split(":")
    symbol, column = None, 0
    for name, count in zip(parts[::3], parts[2::3], strict=False):
        if name.lower() == "species":
            symbol = column
        column += int(count) if count.isdecimal() else 1
    if column > _MOST_COLUMNS:
        # ASE would make a name for each of them
        raise InputError(where, "Properties", f"{column} columns", "those that the lines have")
    return symbol, column


def _cell_vectors(lines: _Lines) -> list[str]:
    """Cell vectors after the atoms, ``VEC1 ...``, as ADF writes them."""
    found: list[str] = []
    while (line := lines.read()).lstrip().upper().startswith("VEC"):
        found.append(line)
    lines.put_back(line)
    return found
