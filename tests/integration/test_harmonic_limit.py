"""Cold molecules: bands of molecular dynamics have the intensities of the normal modes.

Every mode begins with the energy k_B T, so that no statistics is in the way: at 5 K modes keep it.
"""

import numpy as np
import pytest
from ase import Atoms
from ase.optimize import BFGS
from ase.units import kB
from helpers import toy_molecules

from aptnn_md.engines.ase.md import run_md
from aptnn_md.engines.ase.settings import MDSettings
from aptnn_md.normal_modes import (
    NormalModes,
    finite_difference_hessian,
    infrared_modes,
    normal_modes,
)
from aptnn_md.prediction.dipole_calculator import DipoleCalculatorModel
from aptnn_md.spectra import spectrum_of_streams

TEMPERATURE = 5.0


def at_the_minimum(atoms: Atoms) -> NormalModes:
    """Relaxes the atoms and gives each mode the energy k_B T, all of it kinetic."""
    BFGS(atoms, logfile=None).run(fmax=1e-4)
    hessian = finite_difference_hessian(atoms, delta=0.005)
    modes = normal_modes(hessian.matrix, atoms.get_masses(), atoms.positions)
    weighted = np.sqrt(2.0 * kB * TEMPERATURE) * modes.eigenvectors.sum(axis=0)
    atoms.set_momenta(np.sqrt(atoms.get_masses())[:, None] * weighted)
    return modes


SETTINGS = MDSettings(
    10.0, stride=6, thermostat="none", n_runs=0, temperature=TEMPERATURE, equilibrate=0.0
)


@pytest.mark.slow
def test_bands_at_5_kelvin_are_the_normal_modes(tmp_path):
    atoms = toy_molecules.structure()
    atoms.calc = toy_molecules.Potential()
    modes = at_the_minimum(atoms)
    harmonic = infrared_modes(modes, toy_molecules.polar_tensors(atoms.positions))
    run_md(atoms, tmp_path / "run", SETTINGS, model=toy_molecules.Tensors())
    spectrum = spectrum_of_streams([tmp_path / "run"], temperature=TEMPERATURE)
    for wavenumber, intensity in zip(modes.wavenumber, harmonic.intensity, strict=True):
        found, _ = spectrum.integral(wavenumber - 150, wavenumber + 150)
        print(f"{wavenumber:.0f} cm⁻¹: {intensity:.2f}, MD {found:.2f} km/mol")
        assert found == pytest.approx(intensity, rel=0.02)


@pytest.mark.slow
def test_bands_of_cold_methanol_are_the_normal_modes(tmp_path):
    """GFN2-xTB: polar tensors at the minimum, and the dipole along the run."""
    tblite = pytest.importorskip("tblite.ase")
    from ase.build import molecule

    settings = {"method": "GFN2-xTB", "accuracy": 0.01, "verbosity": 0}
    atoms = molecule("CH3OH")
    atoms.calc = tblite.TBLite(**settings)
    modes = at_the_minimum(atoms)
    own_dipole = tblite.TBLite(**settings)
    apt = DipoleCalculatorModel(own_dipole).evaluate([atoms])[0]["apt"][0]
    harmonic = infrared_modes(modes, apt)
    run_md(atoms, tmp_path / "run", SETTINGS, model=lambda _: apt, dipole_calculator=own_dipole)
    spectrum = spectrum_of_streams(
        [tmp_path / "run"], temperature=TEMPERATURE, estimator="potential-dipole"
    )
    for low, high in ((200, 600), (900, 1220), (1220, 1700), (2700, 3200), (3400, 3700)):
        inside = (modes.wavenumber > low) & (modes.wavenumber < high)
        expected = harmonic.intensity[inside].sum()
        found, _ = spectrum.integral(low, high)
        print(f"{low} to {high} cm⁻¹: {expected:.2f}, MD {found:.2f} km/mol")
        assert found == pytest.approx(expected, rel=0.03)
