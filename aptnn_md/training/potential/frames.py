"""Frames with energies and forces, under whatever name, and which of them a network can learn."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.structure_files import read_structures
from aptnn_md.structures import total_charge

NAMES = {
    "energy": ("energy", "REF_energy", "dft_energy", "total_energy", "free_energy"),
    "forces": ("forces", "REF_forces", "dft_forces", "force"),
}
"""Names of the labels in files. The first that is there counts, where not two of those of different
levels differ."""

_OF_LEVELS = {
    "energy": ("energy", "REF_energy", "dft_energy"),
    "forces": ("forces", "REF_forces", "dft_forces"),
}


@dataclass(frozen=True, eq=False)
class EnergyFrame:
    """A structure with its energy and forces.

    Attributes
    ----------
    atoms : the structure
    energy : eV; NaN where there is none
    forces : (n_atoms, 3), eV/Å; NaN where there are none
    """

    atoms: Atoms
    energy: float
    forces: FloatArray

    @property
    def has_energy(self) -> bool:
        """Whether the energy is known."""
        return bool(np.isfinite(self.energy))

    @property
    def has_forces(self) -> bool:
        """Whether the force on any atom is known."""
        return bool(np.isfinite(self.forces).all(axis=1).any())

    @property
    def composition(self) -> str:
        """Formula, in the order of Hill."""
        return str(self.atoms.get_chemical_formula("hill"))


def energy_frames(
    structures: Iterable[Atoms],
    keys: Mapping[str, str] | None = None,
    where: object = "frames",
) -> list[EnergyFrame]:
    """Frames that have an energy or forces; those without any are left out.

    Parameters
    ----------
    structures : with labels among the calculator's results, in ``info`` and ``arrays``
    keys : ``energy`` or ``forces`` -> its name, where it is none of :data:`NAMES`
    where : file, for messages

    Raises
    ------
    InputError
        Labels of a wrong shape, no labels in any frame, or charges that a network cannot tell
        apart (:func:`check_charges`).
    """
    keys = keys or {}
    frames, n_structures = [], 0
    for number, atoms in enumerate(structures):
        n_structures += 1
        frame = _frame(atoms, keys, f"{where}, frame {number}")
        if frame.has_energy or frame.has_forces:
            frames.append(frame)
    if not frames:
        raise InputError(
            where,
            "energy and forces",
            f"none in {n_structures} frames",
            "frames as aptnn-md label writes them, or --key energy=NAME --key forces=NAME",
        )
    check_charges(frames, where)
    return frames


def read_energy_frames(path: Path, keys: Mapping[str, str] | None = None) -> list[EnergyFrame]:
    """Frames of a file; see :func:`energy_frames`."""
    return energy_frames(read_structures(path), keys, path)


def check_charges(frames: Sequence[EnergyFrame], where: object) -> None:
    """Refuse the same composition with different charges.

    A MACE network sees elements and places, no charge. Of different compositions (formate beside
    ammonium) it learns each with its own; of the same composition it could not tell a molecule
    from its ion.

    Raises
    ------
    InputError
        It names the composition and the charges.
    """
    known: dict[str, float] = {}
    for frame in frames:
        charge = total_charge(frame.atoms)
        first = known.setdefault(frame.composition, charge)
        if abs(charge - first) > 1e-6:
            raise InputError(
                where,
                "charge",
                f"{first:g} e and {charge:g} e of {frame.composition}",
                "one charge of each composition, as the network sees none: train a potential for "
                "each charge",
            )


def charges_of(frames: Sequence[EnergyFrame]) -> dict[str, float]:
    """Composition -> charge, e."""
    return {frame.composition: total_charge(frame.atoms) for frame in frames}


def digest_of(frames: Sequence[EnergyFrame]) -> str:
    """SHA-256 of structures and labels, by which a resumed training knows its data."""
    digest = hashlib.sha256()
    for frame in frames:
        atoms = frame.atoms
        for array in (
            np.asarray(atoms.numbers, dtype=np.int64),
            atoms.positions,
            atoms.cell.array,
            np.asarray(atoms.pbc, dtype=np.int64),
            np.asarray(frame.energy),
            frame.forces,
        ):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _frame(atoms: Atoms, keys: Mapping[str, str], where: str) -> EnergyFrame:
    found = {name: _entry(atoms, name, keys.get(name), where) for name in NAMES}
    shapes = {"energy": (), "forces": (len(atoms), 3)}
    values: dict[str, FloatArray] = {}
    for name, shape in shapes.items():
        try:
            array = np.asarray(
                np.full(shape, np.nan) if found[name] is None else found[name], dtype=np.float64
            ).reshape(shape)
        except (TypeError, ValueError):
            size = f"shape {getattr(found[name], 'shape', 'of no numbers')}"
            raise InputError(where, name, size, shape or "a number, eV") from None
        if np.isinf(array).any():
            raise InputError(where, name, "an infinite number", "finite numbers, or NaN for none")
        values[name] = array
    return EnergyFrame(atoms, float(values["energy"]), values["forces"])


def _entry(atoms: Atoms, name: str, key: str | None, where: str) -> object:
    results = getattr(atoms.calc, "results", None) or {}
    entries = {**atoms.info, **atoms.arrays, **results}
    if key is None:
        there = [candidate for candidate in _OF_LEVELS[name] if candidate in entries]
        for other in there[1:]:
            if not _same(entries[there[0]], entries[other]):
                found = f"{there[0]} and {other}, which differ"
                raise InputError(where, name, found, f"one of them: --key {name}={other}")
    for candidate in (key,) if key is not None else NAMES[name]:
        if candidate in entries:
            return entries[candidate]
    return None


def _same(one: object, other: object) -> bool:
    """Whether two labels are equal to the digits of files; what is no number is not compared."""
    try:
        return bool(np.allclose(one, other, rtol=1e-6, atol=1e-5, equal_nan=True))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return True
