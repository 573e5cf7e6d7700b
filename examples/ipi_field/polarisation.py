"""Dipole along the field from the stream, its work on the atoms, and what is conserved."""

import numpy as np

from aptnn_md.stream import StreamReader

FIELD = 0.1  # V/Å, along z

stream = StreamReader("water.zarr")
rate = stream.dipole_rate().sum(axis=1)
steps = 0.5 * (rate[1:] + rate[:-1]) * stream.spacing
change = np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)])
step, _, _, conserved, _, of_field = np.loadtxt("water.out").T

x, y, z = change[-1]
print(f"dipole after {stream.time[-1]:g} fs, minus that at the start: {x:.2f} {y:.2f} {z:.2f} e Å")
from_stream = -FIELD * np.interp(step, stream.step, change[:, 2])
print(f"energy in the field: {of_field[-1]:.4f} eV by i-PI, {from_stream[-1]:.4f} eV by the stream")
spread = np.ptp(conserved)
print(f"conserved energy: within {1000 * spread:.2f} meV; the field did {np.ptp(of_field):.3f} eV")
