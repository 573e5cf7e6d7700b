"""Which program wrote a file, by its content, and the frames in it.

Names say little: ``vasprun.xml-born``, ``OUTCAR.3``, ``job1``. The first lines say more.
"""

from __future__ import annotations

import math
from itertools import islice
from pathlib import Path

import ase.io
from ase import Atoms

from aptnn_md.errors import InputError
from aptnn_md.structure_files import read_structures

N_LINES = 40
"""Lines at the beginning of a file that tell its format."""


def first_lines(path: Path) -> list[str]:
    """The beginning of a text file.

    Raises
    ------
    InputError
        There is no such file.
    """
    if not path.is_file():
        raise InputError(path, "file", "nothing", "an output of another program")
    with path.open(encoding="utf-8", errors="replace") as lines:
        return [line.rstrip("\n") for line in islice(lines, N_LINES)]


def is_vasprun(lines: list[str]) -> bool:
    """Whether a file that begins with these lines is VASP's ``vasprun.xml``."""
    return any("<modeling>" in line for line in lines)


def is_outcar(lines: list[str]) -> bool:
    """Whether a file that begins with these lines is VASP's ``OUTCAR``."""
    written = [line.split() for line in lines if line.strip()]
    return bool(written) and written[0][0].lower().startswith("vasp.")


def is_phonopy_yaml(lines: list[str]) -> bool:
    """Whether a file that begins with these lines is one of phonopy's YAML files."""
    return any(line.rstrip() == "phonopy:" for line in lines)


def is_of_program(lines: list[str]) -> bool:
    """Whether a file that begins with these lines is one of VASP or phonopy that may hold Born
    effective charges by itself."""
    return is_vasprun(lines) or is_outcar(lines) or is_phonopy_yaml(lines)


def is_born(lines: list[str]) -> bool:
    """Whether a file that begins with these lines is phonopy's ``BORN``: nine numbers on each line
    but the first."""
    rows = [line.split() for line in lines[1:] if line.strip()]
    return len(rows) > 1 and all(len(row) == 9 and _are_numbers(row) for row in rows)


def _are_numbers(words: list[str]) -> bool:
    try:
        return all(math.isfinite(float(word)) for word in words)
    except ValueError:
        return False


def read_frames(path: Path) -> list[Atoms]:
    """All frames of a file that ASE reads, those of VASP whatever the file's name.

    Raises
    ------
    InputError
        No such file, one that ASE cannot read, or no frame in it.
    """
    lines = first_lines(path)
    known = "vasp-xml" if is_vasprun(lines) else "vasp-out" if is_outcar(lines) else None
    if known is None:
        return read_structures(path)
    try:
        frames = ase.io.read(path, index=":", format=known)
    except Exception as error:  # ASE's readers raise whatever their parsing runs into
        raise InputError(
            path, "file", f"{type(error).__name__}: {error}", "a file that ASE can read"
        ) from error
    assert isinstance(frames, list)
    if not frames:
        raise InputError(path, "frames", "none", "at least one")
    return frames
