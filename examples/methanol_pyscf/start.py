"""PySCF's own Hessian at the minimum, and frames displaced from it along the normal modes.

    python start.py methanol.xyz N_FRAMES

writes hessian.npy (eV/Å²) and displaced.extxyz. Normal coordinates are drawn as a harmonic molecule
at 300 K has them, zero-point motion included, and halved: labels are wanted near the minimum.
"""

import sys

import ase.io
import numpy as np
from ase.units import Bohr, Hartree
from pyscf import gto, scf

from aptnn_md.normal_modes import normal_modes
from aptnn_md.units import KELVIN_PER_WAVENUMBER

TEMPERATURE, SHARE, SEED = 300.0, 0.5, 1
# ħ/(2ω) in amu Å² is this over the wavenumber in cm⁻¹
ZERO_POINT = 16.857629

atoms = ase.io.read(sys.argv[1])
places = list(zip(atoms.get_chemical_symbols(), atoms.positions, strict=True))
molecule = gto.M(atom=places, basis="6-31g", verbose=0)
method = scf.RHF(molecule).set(conv_tol=1e-12).run()
blocks = method.Hessian().kernel()  # [i, j, x, y]
hessian = blocks.transpose(0, 2, 1, 3).reshape(3 * len(atoms), -1) * Hartree / Bohr**2
np.save("hessian.npy", hessian)

modes = normal_modes(hessian, atoms.get_masses(), atoms.positions)
x = KELVIN_PER_WAVENUMBER * modes.wavenumber / TEMPERATURE
sigma = SHARE * np.sqrt(ZERO_POINT / modes.wavenumber / np.tanh(x / 2))
random = np.random.default_rng(SEED)
frames = []
for _ in range(int(sys.argv[2])):
    frame = atoms.copy()
    amplitudes = sigma * random.normal(size=len(modes))
    frame.positions += np.tensordot(amplitudes, modes.displacements, axes=1)
    frames.append(frame)
ase.io.write("displaced.extxyz", frames)
