"""i-PI's own masses count: a molecule with deuterium by its input vibrates like one.

The other ways to say so are in tests/normal_modes: columns and symbols in test_isotopes.py, files
of Gaussian and ORCA in test_frequency_files.py.
"""

import helpers.toy_molecules as toy
import numpy as np
import pytest
from helpers.ipi_inputs import go_on_toy, write_input

pytest.importorskip("ipi")

from aptnn_md.normal_modes import finite_difference_hessian, normal_modes
from aptnn_md.spectra import velocity_spectrum_of_streams
from aptnn_md.structure_columns import ISOTOPE_MASSES

pytestmark = pytest.mark.ipi
HYDROGEN, OXYGEN, CHLORINE = 1.008, 15.999, 35.45


def harmonic_stretch(hydrogen):
    """Wavenumber of the O-H stretch, cm⁻¹."""
    atoms = toy.structure(1)
    atoms.calc = toy.Potential()
    hessian = finite_difference_hessian(atoms).matrix
    masses = np.array([OXYGEN, hydrogen, CHLORINE])
    return normal_modes(hessian, masses, atoms.positions).wavenumber[-1]


def stretch_of_a_run(directory, monkeypatch, hydrogen):
    """The same from the velocities of a cold run whose input gives the masses."""
    monkeypatch.chdir(directory)
    source = write_input(
        directory, steps=6000, temperature=5, checkpoint=100000, stride=100000, timestep=0.25
    )
    masses = ", ".join(map(str, [OXYGEN, hydrogen, CHLORINE] * 2))
    line = f"<masses mode='manual' units='dalton'> [{masses}] </masses>"
    source.write_text(source.read_text().replace("<velocities", f"{line}<velocities"))
    stream, _ = go_on_toy(
        directory, monkeypatch, "input.xml", ("bead",), "element", velocities=True, stride=4
    )
    assert stream.header.masses["H"] == pytest.approx((hydrogen,), rel=1e-6)
    assert stream.header.atom_masses[1::3] == pytest.approx([hydrogen] * 2, rel=1e-6)
    spectrum = velocity_spectrum_of_streams([stream.path], resolution=60.0)
    grid, curve = spectrum.wavenumber, spectrum.groups["H"].mean
    high = np.where(grid > 1500.0, curve, 0.0)
    near = np.abs(grid - grid[high.argmax()]) < 90.0
    return np.average(grid[near], weights=curve[near])


@pytest.mark.slow
def test_deuterium_by_the_masses_of_the_input(tmp_path, monkeypatch):
    found = {}
    for name, mass in (("light", HYDROGEN), ("heavy", ISOTOPE_MASSES["D"])):
        (tmp_path / name).mkdir()
        found[name] = stretch_of_a_run(tmp_path / name, monkeypatch, mass)
        print(f"{name}: {found[name]:.1f}, harmonic {harmonic_stretch(mass):.1f} cm⁻¹")
        assert found[name] == pytest.approx(harmonic_stretch(mass), abs=15.0)
    expected = harmonic_stretch(ISOTOPE_MASSES["D"]) / harmonic_stretch(HYDROGEN)
    assert expected == pytest.approx(0.728, abs=0.02)
    assert found["heavy"] / found["light"] == pytest.approx(expected, rel=0.005)
