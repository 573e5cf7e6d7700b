"""How the labels of a molecule in a liquid converge with the radius of its cluster.

    python radius.py small.extxyz medium.extxyz ... largest.extxyz

The files hold clusters around the same molecules, by ``aptnn-md label --cluster``; the last one is
what the others are compared with.
"""

import sys

import ase.io
import numpy as np


def central(path, name):
    """Labels of the central molecules, (n_labelled_atoms, columns), and atoms of the clusters."""
    frames = ase.io.read(path, ":")
    rows = np.concatenate([atoms.arrays[name] for atoms in frames])
    size = np.mean([len(atoms) for atoms in frames])
    return rows[np.isfinite(rows).all(axis=1)], size, frames[0].info["cluster_radius"]


names = [name for name in ("apt", "pgt") if name in ase.io.read(sys.argv[-1]).arrays]
reference = {name: central(sys.argv[-1], name)[0] for name in names}
units = {"apt": "e", "pgt": "Å²"}
for path in sys.argv[1:]:
    for name in names:
        labels, size, radius = central(path, name)
        error = np.sqrt(((labels - reference[name]) ** 2).mean())
        spread = reference[name].std(axis=0).mean()
        print(
            f"{name} radius {radius:4.1f} Å, {size / 3:5.1f} molecules: "
            f"rms difference {error:.4f} {units[name]}, {100 * error / spread:.1f} % of the spread"
        )
