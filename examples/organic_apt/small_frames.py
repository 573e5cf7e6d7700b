"""Frames of small species of both lists, one each, for good labels: as many groups as time allows.

    python small_frames.py OUT.extxyz [--largest 130] [--labelled LABELLED.extxyz ...]
        [--part 0.2] [--kinds monomer ion ...]

Species of all classes, or of --kinds, are taken by about the number of basis functions, small ones
first, in steps of 20; in a step the order is random, but the same everywhere. One of the test comes
after several of training (--part), or those of the test are alone (--part 1). Species of LABELLED
are left out.
"""

from __future__ import annotations

import argparse
import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from frames import frame_of
from good_frames import FUNCTIONS
from groups import more_species
from molecules import Species, canonical, species
from rdkit import Chem, RDLogger

KINDS = """
monomer sulfur-vi heterocycle substituted ion other more-ions ring functional bifunctional
more-hydrates more-ion-hydrates hydrate ion-hydrate dimer water
"""
"""A molecule of several classes is of the first."""

CLUSTER_PART = 0.35
"""Of clusters of the lists: there are many, and each is larger than what it is made of."""

STEP = 20


def main() -> None:
    """Choose, move and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--largest", type=int, default=130)
    parser.add_argument("--labelled", nargs="+", type=Path, default=())
    parser.add_argument("--part", type=float, default=0.2)
    parser.add_argument("--kinds", nargs="+", choices=KINDS.split(), default=KINDS.split())
    arguments = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")
    known = labelled_names(arguments.labelled)
    order = chosen(arguments.largest, arguments.part, known, arguments.kinds)
    write_frames(arguments.out, order, 20261128)


def write_frames(out: Path, order: list[Species], seed: int) -> None:
    """A frame of each species, moved by GFN2-xTB; those that cannot be built are left out, and
    those of several charges, for such small anions are unbound."""
    frames = []
    for one in order:
        number = number_of(one.name)
        try:
            atoms = frame_of(one, number, np.random.default_rng([seed, number]), by_xtb=True)
        except (RuntimeError, ValueError):
            continue
        if abs(atoms.info["charge"]) > 1:
            continue
        atoms.info.update(role="test" if one.held_out else "train", motion="GFN2-xTB")
        frames.append(atoms)
    ase.io.write(out, frames)
    print(len(frames), Counter((a.info["role"], a.info["kind"]) for a in frames))


def chosen(
    largest: int, part: float, known: set[str], kinds: Sequence[str] = tuple(KINDS.split())
) -> list[Species]:
    """Species in the order in which they are labelled."""
    found: dict[str, Species] = {}
    lists = {**species(), **more_species()}
    for kind in kinds:
        for one in lists[kind]:
            name = name_of(one.smiles)
            cluster = len(one.smiles) > 1
            if cluster and number_of("cluster " + name) / 2**32 > CLUSTER_PART:
                continue
            if name not in known and size(one) <= largest:
                found.setdefault(name, one)
    order = sorted(found.values(), key=lambda one: (size(one) // STEP, number_of(one.name)))
    of_test = [one for one in order if one.held_out]
    return mixed([one for one in order if not one.held_out], of_test, part)


def mixed(of_training: list[Species], of_test: list[Species], part: float) -> list[Species]:
    """Several species of training, then one of the test, of which there are ``part``."""
    if part >= 1.0:
        return list(of_test)
    every, left, found = round(1.0 / part - 1.0), list(of_test), []
    for k, one in enumerate(of_training):
        found.append(one)
        if k % every == every - 1 and left:
            found.append(left.pop(0))
    return found


def labelled_names(files: Sequence[Path]) -> set[str]:
    """Names of the species of files, labelled or to be labelled."""
    known = [atoms for file in files for atoms in ase.io.read(file, ":")]
    return {name_of(tuple(_smiles_of(atoms).split("."))) for atoms in known}


def name_of(smiles: tuple[str, ...]) -> str:
    """The name by which species are compared."""
    return ".".join(sorted(map(canonical, smiles)))


def _smiles_of(atoms: Atoms) -> str:
    smiles = atoms.info["smiles"]
    return "F" if smiles is False else str(smiles)  # a file says F of hydrogen fluoride


def size(one: Species) -> int:
    """About the number of basis functions."""
    molecules = [Chem.AddHs(Chem.MolFromSmiles(smiles)) for smiles in one.smiles]
    return sum(FUNCTIONS[atom.GetAtomicNum()] for m in molecules for atom in m.GetAtoms())


def number_of(name: str) -> int:
    """A random number that belongs to a name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")


if __name__ == "__main__":
    main()
