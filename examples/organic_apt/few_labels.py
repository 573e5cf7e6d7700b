"""Frames of one molecule for a few labels of its own: python few_labels.py SMILES TRAIN TEST [N]

N frames each (30) of GFN2-xTB dynamics at 400 K, 30 fs apart; those of the test come after the
others.
"""

import sys

import ase.io
from bands import conformer
from molecules import Species
from xtb_motion import continued

smiles, train, test, *count = sys.argv[1:]
n = int(count[0]) if count else 30
start = conformer(Species("own", (smiles,)))
start.info.update(number=0, temperature=400.0)
frames = continued(start, 2 * n + 10)[10:]  # the first ones are still cold
ase.io.write(train, frames[:n])
ase.io.write(test, frames[n:])
