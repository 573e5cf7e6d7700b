"""Time of the tensors of one structure by length of the chain, all lengths in turn.

    python cost.py alkanes.pt [potential.json]

With a potential also that of its forces. Processor time, so that other work on the machine counts
little; ratios are what to look at.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
from alkane import alkane
from ase import Atoms

from aptnn_md import Predictor
from aptnn_md.potentials.loading import load_potential

CHAINS, ROUNDS = (4, 8, 16, 32, 64), 7


def times(call: Callable[[Atoms], object]) -> np.ndarray:
    """Median over rounds, ms an atom, of each chain."""
    structures = [alkane(n) for n in CHAINS]
    for atoms in structures:
        call(atoms)
    found = np.zeros((ROUNDS, len(CHAINS)))
    for row in found:
        for k, atoms in enumerate(structures):
            atoms.rattle(0.01, seed=k)  # no result of the last call serves
            begun = time.process_time()
            call(atoms)
            row[k] = (time.process_time() - begun) / len(atoms)
    return 1e3 * np.median(found, axis=0)


calls: dict[str, Callable[[Atoms], object]] = {"tensors": Predictor.from_file(sys.argv[1])}
if len(sys.argv) > 2:
    potential = load_potential(sys.argv[2])
    calls["forces"] = lambda atoms: potential.evaluate([atoms])
print("ms an atom  " + "".join(f"{f'C{n}H{2 * n + 2}':>10}" for n in CHAINS))
for name, call in calls.items():
    print(f"{name:12}" + "".join(f"{t:10.3f}" for t in times(call)))
