"""Choose the frames that get good labels: all classes, the small ones first.

    python good_frames.py OUT_DIRECTORY PARTS TRAIN.extxyz [TEST.extxyz [LABELLED.extxyz]]

Frames are taken in the order of the files, no molecule more often than its class allows, up to a
size; a third of them is moved on with GFN2-xTB. They are divided over so many parts, one for each
process, each with all classes, small frames first, one test frame after five others. Those that are
labelled already are left out.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import ase.io
from ase import Atoms
from xtb_motion import continued

FUNCTIONS = {1: 8, 6: 21, 7: 21, 8: 21, 9: 21, 16: 26}
"""Element -> about as many basis functions of def2-SVPD."""

WANTED = {
    "monomer": 70,
    "sulfur-vi": 45,
    "heterocycle": 45,
    "substituted": 80,
    "peptide": 60,
    "hydrate": 40,
    "water": 8,
    "dimer": 40,
    "ion": 36,
    "ion-hydrate": 36,
    "amino-acid-in-water": 15,
}
"""Class -> training frames."""

TEST_PART = 0.22
LARGEST, LARGEST_FRAGMENT = 195, 300
"""Basis functions: of most classes, and of those whose molecules are all large."""

FRAGMENTS = ("peptide", "amino-acid-in-water")

REPEATS = {"peptide": 5, "water": 3, "ion": 2, "sulfur-vi": 2, "amino-acid-in-water": 3}
"""Class -> frames of one molecule, else one."""


def size(atoms: Atoms) -> int:
    """About the number of basis functions."""
    return sum(FUNCTIONS[int(z)] for z in atoms.numbers)


def chosen(frames: list[Atoms], part: float) -> list[Atoms]:
    """Frames of all classes, each class with its small ones first, in proportion all along."""
    of_class: dict[str, list[Atoms]] = {kind: [] for kind in WANTED}
    seen: Counter[str] = Counter()
    for atoms in frames:
        kind, smiles = atoms.info["kind"], atoms.info["smiles"]
        most = LARGEST_FRAGMENT if kind in FRAGMENTS else LARGEST
        if size(atoms) > most or seen[smiles] >= REPEATS.get(kind, 1):
            continue
        if len(of_class[kind]) < round(part * WANTED[kind]):
            seen[smiles] += 1
            of_class[kind].append(atoms)
    placed = [
        # the largest, which come last, should not be what is missing when time is over
        ((k + 0.5) / len(of_kind) * (0.75 if kind in FRAGMENTS else 1.0), atoms)
        for kind, of_kind in of_class.items()
        for k, atoms in enumerate(sorted(of_kind, key=size))
    ]
    return [atoms for _, atoms in sorted(placed, key=lambda item: item[0])]


def main(
    out: Path,
    n_parts: int,
    train: Path,
    test: Path | None = None,
    labelled: Path | None = None,
) -> None:
    """Choose and write."""
    found = chosen(ase.io.read(train, ":"), 1.0)
    held_out = [] if test is None else chosen(ase.io.read(test, ":"), TEST_PART)
    for atoms in found:
        atoms.info["role"] = "train"
    for atoms in held_out:
        atoms.info["role"] = "test"
    every = max(1, len(found) // max(1, len(held_out)))
    order = []
    for k, atoms in enumerate(found):
        order.append(atoms)
        if k % every == every - 1 and held_out:
            order.append(held_out.pop(0))
    order += held_out
    order = [(continued(a, 1) or [a])[0] if k % 3 == 0 else a for k, a in enumerate(order)]
    known = [] if labelled is None else ase.io.read(labelled, ":")
    done = {(a.info["role"], a.info["number"], a.info["smiles"]) for a in known}
    order = [a for a in order if (a.info["role"], a.info["number"], a.info["smiles"]) not in done]
    out.mkdir(exist_ok=True)
    for part in range(n_parts):
        mine = [a for k, a in enumerate(order) if (k + k // n_parts) % n_parts == part]
        ase.io.write(out / f"part{part:02d}.extxyz", mine)
    print(f"{len(order)} frames, {Counter((a.info['role'], a.info['kind']) for a in order)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *map(Path, sys.argv[3:]))
