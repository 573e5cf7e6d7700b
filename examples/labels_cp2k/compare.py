"""Tensors by differences in fields compared with those of other origin.

python compare.py field.extxyz other.extxyz [...]
"""

import sys

import ase.io
import numpy as np

UNITS = {"apt": "e", "pgt": "Å²"}

frame = ase.io.read(sys.argv[1])
for path in sys.argv[2:]:
    other = ase.io.read(path)
    for name, unit in UNITS.items():
        if name not in other.arrays:
            continue
        there = np.isfinite(other.arrays[name]).all(axis=1)
        apart = (other.arrays[name] - frame.arrays[name])[there]
        print(
            f"{path} and {sys.argv[1]}, {name} of {there.sum()} atoms:"
            f" rms difference {np.sqrt(np.mean(apart**2)):.4f} {unit},"
            f" largest {np.abs(apart).max():.4f} {unit}"
        )
