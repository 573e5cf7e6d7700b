"""Frames of ions and of water in one file, each with its charge.

    python frames.py frames.extxyz start.extxyz [n_frames]

SO4(2-) with six molecules of water, H3O+, H2O and OH-: snapshots of GFN2-xTB dynamics at 300 K, and
the end of the sulfate's as a start for molecular dynamics, with its velocities. Of the sulfate
there are n_frames, of each other molecule two thirds of that.
"""

import sys

import ase.io
import numpy as np
from ase import Atoms, units
from ase.build import molecule
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from tblite.ase import TBLite

n_frames = int(sys.argv[3]) if len(sys.argv) > 3 else 30
SNAPSHOTS = {"sulfate": n_frames, **dict.fromkeys(("H3O", "H2O", "OH"), 2 * n_frames // 3)}
EVERY = {"sulfate": 25, "H3O": 40, "H2O": 40, "OH": 40}
"""Femtoseconds between snapshots."""


def sulfate():
    """A tetrahedron, and a water molecule on each of its edges, hydrogens towards the oxygens."""
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)
    ion = Atoms("SO4", np.concatenate([[[0, 0, 0]], 1.5 * corners]))
    for i in range(4):
        for j in range(i):
            outward = corners[i] + corners[j]
            outward /= np.linalg.norm(outward)
            along = corners[i] - corners[j]
            along /= np.linalg.norm(along)
            oxygen = 3.7 * outward
            hydrogens = [oxygen - 0.59 * outward + sign * 0.76 * along for sign in (1, -1)]
            ion += Atoms("OH2", [oxygen, *hydrogens])
    return ion


def hydronium():
    angles = 2 * np.pi / 3 * np.arange(3)
    hydrogens = np.stack([0.93 * np.cos(angles), 0.93 * np.sin(angles), np.full(3, -0.3)], axis=1)
    return Atoms("OH3", np.concatenate([[[0, 0, 0]], hydrogens]))


STARTS = {
    "sulfate": (sulfate(), -2),
    "H3O": (hydronium(), 1),
    "H2O": (molecule("H2O"), 0),
    "OH": (molecule("OH"), -1),
}
"""Structure and charge, e."""


def snapshots(name):
    atoms, charge = STARTS[name]
    atoms.set_initial_magnetic_moments(None)
    atoms.calc = TBLite(method="GFN2-xTB", charge=charge, verbosity=0)
    rng = np.random.default_rng(1)
    MaxwellBoltzmannDistribution(atoms, temperature_K=300.0, rng=rng)
    dynamics = Langevin(
        atoms, units.fs, temperature_K=300.0, friction=0.02 / units.fs, rng=rng, fixcm=False
    )
    dynamics.run(100)
    for _ in range(SNAPSHOTS[name]):
        dynamics.run(EVERY[name])
        frame = Atoms(atoms.numbers, atoms.positions)
        frame.info["charge"] = charge
        yield frame
    atoms.calc = None
    atoms.info["charge"] = charge
    STARTS[name] = (atoms, charge)


frames = [frame for name in STARTS for frame in snapshots(name)]
ase.io.write(sys.argv[1], frames)
ase.io.write(sys.argv[2], STARTS["sulfate"][0])
print(f"{len(frames)} frames")
