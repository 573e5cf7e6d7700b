"""Clusters of whole molecules cut from frames, for labels of the molecule in their middle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.atoms.molecules import Molecules, bonds
from aptnn_md.atoms.neighbours import neighbour_pairs
from aptnn_md.atoms.snapshot import Snapshot
from aptnn_md.errors import InputError
from aptnn_md.structures import charge_of


@dataclass(frozen=True)
class Cluster:
    """A molecule and those around it.

    Attributes
    ----------
    atoms : not periodic; the central molecule first, the others by distance. Its array
        ``source_atom`` holds the atoms' numbers in the frame
    central : (n_atoms,) of bool
    charge : e
    """

    atoms: Atoms
    central: AnyArray
    charge: float


def cut_clusters(
    atoms: Atoms, radius: float, every: int = 1, charges: Mapping[str, float] | None = None
) -> list[Cluster]:
    """Clusters around every ``every``-th molecule of a frame.

    A molecule belongs to a cluster with all its atoms when one of them is closer than ``radius``
    to an atom of the central molecule; periodic images count as molecules of their own.

    Parameters
    ----------
    atoms : any cell, triclinic or none
    radius : Å
    every : 1 for each molecule
    charges : formula of a molecule (Hill order, e.g. ``"Na"``, ``"HO"``) -> its charge, e; others
        are neutral

    Raises
    ------
    InputError
        Bonds that continue through the periodic boundaries, so that there are no molecules to cut
        out; a charge of the frame that is not the sum of its molecules'; a radius or ``every`` that
        is not positive.
    """
    if not radius > 0.0:
        raise InputError("label", "--cluster", radius, "a radius above 0, Å")
    if every < 1:
        raise InputError("label", "--every", every, "at least 1")
    molecules = Molecules.of(atoms)
    snapshot = Snapshot.of(atoms)
    whole = molecules.whole(snapshot)
    name = atoms.get_chemical_formula()
    i, j, vectors = bonds(atoms)
    endless = np.abs(whole[j] - whole[i] - vectors).max(axis=1, initial=0.0) > 1e-6
    if endless.any():
        raise InputError(name, "bonds", "a network without end", "molecules to cut clusters from")
    molecule_charges = _charges(atoms, molecules, charges or {})
    i, j, vectors = neighbour_pairs(atoms, radius)
    # how far the molecule of atom j is moved from where it is whole, as seen from atom i's
    shifts = whole[i] + vectors - whole[j]
    clusters = []
    for centre in range(0, len(molecules), every):
        near = molecules.index[i] == centre
        members = _members(
            centre, molecules.index[j[near]], shifts[near], np.linalg.norm(vectors[near], axis=1)
        )
        numbers, positions, source = [], [], []
        for molecule, shift in members:
            of_molecule = np.flatnonzero(molecules.index == molecule)
            numbers.append(atoms.numbers[of_molecule])
            positions.append(whole[of_molecule] + shift)
            source.append(of_molecule)
        cluster = Atoms(np.concatenate(numbers), positions=np.concatenate(positions))
        cluster.arrays["source_atom"] = np.concatenate(source)
        central = np.arange(len(cluster)) < len(source[0])
        charge = sum(molecule_charges[molecule] for molecule, _ in members)
        clusters.append(Cluster(cluster, central, charge))
    return clusters


def _members(
    centre: int, molecule: AnyArray, shifts: FloatArray, distances: FloatArray
) -> list[tuple[int, FloatArray]]:
    """Molecules of a cluster with their shifts, each once, the centre first, nearest ones next."""
    members: dict[tuple[int, ...], tuple[int, FloatArray]] = {}
    origin = (centre, 0, 0, 0)
    members[origin] = (centre, np.zeros(3))
    for k in np.argsort(distances, kind="stable"):
        # lattice vectors are never as near to each other as this rounding
        key = (int(molecule[k]), *np.round(shifts[k] * 1e3).astype(int).tolist())
        if key not in members:
            members[key] = (int(molecule[k]), shifts[k])
    return list(members.values())


def _charges(atoms: Atoms, molecules: Molecules, charges: Mapping[str, float]) -> list[float]:
    """The charge of each molecule, e; their sum must be the frame's charge, if that is known."""
    formulas = molecules.formulas(atoms.numbers)
    found = [float(charges.get(formula, 0.0)) for formula in formulas]
    total = charge_of(atoms)
    if total is not None and abs(total - sum(found)) > 1e-6:
        raise InputError(
            atoms.get_chemical_formula(),
            "charge",
            f"{total:g} in the frame, {sum(found):g} in its molecules",
            f"the same: give charges by --molecule-charges ({', '.join(sorted(set(formulas)))})",
        )
    return found
