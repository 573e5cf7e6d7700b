"""What the labels are like: sums, mean polarizability, and its derivative along O-H bonds.

python labels.py labelled.extxyz
"""

import sys

import ase.io
import numpy as np

print("frame  largest of ΣPGT (Å²)  polarizability a molecule (Å³)  its derivative along O-H (Å²)")
for number, atoms in enumerate(ase.io.read(sys.argv[1], ":")):
    pgt = atoms.arrays["pgt"].reshape(-1, 3, 3, 3)
    oxygen, hydrogen = np.flatnonzero(atoms.numbers == 8), np.flatnonzero(atoms.numbers == 1)
    vectors = atoms.get_all_distances(mic=True, vector=True)
    distances = atoms.get_all_distances(mic=True)
    along = []
    for i in hydrogen:
        j = oxygen[np.argmin(distances[i, oxygen])]
        along.append(np.einsum("aac,c->", pgt[i], vectors[j, i]) / distances[j, i] / 3.0)
    mean = np.trace(atoms.info["polarizability"].reshape(3, 3)) / 3.0 / len(oxygen)
    print(f"{number:5d}  {np.abs(pgt.sum(0)).max():20.3f}  {mean:30.3f}  {np.mean(along):30.3f}")
