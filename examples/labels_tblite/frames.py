"""Snapshots of liquid water to cut clusters from: a short run of the bundled box.

    python frames.py frames.extxyz [n_frames]

One frame every 100 fs at 300 K, after the same time to begin with.
"""

import sys

import ase.io
import numpy as np
from ase import units
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution

from aptnn_md.bundled import bundled_path
from aptnn_md.potentials.loading import load_potential
from aptnn_md.progress import Progress

n_frames = int(sys.argv[2]) if len(sys.argv) > 2 else 13
random = np.random.default_rng(0)
atoms = ase.io.read(bundled_path("water64.extxyz"))
atoms.calc = load_potential("water-mace")
MaxwellBoltzmannDistribution(atoms, temperature_K=300.0, rng=random)
dynamics = Langevin(
    atoms, units.fs, temperature_K=300.0, friction=0.01 / units.fs, rng=random, fixcm=False
)
frames = []
with Progress(n_frames, "molecular dynamics", "frame") as progress:
    for _ in range(n_frames):
        dynamics.run(100)
        frame = atoms.copy()
        frame.set_momenta(None)
        frames.append(frame)
        progress.update()
ase.io.write(sys.argv[1], frames)
