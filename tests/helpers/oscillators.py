"""Charged oscillators whose infrared spectrum is known exactly."""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import expm

from aptnn_md.arrays import FloatArray

# 2018 CODATA, SI; written out so that nothing of the package is used
BOLTZMANN, CHARGE, AMU = 1.380649e-23, 1.602176634e-19, 1.66053906660e-27
LIGHT_SPEED, VACUUM = 299792458.0, 8.8541878128e-12


def angular_frequency(wavenumber: float) -> float:
    """rad/fs of a wavenumber in cm⁻¹."""
    return 2.0 * math.pi * LIGHT_SPEED * 100.0 * wavenumber * 1e-15


def langevin_velocities(
    shape: tuple[int, int],
    spacing: float,
    wavenumber: float,
    width: float,
    temperature: float = 300.0,
    mass: float = 1.0,
    seed: int = 0,
) -> FloatArray:
    """Velocities of independent damped oscillators; see :func:`langevin_states`."""
    return langevin_states(shape, spacing, wavenumber, width, temperature, mass, seed)[:, 1]


def langevin_states(
    shape: tuple[int, int],
    spacing: float,
    wavenumber: float,
    width: float,
    temperature: float = 300.0,
    mass: float = 1.0,
    seed: int = 0,
) -> FloatArray:
    """Positions (Å) and velocities (Å/fs) of independent damped oscillators in equilibrium,
    (frames, 2, oscillators).

    v̈ + γv̇ + ω₀²v = noise is sampled with its exact propagator, so there is no time step error.
    The spectrum of v has its maximum exactly at ω₀ and a full width at half maximum of exactly γ.

    Parameters
    ----------
    shape : frames, oscillators
    spacing : fs
    wavenumber, width : ω₀ and γ as wavenumbers, cm⁻¹
    temperature, mass : K, amu
    """
    rng = np.random.default_rng(seed)
    omega, gamma = angular_frequency(wavenumber), angular_frequency(width)
    variance = BOLTZMANN * temperature / (mass * AMU) * 1e-10  # (Å/fs)²
    propagator = expm(np.array([[0.0, 1.0], [-(omega**2), -gamma]]) * spacing)
    equilibrium = np.diag([variance / omega**2, variance])
    kick = np.linalg.cholesky(equilibrium - propagator @ equilibrium @ propagator.T)
    state = np.sqrt(np.diag(equilibrium))[:, None] * rng.normal(size=(2, shape[1]))
    states = np.empty((shape[0], 2, shape[1]))
    for frame in range(shape[0]):
        states[frame] = state
        state = propagator @ state + kick @ rng.normal(size=state.shape)
    return states


def absorption(
    wavenumber: FloatArray, strength: float, position: float, width: float, volume: float
) -> FloatArray:
    """n(ν̃)α(ν̃) in cm⁻¹ of the oscillators: 1/(6 kTVcε₀) · 3q² · 2(kT/m)γω²/((ω₀²-ω²)² + γ²ω²).

    Parameters
    ----------
    strength : Σ q²/m, e²/amu
    """
    nu, nu0, gamma = wavenumber, position, width
    with np.errstate(divide="ignore", invalid="ignore"):
        line = 2.0 * gamma * nu**2 / ((nu0**2 - nu**2) ** 2 + gamma**2 * nu**2)  # 1/cm⁻¹
    seconds = line / (2.0 * math.pi * LIGHT_SPEED * 100.0)
    si = strength * CHARGE**2 / AMU * seconds / (2.0 * volume * 1e-30 * LIGHT_SPEED * VACUUM)
    return np.nan_to_num(si) / 100.0
