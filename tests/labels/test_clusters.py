"""Clusters of whole molecules cut from periodic frames."""

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from helpers import toy_molecules

from aptnn_md.atoms.molecules import Molecules
from aptnn_md.cli import main
from aptnn_md.errors import InputError
from aptnn_md.labels.clusters import cut_clusters


def wrapped_liquid():
    """Molecules in a triclinic cell, many of them cut by its boundaries."""
    atoms = toy_molecules.structure(4, seed=3, pbc=True)
    atoms.positions += [0.3, 8.6, 0.1]
    atoms.wrap()
    return atoms


def brute_force(atoms, centre, radius):
    """Positions of the cluster's atoms, from a large supercell."""
    molecules = Molecules.of(atoms)
    from aptnn_md.atoms.snapshot import Snapshot

    whole = molecules.whole(Snapshot.of(atoms))
    own = whole[molecules.index == centre]
    found = []
    for shift in np.ndindex(7, 7, 7):
        for m in range(len(molecules)):
            other = whole[molecules.index == m] + (np.array(shift) - 3) @ atoms.cell.array
            distances = np.linalg.norm(own[:, None] - other[None], axis=2)
            if distances.min() < radius:
                found.append(other)
    return np.concatenate(found)


@pytest.mark.parametrize("radius", [2.0, 4.5, 8.0])
def test_clusters_hold_every_near_molecule_once(radius):
    atoms = wrapped_liquid()
    clusters = cut_clusters(atoms, radius)
    assert len(clusters) == 4
    for centre, cluster in enumerate(clusters):
        expected = brute_force(atoms, centre, radius)
        found = cluster.atoms.positions
        assert len(found) == len(expected)
        gaps = np.linalg.norm(found[:, None] - expected[None], axis=2).min(axis=1)
        assert gaps.max() < 1e-9
        assert cluster.central.tolist() == [True] * 3 + [False] * (len(found) - 3)
        source = cluster.atoms.arrays["source_atom"]
        assert source[:3].tolist() == [3 * centre, 3 * centre + 1, 3 * centre + 2]
        assert (atoms.numbers[source] == cluster.atoms.numbers).all()
        assert not cluster.atoms.pbc.any()
        bonds = Molecules.of(cluster.atoms).formulas(cluster.atoms.numbers)
        assert set(bonds) == {"HClO"}


def test_every_and_charges():
    water = molecule("H2O")
    atoms = Atoms("Na", positions=[[0, 0, 3.0]]) + water + Atoms("Cl", positions=[[0, 0, -3.2]])
    charges = {"Na": 1.0, "Cl": -1.0}
    clusters = cut_clusters(atoms, 3.5, charges=charges)
    assert [cluster.charge for cluster in clusters] == [1.0, 0.0, -1.0]
    assert len(cut_clusters(atoms, 3.5, every=2, charges=charges)) == 2


def test_a_crystal_has_no_molecules():
    with pytest.raises(InputError, match="network without end"):
        cut_clusters(bulk("Si", cubic=True), 4.0)


def test_command_labels_the_central_molecule(tmp_path):
    data, out = tmp_path / "frames.extxyz", tmp_path / "out.extxyz"
    source = wrapped_liquid()
    ase.io.write(data, source)
    arguments = ["label", "--engine", "helpers.toy_field:FieldPotential", "--data", str(data)]
    arguments += ["--out", str(out), "--cluster", "4.5"]
    assert main([*arguments, "--every", "2"]) == 0
    written = ase.io.read(out, ":")
    assert len(written) == 2
    for atoms in written:
        assert atoms.info["cluster_radius"] == 4.5
        assert np.isfinite(atoms.arrays["apt"][:3]).all()
        assert np.isnan(atoms.arrays["apt"][3:]).all()
        # molecules of the toy do not feel each other
        expected = toy_molecules.polar_tensors(atoms.positions[:3])
        np.testing.assert_allclose(atoms.arrays["apt"][:3].reshape(-1, 3, 3), expected, atol=1e-6)
    assert main([*arguments, "--atoms", "element:O"]) == 2
    assert main([*arguments, "--molecule-charges", "Na"]) == 2
