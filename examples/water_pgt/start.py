"""16 H2O in a cubic box of 0.997 g/cm³: placed on sites, relaxed, heated and cooled to 300 K.

python start.py            # writes box.extxyz
"""

import ase.io
import numpy as np
from ase import Atoms, units
from ase.build import molecule
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.optimize import FIRE

from aptnn_md.potentials.loading import load_potential

N_MOLECULES, DENSITY = 16, 0.997  # g/cm³
STEPS = 4000

rng = np.random.default_rng(16)
gram_per_cubic_angstrom = DENSITY / 1e24 * units.mol
length = (N_MOLECULES * 18.015 / gram_per_cubic_angstrom) ** (1 / 3)
atoms = Atoms(cell=[length] * 3, pbc=True)
for layer in range(4):
    shift = 0.25 * (layer % 2)
    for x, y in np.ndindex(2, 2):
        water = molecule("H2O")
        axis = rng.normal(size=3)
        water.rotate(rng.uniform(0, 360), axis)
        site = np.array([x / 2 + shift, y / 2 + shift, layer / 4]) * length
        water.positions += site - water.positions[0]
        atoms += water
atoms.calc = load_potential("water-mace")
FIRE(atoms, logfile=None).run(fmax=0.5, steps=200)
MaxwellBoltzmannDistribution(atoms, temperature_K=400, rng=rng)
dynamics = Langevin(atoms, 0.5 * units.fs, temperature_K=400, friction=0.02 / units.fs, rng=rng)
for temperature in (400, 300):
    dynamics.set_temperature(temperature_K=temperature)
    dynamics.run(STEPS)
    print(f"{temperature} K: {atoms.get_potential_energy():.3f} eV after {dynamics.nsteps} steps")
atoms.calc = None
ase.io.write("box.extxyz", atoms, columns=["symbols", "positions"])
