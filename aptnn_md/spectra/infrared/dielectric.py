"""Optical constants from n(ν̃)α(ν̃): permittivity, refractive index, absorption coefficient.

Absorption gives ε″ = n·α/(2πν̃) without any further knowledge, because α = 4πν̃κ and ε″ = 2nκ;
then ε′ follows by Kramers–Kronig, (n + iκ)² = ε′ + iε″, and α = 4πν̃κ alone. With e^{-iωt}, ε″ and
κ are positive where light is absorbed.

A simulation does not resolve what is slower than the inverse resolution. Below the ``lowest``
wavenumber, which is the resolution, absorption is taken as growing like ν̃², as it does in all
matter without free charges; of a conductor that is wrong, and there is no static permittivity. The
conductivity, which is proportional to n·α, needs nothing of that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.errors import InputError
from aptnn_md.spectra.analysis.kramers_kronig import check_grid, kramers_kronig
from aptnn_md.spectra.infrared.intensity import needs_volume
from aptnn_md.spectra.infrared.spectrum import InfraredSpectrum
from aptnn_md.units import (
    LIGHT_SPEED_CM_PER_FS,
    PER_A3_IN_MOL_PER_LITRE,
    PERMITTIVITY_TIMES_LIGHT_SPEED,
)


@dataclass(frozen=True, eq=False)
class OpticalConstants:
    """Response of a substance to light.

    Attributes
    ----------
    wavenumber : (n,) cm⁻¹
    permittivity : (..., n) complex ε = ε′ + iε″, relative to vacuum
    """

    wavenumber: FloatArray
    permittivity: np.ndarray[tuple[int, ...], np.dtype[np.complex128]]

    @property
    def refractive_index(self) -> np.ndarray[tuple[int, ...], np.dtype[np.complex128]]:
        """(..., n) complex n + iκ."""
        return np.asarray(np.sqrt(self.permittivity))

    @property
    def absorption_coefficient(self) -> FloatArray:
        """(..., n) α = 4πν̃κ, cm⁻¹, neperian."""
        return np.asarray(4.0 * np.pi * self.wavenumber * self.refractive_index.imag)


def permittivity_imag(
    wavenumber: AnyArray, absorption: AnyArray, lowest: float = 0.0
) -> FloatArray:
    """ε″(ν̃) = n·α/(2πν̃).

    Parameters
    ----------
    wavenumber : (n,) cm⁻¹
    absorption : (..., n) n(ν̃)α(ν̃), cm⁻¹
    lowest : below it absorption grows like ν̃², cm⁻¹

    Returns
    -------
    (..., n); 0 at wavenumber 0
    """
    grid, curve = check_grid(wavenumber, absorption)
    first = min(int(np.searchsorted(grid, max(lowest, np.finfo(float).tiny))), len(grid) - 1)
    result = np.empty_like(curve)
    result[..., first:] = curve[..., first:] / (2.0 * np.pi * grid[first:])
    result[..., :first] = result[..., first : first + 1] * (grid[:first] / grid[first])
    return result


def optical_constants(
    wavenumber: AnyArray, absorption: AnyArray, epsilon_infinity: float = 1.0, lowest: float = 0.0
) -> OpticalConstants:
    """Optical constants from the absorption n(ν̃)α(ν̃).

    Parameters
    ----------
    wavenumber : (n,) cm⁻¹, increasing, any spacing
    absorption : (..., n), cm⁻¹
    epsilon_infinity : ε′ far above all vibrations: that of the electrons, n² of visible light
    lowest : below it absorption grows like ν̃², cm⁻¹

    Raises
    ------
    InputError
        ε∞ below 1, or arrays that are not a curve.
    """
    if not (math.isfinite(epsilon_infinity) and epsilon_infinity >= 1.0):
        raise InputError(
            "optical constants",
            "ε∞",
            f"{epsilon_infinity:g}",
            "a number of at least 1 (--epsilon-infinity)",
        )
    imaginary = permittivity_imag(wavenumber, absorption, lowest)
    real = epsilon_infinity + kramers_kronig(wavenumber, imaginary)
    return OpticalConstants(np.asarray(wavenumber, dtype=np.float64), real + 1j * imaginary)


@dataclass(frozen=True, eq=False)
class Quantity:
    """A curve over the wavenumbers of a spectrum.

    Attributes
    ----------
    name : on the command line and in files, ASCII
    symbol : for people
    unit : in the notation of files; empty if it has none
    values, standard_error : (n,)
    """

    name: str
    symbol: str
    unit: str
    values: FloatArray
    standard_error: FloatArray


@dataclass(frozen=True)
class _Kind:
    symbol: str
    unit: str
    of: Callable[[OpticalConstants], FloatArray]
    local: bool  # noise at a wavenumber comes from the absorption there


_KINDS: Mapping[str, _Kind] = {
    "epsilon-real": _Kind("ε′", "", lambda c: c.permittivity.real, False),
    "epsilon-imag": _Kind("ε″", "", lambda c: c.permittivity.imag, True),
    "n": _Kind("n", "", lambda c: c.refractive_index.real, False),
    "kappa": _Kind("κ", "", lambda c: c.refractive_index.imag, True),
    "alpha": _Kind("α", "cm^-1", lambda c: c.absorption_coefficient, True),
    "decadic-alpha": _Kind("α₁₀", "cm^-1", lambda c: c.absorption_coefficient / math.log(10), True),
}
_CONDUCTIVITY = "conductivity"
_MOLAR, _MOLAR_SYMBOL, _MOLAR_UNIT = "molar-absorption", "ε(molar)", "L mol^-1 cm^-1"

QUANTITIES = (*_KINDS, _CONDUCTIVITY, _MOLAR)
"""Names of what :func:`quantities` computes. Neperian except for ``decadic-alpha`` = α/ln 10 and
``molar-absorption``, which is decadic too: decadic α per concentration, L mol⁻¹ cm⁻¹."""

OF_MOLECULES = (_MOLAR,)
"""The only ones that a molecule or cluster alone has: the others are properties of a substance."""

_LITRE_PER_CM2_PER_KM_PER_MOL = 100.0  # km/mol per cm⁻¹ are 10⁵ cm²/mol, and 1 L/cm is 10³ cm²


def quantities(
    spectrum: InfraredSpectrum,
    names: Iterable[str] = QUANTITIES,
    *,
    epsilon_infinity: float = 1.0,
    n_molecules: float | None = None,
) -> list[Quantity]:
    """Curves that follow from a spectrum, with their standard errors.

    These come from the jackknife: without block b, of weight w, a quantity q becomes q_b, and
    q - (q_b - q) (1 - w)/w is its value for block b alone, exactly so where q is linear in the
    absorption.

    Parameters
    ----------
    names : some of :data:`QUANTITIES`
    epsilon_infinity : ε′ far above all vibrations; only ε″ and σ do without
    n_molecules : molecules in the volume of the spectrum, for ``molar-absorption``; a spectrum
        without a volume is that of each molecule already

    Raises
    ------
    InputError
        An unknown name, a missing number of molecules, or a system without a volume, which has only
        a molar absorption.
    """
    if spectrum.volume is None:
        return [_of_molecule(spectrum, name) for name in names]
    names = list(names)
    of_constants = [name for name in names if name != _CONDUCTIVITY]
    kinds = {name: _kind(name, spectrum.volume, n_molecules) for name in of_constants}

    def constants_of(absorption: FloatArray) -> OpticalConstants:
        return optical_constants(
            spectrum.wavenumber, absorption, epsilon_infinity, spectrum.resolution
        )

    blocks = spectrum.blocks
    share = blocks.weights[:, None]
    of_all = constants_of(spectrum.absorption)
    without_one = constants_of((spectrum.absorption - share * blocks.values) / (1.0 - share))
    found = {_CONDUCTIVITY: _conductivity(spectrum)}
    for name, kind in kinds.items():
        value = kind.of(of_all)
        pseudo = value - (1.0 - share) / share * (kind.of(without_one) - value)
        shape = value**2 * blocks.gaussian_variance if kind.local else np.ones_like(value)
        error = replace(blocks, values=pseudo, variance_shape=shape).standard_error
        found[name] = Quantity(name, kind.symbol, kind.unit, value, error)
    return [found[name] for name in names]


def _conductivity(spectrum: InfraredSpectrum) -> Quantity:
    """σ = ε₀c·n·α, also of free charges down to wavenumber 0."""
    factor = PERMITTIVITY_TIMES_LIGHT_SPEED
    values, error = factor * spectrum.absorption, factor * spectrum.standard_error
    return Quantity(_CONDUCTIVITY, "σ", "S/m", values, error)


def static_permittivity(
    spectrum: InfraredSpectrum, epsilon_infinity: float = 1.0
) -> tuple[float, float]:
    """ε(0) = ε∞ + (2/π) ∫ ε″/ν̃ dν̃ and its standard error.

    Motion slower than the resolution is hardly in it: of a liquid with slow relaxation it is a
    lower limit.

    Raises
    ------
    InputError
        The system has no volume.
    """
    (real,) = quantities(spectrum, ["epsilon-real"], epsilon_infinity=epsilon_infinity)
    return float(real.values[0]), float(real.standard_error[0])


def _of_molecule(spectrum: InfraredSpectrum, name: str) -> Quantity:
    """A quantity of a system without a volume."""
    if name != _MOLAR:
        symbol = "σ" if name == _CONDUCTIVITY else _kind(name, 1.0, None).symbol
        needs_volume(spectrum.volume, f"quantity {name} ({symbol})")
    factor = _LITRE_PER_CM2_PER_KM_PER_MOL / math.log(10)
    values, error = factor * spectrum.absorption, factor * spectrum.standard_error
    return Quantity(_MOLAR, _MOLAR_SYMBOL, _MOLAR_UNIT, values, error)


def permittivity_note(spectrum: InfraredSpectrum, epsilon_infinity: float | None = None) -> str:
    """What was taken as ε∞, the static permittivity that comes out, and what is not in it."""
    if epsilon_infinity is None:
        epsilon_infinity, origin = 1.0, "not given: the response of the electrons is left out"
    else:
        origin = "given"
    value, error = static_permittivity(spectrum, epsilon_infinity)
    slowest = 1e-3 / (2.0 * math.pi * LIGHT_SPEED_CM_PER_FS * spectrum.resolution)
    return (
        f"ε∞ = {epsilon_infinity:g} ({origin}), ε(0) = {value:.4g} ± {error:.2g} "
        f"without relaxation slower than {slowest:.2g} ps, which the resolution hides, and "
        "without free charges"
    )


def _kind(name: str, volume: float, n_molecules: float | None) -> _Kind:
    if name in _KINDS:
        return _KINDS[name]
    if name != _MOLAR:
        raise InputError("spectrum", "quantity", repr(name), f"one of {', '.join(QUANTITIES)}")
    if n_molecules is None or not (math.isfinite(n_molecules) and n_molecules > 0):
        found = "nothing" if n_molecules is None else n_molecules
        raise InputError(
            "molar absorption",
            "number of molecules",
            found,
            "the positive number in the cell (--n-molecules)",
        )
    factor = 1.0 / (math.log(10) * PER_A3_IN_MOL_PER_LITRE * n_molecules / volume)
    return _Kind(_MOLAR_SYMBOL, _MOLAR_UNIT, lambda c: factor * c.absorption_coefficient, True)
