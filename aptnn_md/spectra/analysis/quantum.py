"""Quantum corrections of classical time correlation functions.

The absorption is n(ω)α(ω) ∝ (1 - e^{-x})/x · S(ω), x = βħω, with S the spectrum of the quantum
correlation function of Ṁ. What a simulation gives is the spectrum C of another correlation
function, and S ≈ Q·C with a factor Q(x) that obeys detailed balance, Q(-x) = e^{-x} Q(x), and is 1
for ħω ≪ k_B T:

===============  =============================  ==================================================
``harmonic``     x / (1 - e^{-x})               exact for harmonic motion with a linear dipole; it
                                                cancels the factor above, so Eq. 2 of P. Schienbein
                                                (J. Chem. Theory Comput. 19, 705 (2023)), which is
                                                used here, has it built in
``standard``     2 / (1 + e^{-x})               symmetrised correlation
``schofield``    e^{x/2}                        P. Schofield, Phys. Rev. Lett. 4, 239 (1960)
``mixed``        e^{x/4} √(x / (1 - e^{-x}))    geometric mean of harmonic and Schofield;
                                                J. L. Skinner and K. Park, J. Phys. Chem. B 105,
                                                6716 (2001)
``egelstaff``    e^{x/2} and C(√(t² + ħ²β²/4))  P. A. Egelstaff, Adv. Phys. 11, 203 (1962)
===============  =============================  ==================================================

R. Ramírez, T. López-Ciudad, P. Kumar P and D. Marx, J. Chem. Phys. 121, 3973 (2004), compare them
with exact results: the harmonic one is best in most cases, and the only one that also satisfies the
fluctuation-dissipation theorem. The exponential ones overrate high wavenumbers. Egelstaff's works
on the correlation function in time; here it is that of Ṁ, whose spectrum is finite at ω = 0.

Path integral dynamics (RPMD, TRPMD, CMD) approximate the Kubo-transformed correlation function, for
which the harmonic factor holds exactly: S = x / (1 - e^{-x}) · C. So nothing is left to correct,
and :func:`refuse_second` says so.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import j0

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.errors import InputError
from aptnn_md.spectra.estimation.power import PowerBlocks
from aptnn_md.spectra.options import CORRECTIONS
from aptnn_md.units import KELVIN_PER_WAVENUMBER

_CHUNK = 128


def quantum_factor(correction: str, x: AnyArray) -> FloatArray:
    """The factor Q of a correction at x = βħω of any sign; of ``egelstaff`` its e^{x/2}.

    Raises
    ------
    InputError
        An unknown correction.
    """
    x = np.asarray(x, dtype=np.float64)
    if correction == "standard":
        return np.asarray(2.0 / (1.0 + np.exp(-x)))
    if correction in ("schofield", "egelstaff"):
        return np.asarray(np.exp(x / 2.0))
    with np.errstate(over="ignore"):  # e^{-x} = ∞ gives the right limit
        harmonic = np.where(x == 0.0, 1.0, x / np.where(x == 0.0, 1.0, -np.expm1(-x)))
    if correction == "harmonic":
        return np.asarray(harmonic)
    if correction == "mixed":
        return np.asarray(np.exp(x / 4.0) * np.sqrt(harmonic))
    raise InputError(
        "quantum correction", "name", repr(correction), f"one of {', '.join(CORRECTIONS)}"
    )


def correct(
    correction: str, wavenumber: FloatArray, absorption: FloatArray, temperature: float
) -> FloatArray:
    """n(ν̃)α(ν̃) of Eq. 2, whose harmonic correction is replaced by another one.

    Parameters
    ----------
    correction : one of :data:`aptnn_md.spectra.options.CORRECTIONS`
    wavenumber : (n,) cm⁻¹, uniform from 0 on
    absorption : (..., n), cm⁻¹
    temperature : K

    Returns
    -------
    (..., n)

    Raises
    ------
    InputError
        An unknown correction, or one that is larger than any number at this temperature.
    """
    if correction == "harmonic":
        return np.array(absorption)
    if correction == "egelstaff":
        absorption = egelstaff_times(wavenumber, absorption, temperature)
    return np.asarray(_ratio(correction, wavenumber, temperature) * absorption)


def _ratio(correction: str, wavenumber: FloatArray, temperature: float) -> FloatArray:
    """(n,) the factor of a correction over the harmonic one."""
    x = KELVIN_PER_WAVENUMBER * wavenumber / temperature
    with np.errstate(over="ignore", invalid="ignore"):
        ratio = quantum_factor(correction, x) / quantum_factor("harmonic", x)
    if not np.isfinite(ratio).all():
        found = f"{temperature:g} K with a spectrum up to {wavenumber[-1]:.0f} cm⁻¹"
        raise InputError(f"quantum correction '{correction}'", "temperature", found, "a higher one")
    return np.asarray(ratio)


def refuse_second(correction: str, n_beads: int, quantum: str) -> None:
    """Refuse to correct what is not classical, or has been corrected.

    Parameters
    ----------
    correction : the new one
    n_beads : of the spectrum
    quantum : correction of the spectrum

    Raises
    ------
    InputError
        There are several beads, or a correction is in the spectrum.
    """
    if n_beads > 1:
        found = f"'{correction}' for a path integral of {n_beads} beads"
        expected = "none: its correlation is Kubo-transformed, and Eq. 2 is exact for that"
        raise InputError("spectrum", "quantum correction", found, expected)
    if quantum != "harmonic":
        found = f"'{correction}' on top of '{quantum}'"
        raise InputError("spectrum", "quantum correction", found, "one correction")


def correction_of(
    correction: str, wavenumber: FloatArray, temperature: float
) -> Callable[[PowerBlocks], PowerBlocks]:
    """What turns a curve with the harmonic correction in it into one with another correction.

    Raises
    ------
    InputError
        An unknown correction, or one that is larger than any number at this temperature.
    """
    ratio = _ratio(correction, wavenumber, temperature)

    def curve(blocks: PowerBlocks) -> PowerBlocks:
        if correction == "egelstaff":
            blocks = blocks.mapped(lambda values: egelstaff_times(wavenumber, values, temperature))
        return blocks.scaled(ratio)

    return curve


def egelstaff_times(wavenumber: FloatArray, density: FloatArray, temperature: float) -> FloatArray:
    """Spectrum of C(√(t² + a²)), a = ħβ/2, from the spectrum P of C(t), (..., n).

    It is -∫_ω^∞ P′(b) J₀(a √(b² - ω²)) db: with ∫₀^∞ cos(ωt) sin(b√(t² + a²))/√(t² + a²) dt =
    (π/2) J₀(a √(b² - ω²)) for ω < b and 0 beyond (Erdélyi et al., Tables of Integral Transforms I,
    1.7), differentiated by b. P is taken as piecewise linear, so that P′ is constant in a step,
    and as 0 beyond its last wavenumber.
    """
    a_omega = 0.5 * KELVIN_PER_WAVENUMBER * wavenumber / temperature
    middle = 0.5 * (a_omega[1:] + a_omega[:-1])
    falls = -np.diff(density, axis=-1)
    result = density[..., -1:] * j0(np.sqrt(a_omega[-1] ** 2 - a_omega**2))
    for start in range(0, len(a_omega), _CHUNK):
        rows = slice(start, start + _CHUNK)
        square = middle[start:] ** 2 - a_omega[rows, None] ** 2
        kernel = np.where(square > 0.0, j0(np.sqrt(np.maximum(square, 0.0))), 0.0)
        result[..., rows] += falls[..., start:] @ kernel.T
    return np.asarray(result)
