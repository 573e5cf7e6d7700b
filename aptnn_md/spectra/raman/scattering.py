"""Raman cross sections of Stokes scattering for a laser and a temperature.

A line of the activity S (Å⁴/amu) at ν̃ scatters light of a laser at ν̃₀ with the differential cross
section (J. Neugebauer, M. Reiher, C. Kind and B. A. Hess, J. Comput. Chem. 23, 895 (2002); D. A.
Long, The Raman Effect, Wiley 2002)

    dσ/dΩ = 16π⁴ (ν̃₀ − ν̃)⁴ · h/(8π²c ν̃) · 1/(1 − e^{−βħω}) · S/45,

the polarizability being a volume. It is energy scattered into a unit of solid angle, at a right
angle to the polarisation of the laser, over energy that comes in on a unit of area. Where photons
are counted, ν̃₀(ν̃₀ − ν̃)³ takes the place of (ν̃₀ − ν̃)⁴. So the measured spectrum d²σ/(dΩ dν̃) is
the reduced one, an activity in each wavenumber, times that factor.

In it is the harmonic quantum correction: the spectrum of the quantum correlation of a is
βħω/(1 − e^{−βħω}) times that of ȧ, over ω². Another correction Q of classical nuclei (``standard``,
``schofield``, ...; :mod:`aptnn_md.spectra.analysis.quantum`) takes the place of that factor, in the
reduced spectrum too, which then is the activity that gives the same measured spectrum.

No local field is in it: the light is that in the sample, and molecules in a liquid see another one.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.spectra.analysis.quantum import correction_of, refuse_second
from aptnn_md.spectra.analysis.sticks import Sticks
from aptnn_md.spectra.options import check_positive
from aptnn_md.spectra.raman.forms import CROSS_SECTION
from aptnn_md.spectra.raman.spectrum import RamanSpectrum
from aptnn_md.units import CROSS_SECTION_PREFACTOR, KELVIN_PER_WAVENUMBER

_LASER = re.compile(r"\s*(?P<number>[-+.\deE]*[\d.])\s*(?P<unit>nm|cm-1|cm\^-1|cm⁻¹)\s*")


def laser_wavenumber(text: str) -> float:
    """Wavenumber of a laser, cm⁻¹, from ``532nm`` or ``18797cm-1``.

    Raises
    ------
    InputError
        Not a positive number with one of these units.
    """
    match = _LASER.fullmatch(text)
    try:
        value = float(match["number"]) if match else 0.0
    except ValueError:
        value = 0.0
    if match is None or not 0.0 < value < float("inf"):
        expected = "a wavelength or wavenumber with its unit, e.g. 532nm or 18797cm-1"
        raise InputError("Raman spectrum", "laser", repr(text), expected)
    return 1e7 / value if match["unit"] == "nm" else value


def cross_section_factor(
    wavenumber: FloatArray, laser: float, temperature: float, counting: bool = False
) -> FloatArray:
    """Cross section over activity, cm²/sr per Å⁴/amu.

    Parameters
    ----------
    wavenumber : (n,) Raman shift of Stokes lines, cm⁻¹, above 0 and below the laser's
    laser : wavenumber of the laser, cm⁻¹
    temperature : K
    counting : photons are counted, not their energy

    Returns
    -------
    (n,)
    """
    scattered = laser - wavenumber
    light = laser * scattered**3 if counting else scattered**4
    bose = -np.expm1(-KELVIN_PER_WAVENUMBER * wavenumber / temperature)
    return np.asarray(CROSS_SECTION_PREFACTOR / 45.0 * light / (wavenumber * bose))


def measured_sticks(sticks: Sticks, spectrum: RamanSpectrum) -> Sticks:
    """Sticks of activities in the form of a spectrum: for its laser cross sections, cm²/sr."""
    if spectrum.laser is None:
        return sticks
    inside = sticks.within(float(spectrum.wavenumber[0]), float(spectrum.wavenumber[-1]))
    factor = cross_section_factor(
        inside.wavenumber, spectrum.laser, spectrum.temperature, spectrum.counting
    )
    return Sticks(inside.name, inside.wavenumber, factor * inside.area)


def cross_sections(spectrum: RamanSpectrum, laser: float, counting: bool = False) -> RamanSpectrum:
    """The spectrum that an instrument would measure, d²σ/(dΩ dν̃) in cm²/sr per cm⁻¹.

    It begins one resolution above 0, because what the window moves to 0 would be divided by ν̃², and
    ends below the laser.

    Parameters
    ----------
    laser : its wavenumber, cm⁻¹
    counting : photons are counted, not their energy

    Raises
    ------
    InputError
        The spectrum has this form already, or the laser's wavenumber is not above the resolution.
    """
    check_positive("laser", laser)
    if spectrum.laser is not None:
        raise InputError("Raman spectrum", "form", "a measured one", "the reduced one")
    low, high = spectrum.resolution, min(laser, spectrum.wavenumber[-1])
    inside = spectrum.mapped(lambda curve: curve.between(low, high))
    if len(inside.wavenumber) < 2:
        expected = f"one far above the resolution of {low:.3g} cm⁻¹"
        raise InputError("Raman spectrum", "laser", f"{laser:.6g} cm⁻¹", expected)
    factor = cross_section_factor(inside.wavenumber, laser, spectrum.temperature, counting)
    found = inside.mapped(lambda curve: curve.scaled(factor))
    return replace(found, laser=laser, counting=counting, ordinate=CROSS_SECTION)


def corrected_raman(spectrum: RamanSpectrum, correction: str) -> RamanSpectrum:
    """A reduced spectrum of classical nuclei with another quantum correction than the harmonic one.

    Raises
    ------
    InputError
        An unknown correction, a spectrum of a path integral, a measured one, or one that has been
        corrected already.
    """
    if correction == "harmonic":
        return spectrum
    refuse_second(correction, spectrum.n_beads, spectrum.quantum)
    if spectrum.laser is not None:
        raise InputError("quantum correction", "form", "a measured one", "the reduced one")
    operator = correction_of(correction, spectrum.wavenumber, spectrum.temperature)
    return replace(spectrum.mapped(operator), quantum=correction)
