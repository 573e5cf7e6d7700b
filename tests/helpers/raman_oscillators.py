"""Polarizability oscillators whose Raman spectrum is known exactly."""

from __future__ import annotations

import math

import numpy as np

from aptnn_md.arrays import FloatArray
from helpers.oscillators import AMU, BOLTZMANN, LIGHT_SPEED, langevin_velocities

PLACES = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


def mean_and_anisotropy(tensor: FloatArray) -> tuple[float, float]:
    """45 ā² and γ² of a symmetric 3x3 tensor from its eigenvalues."""
    a, b, c = np.linalg.eigvalsh(tensor)
    mean = (a + b + c) / 3
    return 45 * mean**2, 0.5 * ((a - b) ** 2 + (b - c) ** 2 + (c - a) ** 2)


def six(tensor: FloatArray) -> FloatArray:
    """(..., 3, 3) to (..., 6): xx, yy, zz, yz, xz, xy."""
    return np.stack([tensor[..., i, j] for i, j in PLACES], axis=-1)


def rates(
    derivatives: FloatArray,
    n_frames: int,
    spacing: float,
    wavenumber: float,
    width: float,
    temperature: float,
    seed: int,
) -> FloatArray:
    """(frames, 6) ȧ = Σ_k ∂a/∂Q_k Q̇_k of independent damped oscillators of unit mass.

    Parameters
    ----------
    derivatives : (n, 3, 3) ∂a/∂Q, Å²/√amu
    """
    shape = (n_frames, len(derivatives))
    velocities = langevin_velocities(shape, spacing, wavenumber, width, temperature, seed=seed)
    return velocities @ six(derivatives)


def line(wavenumber: FloatArray, position: float, width: float) -> FloatArray:
    """Spectrum of a damped oscillator of the activity 1, per cm⁻¹; its area is 1.

    R = 2c/kT S with S = 2(kT/m)γω²/((ω₀² − ω²)² + γ²ω²), so R = 4c γω²/(...) in ω = 2πcν̃, which
    is (2/π) γν̃²/((ν̃₀² − ν̃²)² + γ²ν̃²) in wavenumbers.
    """
    nu, gamma = wavenumber, width
    return 2 / math.pi * gamma * nu**2 / ((position**2 - nu**2) ** 2 + gamma**2 * nu**2)


def thermal_energy(temperature: float) -> float:
    """k_B T in amu Å²/fs²."""
    return BOLTZMANN * temperature / AMU * 1e-10


SPEED_CM_PER_FS = LIGHT_SPEED * 1e2 * 1e-15
