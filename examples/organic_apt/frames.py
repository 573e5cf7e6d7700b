"""Frames of our own molecules, to be labelled: conformers, clusters, thermal motion.

    python frames.py OUT.extxyz --first 0 --count 1000 [--test] [--largest 24]

Frame k is the same whatever part of the list is made: its species, temperature and random numbers
follow from k alone. Every stretch of the list has all classes in their proportions. Training
frames and, with --test, those of held-out molecules are two lists. Motion is Langevin dynamics with
MMFF94; xtb_motion.py continues it with GFN2-xTB. Numbers from 100,000 on are of the second list of
species (groups.py), many of which no force field knows: their frames are of GFN2-xTB motion.
"""

from __future__ import annotations

import argparse
from functools import cache, lru_cache
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from groups import more_species
from molecules import Species, species
from rdkit import Chem, RDLogger
from rdkit.Chem import AllChem
from thermal import Array, is_sound, langevin
from xtb_motion import continued

from aptnn_md.progress import Progress

PROPORTIONS = {
    "monomer": 14,
    "sulfur-vi": 6,
    "heterocycle": 8,
    "substituted": 16,
    "peptide": 18,
    "hydrate": 8,
    "water": 2,
    "dimer": 8,
    "ion": 7,
    "ion-hydrate": 8,
    "amino-acid-in-water": 5,
}
"""Class -> frames of a hundred."""

MORE_FROM = 100_000
"""Frames of the second list of species have this number or a larger one."""

MORE_PROPORTIONS = {
    "functional": 34,
    "bifunctional": 12,
    "ring": 10,
    "other": 6,
    "more-ions": 16,
    "more-ion-hydrates": 6,
    "more-hydrates": 6,
    "salt": 2,
    "dipeptide": 8,
}
"""The same of the second list."""

DIPEPTIDES_ARE_LARGER = 12
"""Atoms by which dipeptides may be larger than others."""

KCAL = 0.0433641
"""eV."""

TEMPERATURES = (150.0, 300.0, 300.0, 450.0, 600.0)
"""K; clusters stay at 300 K or below."""

STEPS = 200


def main() -> None:
    """Make frames and write them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--test", action="store_true")
    parser.add_argument("--largest", type=int, default=32, help="atoms of a frame")
    arguments = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")
    frames = []
    with Progress(arguments.count, "frames", "frame") as progress:
        for number in range(arguments.first, arguments.first + arguments.count):
            frames.append(make_frame(number, arguments.test, arguments.largest))
            progress.update()
    ase.io.write(arguments.out, frames)


def make_frame(number: int, test: bool = False, largest: int = 32) -> Atoms:
    """The frame of a number; where a species cannot be made, another of its class."""
    for attempt in range(50):
        random = np.random.default_rng([20261126, int(test), number, attempt])
        more = number >= MORE_FROM
        kinds = _kinds(more)
        kind = kinds[number % len(kinds)]
        choices = _choices(test, largest, more)[kind]
        # in turn, so that all have about as many frames; the order changes with every turn
        of_class = (number - MORE_FROM * more) // len(kinds) * kinds.count(kind)
        before = kinds[: number % len(kinds)].count(kind)
        turn, place = divmod(of_class + before, len(choices))
        order = np.random.default_rng([int(test), turn + 1000 * attempt]).permutation(len(choices))
        chosen = choices[order[place]]
        try:
            return frame_of(chosen, number, random, by_xtb=more)
        except (RuntimeError, ValueError):
            continue
    raise RuntimeError(f"frame {number}: no molecule could be made")


def frame_of(found: Species, number: int, random: np.random.Generator, by_xtb: bool) -> Atoms:
    """A frame of thermal motion of a species, by GFN2-xTB in the end or by the force field alone.

    Raises
    ------
    RuntimeError, ValueError
        It cannot be made.
    """
    atoms = _moved(built(found, random), found, random)
    atoms.info.update(kind=found.kind, smiles=found.name, number=number)
    if not by_xtb:
        return atoms
    moved = continued(atoms, 1)
    if not moved:
        raise RuntimeError(f"{found.name}: it falls apart")
    return moved[0]


@lru_cache
def _kinds(more: bool) -> list[str]:
    """Classes of a hundred frames."""
    proportions = MORE_PROPORTIONS if more else PROPORTIONS
    kinds = [kind for kind, count in proportions.items() for _ in range(count)]
    return [kinds[k] for k in np.random.default_rng(int(more)).permutation(len(kinds))]


@lru_cache
def _choices(test: bool, largest: int, more: bool) -> dict[str, list[Species]]:
    """Species of each class, of training or test; water belongs to both."""
    return {
        kind: [
            s
            for s in found
            if (s.held_out == test or kind == "water")
            and _n_atoms(s) <= largest + DIPEPTIDES_ARE_LARGER * (kind == "dipeptide")
        ]
        for kind, found in (more_species() if more else species()).items()
    }


@cache
def _molecule(smiles: str) -> Chem.Mol:
    return Chem.AddHs(Chem.MolFromSmiles(smiles))


def _n_atoms(found: Species) -> int:
    return sum(_molecule(smiles).GetNumAtoms() for smiles in found.smiles)


def built(found: Species, random: np.random.Generator) -> Chem.Mol:
    """Molecules with random conformers, put next to each other."""
    together: Chem.Mol | None = None
    for smiles in found.smiles:
        molecule = Chem.Mol(_molecule(smiles))
        if AllChem.EmbedMolecule(molecule, randomSeed=int(random.integers(1, 2**30))) != 0:
            raise RuntimeError(f"{smiles}: no conformer")
        together = molecule if together is None else _beside(together, molecule, random)
    assert together is not None
    Chem.SanitizeMol(together)
    return together


def _beside(first: Chem.Mol, second: Chem.Mol, random: np.random.Generator) -> Chem.Mol:
    """Two molecules, the second in a random direction and orientation, where they just touch."""
    fixed = first.GetConformer().GetPositions()
    rotation, _ = np.linalg.qr(random.normal(size=(3, 3)))
    rotation *= np.sign(np.linalg.det(rotation))  # no mirror image
    moving = second.GetConformer().GetPositions()
    moving = (moving - moving.mean(axis=0)) @ rotation.T
    direction = random.normal(size=3)
    direction /= np.linalg.norm(direction)
    centre = fixed[random.integers(len(fixed))]
    contact = random.uniform(1.9, 2.6)
    for distance in np.arange(0.0, 30.0, 0.1):
        placed = moving + centre + distance * direction
        if np.linalg.norm(placed[:, None] - fixed[None], axis=2).min() > contact:
            break
    conformer = second.GetConformer()
    for k, position in enumerate(placed):
        conformer.SetAtomPosition(k, position.tolist())
    return Chem.CombineMols(first, second)


def _moved(molecule: Chem.Mol, found: Species, random: np.random.Generator) -> Atoms:
    """A frame of thermal motion about a minimum of the force field."""
    temperature = TEMPERATURES[int(random.integers(len(TEMPERATURES)))]
    if len(found.smiles) > 1:
        temperature = min(temperature, 300.0)
    field = _force_field(molecule)
    field.Minimize(maxIts=100 if len(found.smiles) > 1 else 400)
    atoms = Atoms(
        [atom.GetSymbol() for atom in molecule.GetAtoms()],
        molecule.GetConformer().GetPositions(),
    )
    charge = Chem.GetFormalCharge(molecule)

    def classical(positions: Array) -> Array:
        flat = positions.ravel().tolist()
        field.CalcEnergy(flat)  # or the gradient is of stale distances
        return -np.array(field.CalcGrad(flat)).reshape(-1, 3) * KCAL

    masses = atoms.get_masses()
    positions = langevin(atoms.positions, masses, classical, temperature, STEPS, random)
    atoms.positions = np.round(positions - positions.mean(axis=0), 4)
    if not is_sound(atoms):
        raise RuntimeError("atoms too close, or lost")
    atoms.info.update(charge=int(charge), temperature=temperature)
    return atoms


def _force_field(molecule: Chem.Mol):  # type: ignore[no-untyped-def]  # RDKit's own class
    properties = AllChem.MMFFGetMoleculeProperties(molecule)
    if properties is None:
        field = AllChem.UFFGetMoleculeForceField(molecule, ignoreInterfragInteractions=False)
    else:
        field = AllChem.MMFFGetMoleculeForceField(
            molecule, properties, ignoreInterfragInteractions=False
        )
    field.Initialize()
    return field


if __name__ == "__main__":
    main()
