"""Labelled frames with what training needs alone, and no more digits than it needs.

    python compact.py LABELLED.extxyz OUT.extxyz

Frames without labels are left out. Positions have four digits, as the frames themselves, tensors
five.
"""

from __future__ import annotations

import sys

import ase.io
import numpy as np
from ase import Atoms

KEPT = ("charge", "kind", "smiles", "number", "motion", "role", "label_engine")


def text_of(atoms: Atoms) -> str:
    """A frame as extxyz."""
    info = {"charge": 0, **{key: atoms.info[key] for key in KEPT if key in atoms.info}}
    pairs = " ".join(
        f'{key}="{value}"' if isinstance(value, str) else f"{key}={value}"
        for key, value in info.items()
    )
    lines = [str(len(atoms)), f'Properties=species:S:1:pos:R:3:apt:R:9 {pairs} pbc="F F F"']
    for symbol, position, apt in zip(
        atoms.symbols, atoms.positions, atoms.arrays["apt"], strict=True
    ):
        numbers = [f"{x:.4f}" for x in position] + [f"{p:.5f}" for p in apt]
        lines.append(" ".join([symbol, *numbers]))
    return "\n".join(lines) + "\n"


def main(source: str, out: str) -> None:
    """Read, choose and write."""
    frames = ase.io.read(source, ":")
    labelled = [a for a in frames if "apt" in a.arrays and np.isfinite(a.arrays["apt"]).all()]
    with open(out, "w", encoding="utf-8") as file:
        file.writelines(map(text_of, labelled))
    print(f"{out}: {len(labelled)} of {len(frames)} frames")


if __name__ == "__main__":
    main(*sys.argv[1:])
