"""Four H2O in a triclinic periodic cell at 0.997 g/cm³ and 300 K, by the bundled potential.

python box.py            # writes box.extxyz
"""

import ase.io
import numpy as np
from ase import Atoms, units
from ase.build import molecule
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.optimize import FIRE

from aptnn_md.potentials.loading import load_potential

N_MOLECULES, DENSITY = 4, 0.997  # g/cm³
SITES = ((0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5))

rng = np.random.default_rng(4)
cell = np.array([[1.0, 0.0, 0.0], [0.1, 1.0, 0.0], [-0.05, 0.15, 1.0]])  # its volume is 1
volume = N_MOLECULES * 18.015 / (DENSITY / 1e24 * units.mol)
atoms = Atoms(cell=cell * volume ** (1 / 3), pbc=True)
for site in SITES:
    water = molecule("H2O")
    water.rotate(rng.uniform(0, 360), rng.normal(size=3))
    water.positions += np.array(site) @ atoms.cell.array - water.positions[0]
    atoms += water
atoms.calc = load_potential("water-mace")
FIRE(atoms, logfile=None).run(fmax=0.5, steps=200)
MaxwellBoltzmannDistribution(atoms, temperature_K=300, rng=rng)
dynamics = Langevin(atoms, 0.5 * units.fs, temperature_K=300, friction=0.02 / units.fs, rng=rng)
dynamics.run(1000)
print(f"{atoms.get_potential_energy():.3f} eV after {dynamics.nsteps} steps")
atoms.calc = None
ase.io.write("box.extxyz", atoms, columns=["symbols", "positions"])
