"""Cold molecules: bands of molecular dynamics have the intensities of the normal modes."""

import numpy as np
import pytest
from ase.optimize import BFGS
from helpers import toy_molecules

from aptnn_md.engines.ase.md import run_md
from aptnn_md.engines.ase.settings import MDSettings
from aptnn_md.normal_modes import finite_difference_hessian, infrared_modes, normal_modes
from aptnn_md.spectra import spectrum_of_streams


@pytest.mark.slow
def test_bands_at_5_kelvin_are_the_normal_modes(tmp_path):
    # a mode has another energy every 2/friction, so this has about 600 of them
    atoms = toy_molecules.structure()
    atoms.set_momenta(np.zeros((3, 3)))
    atoms.calc = toy_molecules.Potential()
    BFGS(atoms, logfile=None).run(fmax=1e-6)
    hessian = finite_difference_hessian(atoms, delta=0.002)
    modes = normal_modes(hessian.matrix, atoms.get_masses(), atoms.positions)
    harmonic = infrared_modes(modes, toy_molecules.polar_tensors(atoms.positions))
    sampling = {"thermostat": "langevin", "friction": 10.0, "equilibrate": 1.0}
    settings = MDSettings(120.0, stride=8, temperature=5.0, seed=3, **sampling)
    run_md(atoms, tmp_path / "run", settings, model=toy_molecules.Tensors())
    spectrum = spectrum_of_streams([tmp_path / "run"])
    for wavenumber, intensity in zip(modes.wavenumber, harmonic.intensity, strict=True):
        # friction makes Lorentzian lines of 53 cm⁻¹, whose tails outside hold 7 % at ± 240 cm⁻¹
        found, error = spectrum.integral(wavenumber - 240, wavenumber + 240)
        found /= 2 / np.pi * np.arctan(240 / 26.5)
        print(f"{wavenumber:.0f} cm⁻¹: {intensity:.2f}, MD {found:.2f} ± {error:.2f} km/mol")
        assert found == pytest.approx(intensity, abs=2.5 * error)
        assert error < 0.08 * intensity
