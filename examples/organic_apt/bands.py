"""Band intensities of held-out molecules by a model's tensors and by labels, in the same modes.

    python bands.py minima OUT.extxyz [--count 12] [--largest 165] [--labelled LABELLED.extxyz ...]
        [--of FRAMES.extxyz]
    aptnn-md label --engine ... --data OUT.extxyz --out LABELLED.extxyz
    python bands.py compare MODEL LABELLED.extxyz [--factor 2.44] [--without O=S=O]

The first command relaxes small neutral molecules of the test with GFN2-xTB and keeps their
Hessians: molecules of the first list of species, or, with --labelled, the smallest of both lists
that are not there; with --of, the smallest of which there are frames in a file. The last one prints
relative errors of bands above a tenth of a molecule's strongest, and whether they are within the
errors that the spread of the committee promises, times the factor of its model card; --without
leaves out molecules.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from errors import rms as rms_of
from frames import built
from good_frames import size
from groups import more_species
from molecules import Species, canonical, species
from numpy.typing import NDArray
from rdkit import Chem
from small_frames import labelled_names
from tblite.ase import TBLite

from aptnn_md.normal_modes import (
    InfraredModes,
    finite_difference_hessian,
    infrared_modes,
    normal_modes,
    relaxed,
)
from aptnn_md.normal_modes.committee import widened
from aptnn_md.prediction.predictor import Predictor

Array = NDArray[np.float64]

STRONG = 0.1
"""Of a molecule's strongest band: weaker ones are not compared."""

KINDS = ("monomer", "sulfur-vi", "heterocycle", "substituted")
MORE_KINDS = ("other", "ring", "functional")
FIRST = ("CC(N)=O", "CNC(C)=O", "CCO")
"""Molecules of the page on fine-tuning."""


def minima(out: Path, chosen: Sequence[Species]) -> None:
    """Relax molecules; write them with their Hessians, eV/Å²."""
    found: list[Atoms] = []
    for one in chosen:
        atoms = conformer(one)
        atoms.calc = TBLite(method="GFN2-xTB", verbosity=0, accuracy=0.01)
        atoms = relaxed(atoms, 1e-3)
        atoms.arrays["hessian"] = finite_difference_hessian(atoms).matrix.reshape(len(atoms), -1)
        atoms.calc = None
        found.append(atoms)
    ase.io.write(out, found)
    print(f"{len(found)} molecules: {', '.join(atoms.info['smiles'] for atoms in found)}")


def _spread_out(count: int, largest: int) -> list[Species]:
    """Those of the page on fine-tuning, then some from all of the first list."""
    of_name = _held_out(KINDS, species(), largest)
    first = [of_name.pop(name) for name in FIRST if name in of_name]
    others = list(of_name.values())
    every = max(1, len(others) // max(1, count - len(first)))
    return [*first, *others[::every]][:count]


def _new(count: int, largest: int, labelled: Sequence[Path]) -> list[Species]:
    """The smallest of both lists that are not labelled."""
    known = labelled_names(labelled)
    of_name = _held_out((*KINDS, *MORE_KINDS), {**species(), **more_species()}, largest)
    others = [one for name, one in of_name.items() if name not in known]
    return sorted(others, key=lambda one: (size(conformer(one)), one.name))[:count]


def _of_frames(count: int, largest: int, file: Path) -> list[Species]:
    """The smallest neutral molecules of which there are frames."""
    of_name: dict[str, Species] = {}
    for atoms in ase.io.read(file, ":"):
        smiles = tuple(str(atoms.info["smiles"]).split("."))
        if len(smiles) == 1 and atoms.info["charge"] == 0 and size(atoms) <= largest:
            of_name.setdefault(canonical(smiles[0]), Species(atoms.info["kind"], smiles))
    return sorted(of_name.values(), key=lambda one: (size(conformer(one)), one.name))[:count]


def _held_out(
    kinds: tuple[str, ...], lists: dict[str, list[Species]], largest: int
) -> dict[str, Species]:
    """Neutral molecules of the test by name."""
    of_name: dict[str, Species] = {}
    for one in (one for kind in kinds for one in lists[kind] if one.held_out):
        atoms = usable_conformer(one)
        if atoms and size(atoms) <= largest and atoms.info["charge"] == 0:
            of_name.setdefault(canonical(one.smiles[0]), one)
    return of_name


@cache
def conformer(one: Species) -> Atoms:
    """A conformer of a molecule, not relaxed."""
    molecule = built(one, np.random.default_rng(0))
    atoms = Atoms(
        [atom.GetSymbol() for atom in molecule.GetAtoms()],
        molecule.GetConformer().GetPositions(),
    )
    charge = Chem.GetFormalCharge(molecule)
    atoms.info = {"charge": charge, "kind": one.kind, "smiles": one.name}
    return atoms


def usable_conformer(one: Species) -> Atoms | None:
    """A conformer, where there is one and it has not several charges: such anions are unbound."""
    try:
        atoms = conformer(one)
    except (RuntimeError, ValueError):
        return None
    return atoms if abs(atoms.info["charge"]) <= 1 else None


def infrared(atoms: Atoms, apt: Array, members: Array | None = None) -> InfraredModes:
    """Intensities by the frame's Hessian."""
    hessian = atoms.arrays["hessian"].reshape(3 * len(atoms), -1)
    modes = normal_modes(hessian, atoms.get_masses(), atoms.positions)
    return infrared_modes(modes, apt, members=members)


def intensities(atoms: Atoms, apt: Array) -> tuple[Array, Array]:
    """Wavenumbers, cm⁻¹, and intensities, km/mol, by the frame's Hessian."""
    found = infrared(atoms, apt)
    return found.modes.wavenumber, found.intensity


def compare(
    model: Path, labelled: Path, factor: float | None = None, without: Sequence[str] = ()
) -> None:
    """Print errors of strong bands: of each molecule, and of all; and how far they are within those
    that the spread of the committee, times ``factor``, promises."""
    predictor = Predictor.from_file(model)
    frames = [a for a in ase.io.read(labelled, ":") if a.info["smiles"] not in without]
    everything: list[Array] = []
    off: list[Array] = []
    promised: list[Array] = []
    for atoms, found in zip(frames, predictor.evaluate(frames), strict=True):
        true = atoms.arrays["apt"].reshape(-1, 3, 3)
        apt = found["apt"].mean(axis=0)
        _, reference = intensities(atoms, true)
        members = None if factor is None else widened(found["apt"], factor)
        found_modes = infrared(atoms, apt, members)
        predicted = found_modes.intensity
        strong = reference > STRONG * reference.max()
        error = predicted[strong] / reference[strong] - 1.0
        everything.append(error)
        off.append(apt - true)
        if found_modes.model_error is not None:
            shown = predicted > STRONG * predicted.max()  # those that a user takes for strong
            promised.append(((predicted - reference) / found_modes.model_error)[shown])
        print(
            f"{atoms.info['smiles']:24s} APTs {rms_of(apt - true):.4f} e, "
            f"{strong.sum():2d} strong bands: rms {100 * rms_of(error):3.0f} %, "
            f"sum {100 * (predicted.sum() / reference.sum() - 1):+3.0f} %"
        )
    error = np.concatenate(everything)
    print(
        f"{len(error)} bands of {len(frames)} molecules: rms {100 * rms_of(error):.1f} %, median "
        f"{100 * np.median(abs(error)):.1f} %, {100 * np.mean(abs(error) < 0.2):.0f} % within 20 %"
    )
    print(
        f"their APTs: RMSE {rms_of(np.concatenate(off)):.4f} e, "
        f"median of the minima {np.median([rms_of(each) for each in off]):.4f} e"
    )
    if promised:
        in_errors = abs(np.concatenate(promised))
        print(
            f"{len(in_errors)} that are strong by the model: "
            f"{100 * np.mean(in_errors < 1.0):.0f} % within one of its errors, "
            f"{100 * np.mean(in_errors < 2.0):.0f} % within two, "
            f"rms of difference over error {rms_of(in_errors):.2f}"
        )


def main() -> None:
    """One of the two commands."""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    relax = commands.add_parser("minima")
    relax.add_argument("out", type=Path)
    relax.add_argument("--count", type=int, default=12)
    relax.add_argument("--largest", type=int, default=165)
    relax.add_argument("--labelled", nargs="+", type=Path, default=())
    relax.add_argument("--of", type=Path, metavar="FRAMES")
    judge = commands.add_parser("compare")
    judge.add_argument("model", type=Path)
    judge.add_argument("labelled", type=Path)
    judge.add_argument("--factor", type=float, help="error over spread")
    judge.add_argument("--without", nargs="+", default=(), metavar="SMILES")
    arguments = parser.parse_args()
    if arguments.command == "minima":
        amount = arguments.count, arguments.largest
        if arguments.of:
            chosen = _of_frames(*amount, arguments.of)
        elif arguments.labelled:
            chosen = _new(*amount, arguments.labelled)
        else:
            chosen = _spread_out(*amount)
        minima(arguments.out, chosen)
    else:
        compare(arguments.model, arguments.labelled, arguments.factor, arguments.without)


if __name__ == "__main__":
    main()
