"""Sum over atoms of the predicted and the labelled APTs, for each kind of molecule.

    python sums.py MODEL FRAMES

The sum must be Q times the unit matrix: printed are its mean diagonal element and the largest
deviation from Q times unity in any frame.
"""

import sys

import numpy as np

from aptnn_md import Predictor
from aptnn_md.structures import charge_of
from aptnn_md.training.dataset import read_labelled

model = Predictor.from_file(sys.argv[1], dtype="float64")
found = {}
for frame in read_labelled(sys.argv[2]):
    atoms = frame.atoms
    key = atoms.get_chemical_formula(), charge_of(atoms)
    sums = [model(atoms).sum(axis=0), frame.labels["apt"].sum(axis=0)]
    found.setdefault(key, []).append(sums)
print(f"{'':10}{'charge':>8}{'frames':>8}{'sum, model':>14}{'sum, labels':>14}{'off by':>12}")
for (formula, charge), sums in found.items():
    means = np.trace(np.mean(sums, axis=0), axis1=1, axis2=2) / 3.0
    off = np.abs(np.array(sums) - charge * np.eye(3)).max()
    print(f"{formula:10}{charge:8g}{len(sums):8}{means[0]:14.9f}{means[1]:14.9f}{off:12.1e}")
