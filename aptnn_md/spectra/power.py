"""Power spectral density of a vector signal by Welch's method, in blocks.

Each run is cut into segments that overlap by half; each segment is multiplied by a Hann taper,
padded with zeros and Fourier transformed. A tapered periodogram is the transform of the linear
correlation function of the tapered segment, so nothing is circular, no frequency is mixed with
another beyond the resolution, and no value is negative. No mean is subtracted: a mean of Ṁ is a
current, and its power at ω = 0 belongs to the spectrum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.fft import fft, next_fast_len, rfft

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.errors import InputError
from aptnn_md.units import LIGHT_SPEED_CM_PER_FS

HANN_FWHM: float = 1.4406
"""Full width at half maximum of |Fourier transform of a Hann taper|², times the taper's length."""

MAX_BLOCKS = 64
_POINTS_PER_RESOLUTION = 10
_MIN_SEGMENT = 16


@dataclass(frozen=True, eq=False)
class PowerBlocks:
    """Power spectral density ∫dt e^{-iωt} ⟨x(0)·x(t)⟩ of consecutive pieces of the runs.

    Attributes
    ----------
    wavenumber : (n,) cm⁻¹, from 0 to the Nyquist wavenumber
    values : (n_blocks, n) in unit(x)² fs, of the sum over groups
    weights : (n_blocks,) share of each block in the data; their sum is 1
    runs : (n_blocks,) index of the run of each block
    groups : (n_groups, n) mean of each group's own (auto) density; empty where not asked for
    gaussian_variance : (n,) relative variance of one segment's density for a Gaussian signal,
        in units of that far from 0 and the Nyquist wavenumber; 2 there
    segment_frames : frames in a segment
    n_segments : segments in all blocks
    resolution : full width at half maximum of a line without width, cm⁻¹
    """

    wavenumber: FloatArray
    values: FloatArray
    weights: FloatArray
    runs: IntArray
    groups: FloatArray
    gaussian_variance: FloatArray
    segment_frames: int
    n_segments: int
    resolution: float

    @property
    def mean(self) -> FloatArray:
        """(n,) density of all data."""
        return np.asarray(self.weights @ self.values)


def segment_length(resolution: float, spacing: float) -> int:
    """Frames in a segment for a resolution in cm⁻¹ at frames ``spacing`` fs apart."""
    return round(HANN_FWHM / (LIGHT_SPEED_CM_PER_FS * resolution * spacing))


def check_lengths(frames: Mapping[str, int], spacing: float, resolution: float) -> None:
    """Refuse data that cannot give the resolution with an error bar.

    Parameters
    ----------
    frames : name -> number of frames of each run
    spacing : time between frames, fs
    resolution : cm⁻¹

    Raises
    ------
    InputError
        A run is shorter than a segment, a single run shorter than two segments that overlap by
        half, or a segment has too few frames.
    """
    length = segment_length(resolution, spacing)
    coarsest = HANN_FWHM / (LIGHT_SPEED_CM_PER_FS * spacing * _MIN_SEGMENT)
    if length < _MIN_SEGMENT:
        expected = f"at most {coarsest:.3g} cm⁻¹ with frames {spacing:g} fs apart"
        raise InputError("spectrum", "resolution", f"{resolution:g} cm⁻¹", expected)
    needed = length if len(frames) > 1 else length + length // 2
    for name, n_frames in frames.items():
        if n_frames < needed:
            expected = (
                f"at least {1e-3 * needed * spacing:.3g} ps for a resolution of {resolution:g} cm⁻¹"
            )
            coarse = np.ceil(1.01 * resolution * needed / max(1, n_frames))
            if coarse < coarsest:
                expected += f" (or a resolution of {coarse:g} cm⁻¹)"
            found = f"{n_frames} frames, {1e-3 * n_frames * spacing:.3g} ps"
            raise InputError(name, "length", found, expected)


def power_blocks(
    runs: Sequence[FloatArray], spacing: float, resolution: float, keep_groups: bool = False
) -> PowerBlocks:
    """Power spectral density of independent runs of one signal.

    Parameters
    ----------
    runs : (frames, n_groups, 3) each; only slices are taken
    spacing : time between frames, fs
    resolution : full width at half maximum of a line without width, cm⁻¹
    keep_groups : also give the density of each group alone

    The lengths must have passed :func:`check_lengths`.
    """
    length = segment_length(resolution, spacing)
    starts = [_segment_starts(len(run), length) for run in runs]
    n_segments = sum(map(len, starts))
    n_fft = _padded_length(length, spacing, resolution)
    taper = np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2
    taper *= np.sqrt(spacing / np.sum(taper**2))
    group_size = -(-n_segments // MAX_BLOCKS)
    total_frames = sum(len(run) for run in runs)
    values, weights, index = [], [], []
    groups = np.zeros((runs[0].shape[1] if keep_groups else 0, n_fft // 2 + 1))
    for number, (run, first) in enumerate(zip(runs, starts, strict=True)):
        share = len(run) / total_frames / len(first)
        for begin in range(0, len(first), group_size):
            members = first[begin : begin + group_size]
            block = np.zeros(n_fft // 2 + 1)
            for start in members:
                segment = np.asarray(run[start : start + length])
                block += _density(segment.sum(axis=1), taper, n_fft)
                for group in range(len(groups)):
                    groups[group] += share * _density(segment[:, group], taper, n_fft)
            values.append(block / len(members))
            weights.append(share * len(members))
            index.append(number)
    step = 1.0 / (LIGHT_SPEED_CM_PER_FS * spacing * n_fft)
    return PowerBlocks(
        wavenumber=np.linspace(0.0, step * (n_fft // 2), n_fft // 2 + 1),
        values=np.array(values),
        weights=np.array(weights),
        runs=np.array(index, dtype=np.int64),
        groups=groups,
        gaussian_variance=_gaussian_variance(taper, n_fft),
        segment_frames=length,
        n_segments=n_segments,
        resolution=HANN_FWHM / (LIGHT_SPEED_CM_PER_FS * length * spacing),
    )


def _density(segment: FloatArray, taper: FloatArray, n_fft: int) -> FloatArray:
    """(n_fft // 2 + 1,) density of a (length, 3) signal, summed over its components."""
    amplitude = rfft(segment * taper[:, None], n_fft, axis=0)
    return np.asarray((amplitude.real**2 + amplitude.imag**2).sum(axis=1))


def _gaussian_variance(taper: FloatArray, n_fft: int) -> FloatArray:
    """1 + |H(2ν̃)|², H the transform of taper²: at both ends a density has half the freedom."""
    window = np.abs(fft(taper**2, n_fft)) ** 2 / np.sum(taper**2) ** 2
    return np.asarray(1.0 + window[2 * np.arange(n_fft // 2 + 1) % n_fft])


def _segment_starts(n_frames: int, length: int) -> IntArray:
    """Starts of segments that overlap by at most half and reach from end to end."""
    n_segments = 1 + (n_frames - length) // max(1, length // 2)
    if n_segments == 1:
        return np.zeros(1, dtype=np.int64)
    return np.linspace(0, n_frames - length, n_segments).astype(np.int64)


def _padded_length(length: int, spacing: float, resolution: float) -> int:
    """Even transform length whose grid is fine against the resolution."""
    fine = _POINTS_PER_RESOLUTION / (LIGHT_SPEED_CM_PER_FS * spacing * resolution)
    return 2 * int(next_fast_len(int(np.ceil(max(2 * length, fine) / 2)), real=True))
