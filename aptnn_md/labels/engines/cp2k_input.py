"""Inputs of CP2K for single points, made from a template."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.cp2k import InputSection, parse_input

from aptnn_md.arrays import FloatArray
from aptnn_md.atomic_units import FIELD
from aptnn_md.errors import InputError

PROJECT = "point"
FORCES_FILE = "forces.txt"
DIPOLE_FILE = "dipole.txt"

REPLACED = (
    ("DFT", "PERIODIC_EFIELD"),
    ("DFT", "EFIELD"),
    ("DFT/PRINT", "MOMENTS"),
    ("PRINT", "FORCES"),
    ("SUBSYS", "CELL"),
    ("SUBSYS", "COORD"),
    ("SUBSYS", "TOPOLOGY"),
    ("SUBSYS", "VELOCITY"),
)
"""Sections of the template that are set for each point: parent and name."""


def read_template(text: str, directory: Path) -> InputSection:
    """The sections of a template, without those that are set for each point.

    Files that the template names relative to its ``directory`` are named absolutely.

    Raises
    ------
    InputError
        Not exactly one ``&FORCE_EVAL`` with ``&DFT`` and ``&SUBSYS``.
    """
    try:
        root = parse_input(text)
    except IndexError:
        raise InputError("CP2K template", "sections", "an extra &END", "CP2K input") from None
    root.subsections = [s for s in root.subsections if s.name == "FORCE_EVAL"]
    found = [s.name for s in root.subsections]
    if len(found) != 1:
        raise InputError("CP2K template", "&FORCE_EVAL", f"{len(found)} of them", "one")
    force_eval = root.subsections[0]
    names = {s.name for s in force_eval.subsections}
    if not {"DFT", "SUBSYS"} <= names:
        raise InputError("CP2K template", "&FORCE_EVAL", sorted(names), "&DFT and &SUBSYS in it")
    for parent, name in REPLACED:
        section = force_eval.get_subsection(parent)
        section.subsections = [s for s in section.subsections if s.name != name]
    dft = force_eval.get_subsection("DFT")
    _drop_keywords(dft, ("WFN_RESTART_FILE_NAME", "RESTART_FILE_NAME"))
    _drop_keywords(dft.get_subsection("SCF"), ("SCF_GUESS",))
    _absolute_files(root, directory)
    template: InputSection = root
    return template


def make_input(
    root: InputSection,
    atoms: Atoms,
    field: FloatArray,
    charge: float,
    with_forces: bool,
    start: Path | None,
) -> str:
    """The input of one point.

    Parameters
    ----------
    root : from :func:`read_template`; it is changed
    atoms : the structure, periodic
    field : (3,), V/Å
    charge : e
    with_forces : whether forces are wanted
    start : file of a wave function to start from
    """
    force_eval = root.get_subsection("FORCE_EVAL")
    dft = force_eval.get_subsection("DFT")
    for line in (
        f"PROJECT {PROJECT}",
        f"RUN_TYPE {'ENERGY_FORCE' if with_forces else 'ENERGY'}",
        "PRINT_LEVEL LOW",
    ):
        root.add_keyword("GLOBAL", line)
    guess = "ATOMIC" if start is None else "RESTART"
    dft.add_keyword("SCF", f"SCF_GUESS {guess}")
    if start is not None:
        dft.keywords.append(f"WFN_RESTART_FILE_NAME {start.resolve()}")
    if charge:
        _drop_keywords(dft, ("CHARGE",))
        dft.keywords.append(f"CHARGE {round(charge)}")
    strength = float(np.linalg.norm(field))
    if strength:
        # CP2K multiplies the direction as it stands with the intensity: give a unit vector
        dft.add_keyword("PERIODIC_EFIELD", f"INTENSITY {strength / FIELD:.16g}")
        dft.add_keyword("PERIODIC_EFIELD", f"POLARISATION {_numbers(field / strength)}")
    moments = dft.get_subsection("PRINT/MOMENTS")
    moments.keywords = ["PERIODIC T", f"FILENAME ={DIPOLE_FILE}"]
    if with_forces:
        forces = force_eval.get_subsection("PRINT/FORCES")
        forces.params = "ON"
        forces.keywords = ["NDIGITS 14", f"FILENAME ={FORCES_FILE}"]
    subsys = force_eval.get_subsection("SUBSYS")
    for name, vector in zip("ABC", atoms.cell.array, strict=True):
        subsys.add_keyword("CELL", f"{name} {_numbers(vector)}")
    subsys.get_subsection("COORD").keywords = [
        f"{symbol} {_numbers(position)}"
        for symbol, position in zip(atoms.get_chemical_symbols(), atoms.positions, strict=True)
    ]
    return "\n".join(root.write()) + "\n"


def _numbers(vector: FloatArray) -> str:
    return " ".join(f"{value:.16g}" for value in vector)


def _drop_keywords(section: InputSection, names: tuple[str, ...]) -> None:
    section.keywords = [k for k in section.keywords if k.split()[0].upper() not in names]


def _absolute_files(section: InputSection, directory: Path) -> None:
    """Files named relative to the template, seen from any directory."""
    for number, line in enumerate(section.keywords):
        keyword, path = _named_file(line, directory)
        if path is not None:
            section.keywords[number] = f"{keyword} {path}"
    for subsection in section.subsections:
        _absolute_files(subsection, directory)


def named_files(section: InputSection, directory: Path) -> list[Path]:
    """Files that a template names and that are there, of basis sets and the like; not those that
    CP2K finds in its own data."""
    found = [_named_file(line, directory)[1] for line in section.keywords]
    own = [path for path in found if path is not None]
    return own + [p for each in section.subsections for p in named_files(each, directory)]


def _named_file(line: str, directory: Path) -> tuple[str, Path | None]:
    """The keyword of a line, and the file that it names, if there is one."""
    words = line.partition("#")[0].split(maxsplit=1)
    if len(words) < 2 or not words[0].upper().endswith("FILE_NAME"):
        return "", None
    path = directory / words[1].strip().strip("\"'")
    return words[0], path if path.is_file() else None
