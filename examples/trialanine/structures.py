"""Two conformers of trialanine that is protonated at its amino end: extended.xyz and folded.xyz.

    python structures.py [n]

RDKit embeds n conformers and relaxes them by its force field; the longest and the most compact of
those within 5 kcal/mol of the lowest are relaxed by GFN2-xTB. Both files are in this folder: run
this only to make them again (`pip install rdkit`).
"""

from __future__ import annotations

import sys

import ase.io
import numpy as np
from ase import Atoms
from ase.optimize import BFGS
from rdkit import Chem
from rdkit.Chem import AllChem
from tblite.ase import TBLite

SMILES = "C[C@H]([NH3+])C(=O)N[C@@H](C)C(=O)N[C@@H](C)C(=O)O"
CHARGE, SEED, FORCE = 1, 7, 0.03  # e, -, eV/Å
HIGHEST = 5.0  # kcal/mol


def conformers(n: int) -> list[tuple[float, Atoms]]:
    """Energies (kcal/mol) and structures by the force field, lowest first."""
    molecule = Chem.AddHs(Chem.MolFromSmiles(SMILES))
    centres = dict(Chem.FindMolChiralCenters(molecule, useLegacyImplementation=False))
    assert set(centres.values()) == {"S"}, centres  # L-alanine
    AllChem.EmbedMultipleConfs(molecule, n, randomSeed=SEED)
    found = AllChem.MMFFOptimizeMoleculeConfs(molecule, maxIters=5000)
    symbols = [atom.GetSymbol() for atom in molecule.GetAtoms()]
    places = [conformer.GetPositions() for conformer in molecule.GetConformers()]
    pairs = [(energy, Atoms(symbols, p)) for (_, energy), p in zip(found, places, strict=True)]
    return sorted(pairs, key=lambda pair: pair[0])


def gyration(atoms: Atoms) -> float:
    """Radius of gyration, Å."""
    return float(np.sqrt(((atoms.positions - atoms.positions.mean(0)) ** 2).sum(1).mean()))


def main() -> None:
    """Write both structures."""
    found = conformers(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
    low = sorted((a for energy, a in found if energy < found[0][0] + HIGHEST), key=gyration)
    for name, atoms in (("extended", low[-1]), ("folded", low[0])):
        atoms.calc = TBLite(method="GFN2-xTB", charge=CHARGE, verbosity=0)
        BFGS(atoms, logfile="-").run(fmax=FORCE, steps=300)
        atoms.info["charge"] = CHARGE
        print(f"{name}: {atoms.get_potential_energy():.4f} eV, gyration {gyration(atoms):.2f} Å")
        plain = Atoms(atoms.symbols, atoms.positions - atoms.get_center_of_mass())
        plain.info["charge"] = CHARGE
        ase.io.write(f"{name}.xyz", plain, format="extxyz")


if __name__ == "__main__":
    main()
