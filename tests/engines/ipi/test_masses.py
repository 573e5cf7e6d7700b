"""i-PI's own masses count: the same molecules with deuterium move like those with deuterium."""

import ase.io
import helpers.toy_molecules as toy
import numpy as np
import pytest
from ase.data import atomic_masses
from helpers.ipi_inputs import run_toy

pytest.importorskip("ipi")

from aptnn_md.engines.ase.calculator import APTCalculator
from aptnn_md.normal_modes import finite_difference_hessian, normal_modes
from aptnn_md.spectra import velocity_spectrum_of_streams
from aptnn_md.structure_columns import ISOTOPE_MASSES

pytestmark = pytest.mark.ipi
DEUTERIUM = ISOTOPE_MASSES["D"]


def harmonic_wavenumber(atoms, masses):
    """The highest, cm⁻¹."""
    atoms = atoms.copy()
    atoms.calc = APTCalculator(toy.Tensors(), toy.Potential())
    hessian = finite_difference_hessian(atoms).matrix
    return normal_modes(hessian, masses, atoms.positions).wavenumber[-1]


def peak(path):
    """Of the velocities of hydrogen, cm⁻¹, above 1500."""
    spectrum = velocity_spectrum_of_streams([path], resolution=40.0, by="element")
    curve = spectrum.groups["H"].density.copy()
    curve[spectrum.wavenumber < 1500.0] = 0.0
    near = np.abs(spectrum.wavenumber - spectrum.wavenumber[curve.argmax()]) < 60.0
    return np.average(spectrum.wavenumber[near], weights=curve[near])
