"""How a spectrum is computed: method, window, and the lengths that follow from the resolution."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.fft import fft, next_fast_len

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.spectra.estimation.windows import (
    lag_window,
    lag_window_width,
    taper,
    taper_width,
)
from aptnn_md.spectra.options import SpectrumOptions, check_positive
from aptnn_md.units import LIGHT_SPEED_CM_PER_FS

_POINTS_PER_RESOLUTION = 10
_MIN_LENGTH = 16


@dataclass(frozen=True)
class SpectralPlan:
    """Both methods in terms of one computation.

    A signal is cut into *segments*, one every ``hop`` frames. Each is correlated with the signal
    from its own beginning to ``reach`` frames after its end, both padded with zeros, so nothing
    is circular. The sums over segments, as a function of the lag, are multiplied by
    ``lag_window`` and Fourier transformed.

    * Welch: segments overlap by half and are multiplied by a taper before; reach is 0.
    * Blackman-Tukey: segments follow each other, and reach as far as the longest lag.

    Attributes
    ----------
    method, window, unbiased : see :class:`aptnn_md.spectra.options.SpectrumOptions`
    length : Welch: frames in a segment; Blackman-Tukey: the longest lag in frames
    spacing : time between frames, fs
    resolution : full width at half maximum of an infinitely narrow line, cm⁻¹
    """

    method: str
    window: str
    length: int
    spacing: float
    resolution: float
    unbiased: bool = True

    @property
    def segment(self) -> int:
        """Frames in a segment."""
        return self.length

    @property
    def hop(self) -> int:
        """Frames from the beginning of a segment to that of the next one."""
        return max(1, self.length // 2) if self.method == "welch" else self.length

    @property
    def reach(self) -> int:
        """Frames after a segment with which it is correlated."""
        return 0 if self.method == "welch" else self.length

    @property
    def n_lags(self) -> int:
        """Number of lags from 0 on."""
        return self.length if self.method == "welch" else self.length + 1

    @cached_property
    def taper(self) -> FloatArray:
        """(segment,) what a segment is multiplied by."""
        return taper(self.window, self.length) if self.method == "welch" else np.ones(self.length)

    @cached_property
    def lag_window(self) -> FloatArray:
        """(n_lags,) what the correlation function is multiplied by."""
        if self.method == "welch":
            return np.ones(self.n_lags)
        return lag_window(self.window, self.length)

    @property
    def needed(self) -> int:
        """Frames that a run needs."""
        return self.segment + self.reach

    @cached_property
    def n_fft(self) -> int:
        """Even transform length whose grid is fine against the resolution."""
        per_frame = LIGHT_SPEED_CM_PER_FS * self.spacing * self.resolution
        fine = max(2 * self.n_lags, _POINTS_PER_RESOLUTION / per_frame)
        return 2 * int(next_fast_len(math.ceil(fine / 2), real=True))

    @property
    def wavenumber(self) -> FloatArray:
        """(n_fft // 2 + 1,) cm⁻¹, from 0 to the Nyquist wavenumber."""
        return np.linspace(0.0, nyquist_wavenumber(self.spacing), self.n_fft // 2 + 1)

    @cached_property
    def gaussian_variance(self) -> FloatArray:
        """(n_fft // 2 + 1,) relative variance of a density of a Gaussian signal, in units of that
        far from 0 and the Nyquist wavenumber: at both a density has half the freedom, so it is 2.
        """
        doubled = 2 * np.arange(self.n_fft // 2 + 1) % self.n_fft
        if self.method == "welch":
            window = np.abs(fft(self.taper**2, self.n_fft)) ** 2
        else:
            squares = self.lag_window**2
            window = 2.0 * fft(squares, self.n_fft).real - squares[0]
            window /= 2.0 * squares.sum() - squares[0]
        return np.asarray(1.0 + window[doubled])

    @cached_property
    def neighbour_correlation(self) -> tuple[float, float]:
        """Correlation of neighbouring segments for a Gaussian signal: of their densities at one
        wavenumber, and of the integrals of these, to which all wavenumbers contribute alike."""
        if self.method != "welch":
            return 0.0, 0.0
        overlap = self.taper[self.hop :] * self.taper[: self.segment - self.hop]
        return float(overlap.sum() ** 2), float((overlap**2).sum() / (self.taper**4).sum())

    @property
    def text(self) -> str:
        """Method, window and lengths in one line."""
        window = "no" if self.window == "none" else self.window.title()
        length = f"{1e-3 * self.length * self.spacing:.4g} ps"
        if self.method == "welch":
            return f"Welch, {window} taper, segments of {self.length} frames ({length})"
        bias = "unbiased" if self.unbiased else "biased"
        lags = f"lags up to {self.length} frames ({length})"
        return f"Blackman-Tukey, {window} window, {bias}, {lags}"

    def check_lengths(self, frames: Mapping[str, int]) -> None:
        """Refuse runs that cannot give the resolution with an error bar.

        Parameters
        ----------
        frames : name -> number of frames of each run

        Raises
        ------
        InputError
            A run is shorter than a segment with what it is correlated with, or a single run has
            no second segment.
        """
        needed = self.needed if len(frames) > 1 else max(self.needed, self.segment + self.hop)
        for name, n_frames in frames.items():
            if n_frames < needed:
                expected = (
                    f"at least {1e-3 * needed * self.spacing:.3g} ps for a resolution of "
                    f"{self.resolution:.3g} cm⁻¹"
                )
                coarse = math.ceil(1.01 * self.resolution * needed / max(1, n_frames))
                if coarse < coarsest_resolution(self.method, self.window, self.spacing):
                    expected += f" (or a resolution of {coarse:g} cm⁻¹: --resolution {coarse:g})"
                found = f"{n_frames} frames, {1e-3 * n_frames * self.spacing:.3g} ps"
                raise InputError(name, "length", found, expected)


def plan_spectrum(options: SpectrumOptions, spacing: float) -> SpectralPlan:
    """The plan that gives the resolution of ``options``.

    Parameters
    ----------
    options : resolution, method, window, unbiased
    spacing : time between frames, fs

    Raises
    ------
    InputError
        A spacing that is not positive and finite, or frames too far apart for the resolution.
    """
    check_positive("spacing", spacing)
    method, window, resolution = options.method, options.window, options.resolution
    # the coarsest resolution is that of the shortest length, and resolution times length is fixed
    times_length = _MIN_LENGTH * coarsest_resolution(method, window, spacing)
    length = round(times_length / resolution)
    if length < _MIN_LENGTH:
        coarsest = f"{times_length / _MIN_LENGTH:.3g}"
        expected = (
            f"at most {coarsest} cm⁻¹ with frames {spacing:g} fs apart (--resolution {coarsest})"
        )
        raise InputError("spectrum", "resolution", f"{resolution:g} cm⁻¹", expected)
    found = times_length / length
    return SpectralPlan(method, window, length, spacing, found, options.unbiased)


def plan_correlation(length: int, spacing: float) -> SpectralPlan:
    """The plan of correlation functions of up to ``length`` frames ``spacing`` fs apart."""
    width = lag_window_width("none") / (LIGHT_SPEED_CM_PER_FS * spacing * length)
    return SpectralPlan("blackman-tukey", "none", length, spacing, width)


def coarsest_resolution(method: str, window: str, spacing: float) -> float:
    """Resolution of the shortest segments or lags that make sense, cm⁻¹."""
    width = taper_width(window) if method == "welch" else lag_window_width(window)
    return width / (LIGHT_SPEED_CM_PER_FS * spacing * _MIN_LENGTH)


def nyquist_wavenumber(spacing: float) -> float:
    """Highest wavenumber that frames ``spacing`` fs apart can tell from others, cm⁻¹."""
    return 0.5 / (LIGHT_SPEED_CM_PER_FS * spacing)
