"""Dipole rates of modes that exchange energy over picoseconds, with known mean energies.

Each mode is a complex amplitude z_k(t), an Ornstein-Uhlenbeck process, times e^{i(ω_k t + φ_k(t))}
with a phase that diffuses. Its energy |z_k|² has the exponential distribution of a canonical mode
and the correlation e^{-t/τ}. With ``conserved`` all energies are divided by their sum at each time,
so that they only move between modes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from aptnn_md.arrays import FloatArray
from aptnn_md.units import LIGHT_SPEED_CM_PER_FS

_COARSE = 0.025  # of the exchange time


@dataclass(frozen=True)
class Modes:
    """Modes of a molecule.

    Attributes
    ----------
    wavenumbers : (k,) cm⁻¹
    strengths : (k,) ⟨ṁ²⟩ of each
    exchange_time : τ, fs
    dephasing_time : of the phase, fs
    conserved : the sum of all energies is constant
    """

    wavenumbers: tuple[float, ...]
    strengths: tuple[float, ...]
    exchange_time: float
    dephasing_time: float
    conserved: bool = False

    def rates(
        self, n_frames: int, spacing: float, rng: np.random.Generator, n_runs: int = 1
    ) -> FloatArray:
        """(n_runs, n_frames, 3) dipole rates of independent runs."""
        n = len(self.wavenumbers)
        time = np.asarray(spacing * np.arange(n_frames), dtype=np.float64)
        amplitude = self._amplitudes(time, rng, n_runs)
        if self.conserved:
            energy = np.sum(np.abs(amplitude) ** 2, axis=1, keepdims=True)
            amplitude = amplitude * np.sqrt(n / energy)
        steps = rng.normal(size=(n_runs, n, n_frames)) * np.sqrt(2 * spacing / self.dephasing_time)
        omega = 2 * np.pi * LIGHT_SPEED_CM_PER_FS * np.array(self.wavenumbers)
        phase = omega[:, None] * time + np.cumsum(steps, axis=-1)
        scalar = np.sqrt(2.0) * (amplitude * np.exp(1j * phase)).real
        direction = rng.normal(size=(n_runs, n, 3))
        direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
        size = np.sqrt(np.array(self.strengths))
        return np.asarray(np.einsum("rkt,rka,k->rta", scalar, direction, size))

    def _amplitudes(self, time: FloatArray, rng: np.random.Generator, n_runs: int) -> np.ndarray:
        """(n_runs, k, n_frames) complex, ⟨|z|²⟩ = 1, linear between points on a coarse grid."""
        coarse = np.arange(
            0.0, time[-1] + 2 * _COARSE * self.exchange_time, _COARSE * self.exchange_time
        )
        keep = np.exp(-_COARSE / 2.0)
        shape = (n_runs, len(self.wavenumbers), len(coarse))
        noise = (rng.normal(size=shape) + 1j * rng.normal(size=shape)) / np.sqrt(2.0)
        noise[..., 1:] *= np.sqrt(1.0 - keep**2)
        process = lfilter([1.0], [1.0, -keep], noise, axis=-1)
        position = time / (coarse[1] - coarse[0])
        below = position.astype(int)
        share = position - below
        return np.asarray(process[..., below] * (1.0 - share) + process[..., below + 1] * share)
