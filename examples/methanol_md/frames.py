"""Frames of methanol to be labelled: Langevin dynamics with GFN2-xTB, hotter than the spectrum.

    python frames.py start.xyz frames.extxyz [n_frames]

One frame every 100 fs at 450 K, after ten times as long to begin with. Hot frames hold what a run
at 300 K visits now and then; they also hold the minimum's neighbourhood.
"""

import sys

import ase.io
import numpy as np
from ase import units
from ase.constraints import FixCom
from ase.md.langevin import Langevin
from tblite.ase import TBLite

from aptnn_md.progress import Progress

TEMPERATURE, TIMESTEP, FRICTION = 450.0, 0.5, 10.0  # K, fs, 1/ps
EVERY, FIRST, SEED = 200, 2000, 1

atoms = ase.io.read(sys.argv[1])
n_frames = int(sys.argv[3]) if len(sys.argv) > 3 else 100
atoms.calc = TBLite(method="GFN2-xTB", verbosity=0)
atoms.set_constraint(FixCom())
dynamics = Langevin(
    atoms,
    TIMESTEP * units.fs,
    temperature_K=TEMPERATURE,
    friction=FRICTION / (1000 * units.fs),
    fixcm=False,
    rng=np.random.default_rng(SEED),
)
dynamics.run(FIRST)
frames = []
with Progress(n_frames, "sampling", "frame") as progress:
    for _ in range(n_frames):
        dynamics.run(EVERY)
        frame = atoms.copy()
        frame.set_constraint()
        frame.set_momenta(None)
        frames.append(frame)
        progress.update()
ase.io.write(sys.argv[2], frames)
