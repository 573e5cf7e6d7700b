"""Spectra of stream files: checks that they belong together."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.spectra.infrared import InfraredSpectrum, infrared_spectrum
from aptnn_md.stream import StreamReader

MAX_GROUPS = 32
"""More groups than that (e.g. one per molecule) get no spectrum of their own."""

_READ_FRAMES = 65536
_SAME_CONSTANT, _SAME_MEAN = 1e-4, 0.05


def spectrum_of_streams(
    paths: Sequence[str | os.PathLike[str]],
    resolution: float = 20.0,
    *,
    temperature: float | None = None,
    volume: float | None = None,
    estimator: str | None = None,
    skip: float = 0.0,
) -> InfraredSpectrum:
    """Infrared spectrum of streams that are independent runs of one system.

    Parameters
    ----------
    paths : stream directories
    resolution : full width at half maximum of a line without width, cm⁻¹
    temperature : K; default: what the streams say
    volume : Å³; default: what the streams say
    estimator : estimator of Ṁ; default: the first one of the streams
    skip : time to leave out at the beginning of each stream, ps

    Raises
    ------
    InputError
        Temperature or volume are unknown or differ, as do time steps, strides, groups, system or
        model; times do not fit the time step; and what :func:`infrared_spectrum` raises.
    """
    if not paths:
        raise InputError("spectrum", "streams", "none", "one or more")
    if not (math.isfinite(skip) and skip >= 0):
        raise InputError("spectrum", "skip", skip, "a time in ps, 0 or more")
    readers = [StreamReader(path) for path in paths]
    _check_same_system(readers)
    first = [math.ceil(1e3 * skip / reader.spacing) for reader in readers]
    for reader in readers:
        _check_times(reader)
    groups = readers[0].header.groups
    labels = groups if 2 <= len(groups) <= MAX_GROUPS else ()
    rates = [
        _rates(r, start, estimator, bool(labels)) for r, start in zip(readers, first, strict=True)
    ]
    lengths = [len(rate) for rate in rates]
    spectrum = infrared_spectrum(
        rates,
        readers[0].spacing,
        _constant("temperature", temperature, readers, lengths, lambda reader: reader.temperature),
        _constant("volume", volume, readers, lengths, lambda reader: reader.volume),
        resolution,
        f_sum=_mean_f_sum(readers, lengths),
        group_labels=labels,
        names=[str(path) for path in paths],
    )
    return replace(spectrum, estimator=estimator or readers[0].header.estimators[0])


def _check_same_system(readers: Sequence[StreamReader]) -> None:
    first = readers[0]
    # temperatures and volumes are compared where they are used, for the caller may give them
    header = replace(first.header, temperature=None, volume=None)
    for reader in readers[1:]:
        header.check_same_run(reader.path, reader.header, f"in {first.path}")


def _check_times(reader: StreamReader) -> None:
    """The time axis of the spectrum rests on time step and stride; both must be true."""
    if reader.n_frames < 2:
        return
    steps, times = np.diff(reader.step), np.diff(reader.time)
    stride, spacing = reader.header.stride, reader.spacing
    if (steps != stride).any():
        frame = int(np.argmax(steps != stride))
        found = f"{steps[frame]} steps after frame {frame}"
        raise InputError(reader.path, "step", found, f"{stride}, the stride of the stream")
    wrong = np.abs(times - spacing) > 1e-3 * spacing
    if wrong.any():
        frame = int(np.argmax(wrong))
        found = f"{times[frame]:g} fs after frame {frame}"
        raise InputError(reader.path, "time", found, f"{spacing:g} fs, time step times stride")


def _rates(
    reader: StreamReader, start: int, estimator: str | None, keep_groups: bool
) -> FloatArray:
    """(frames, groups, 3), or (frames, 1, 3) without groups; never more groups in memory."""
    pieces = [
        piece if keep_groups else piece.sum(axis=1, keepdims=True)
        for piece in reader.blocks(_READ_FRAMES, estimator, start)
    ]
    n_groups = len(reader.header.groups) if keep_groups else 1
    return np.concatenate(pieces) if pieces else np.empty((0, n_groups, 3))


def _constant(
    field: str,
    given: float | None,
    readers: Sequence[StreamReader],
    lengths: Sequence[int],
    of: Callable[[StreamReader], float | None],
) -> float:
    """The value that the caller gave, else the mean of the streams', which must agree."""
    if given is not None:
        return given
    values = []
    for reader in readers:
        value = of(reader)
        if value is None:
            raise InputError(
                reader.path, field, "none in the stream", f"one, or a {field} given by hand"
            )
        values.append(value)
        both_set = getattr(reader.header, field) is not None
        tolerance = _SAME_CONSTANT if both_set else _SAME_MEAN
        if abs(value - values[0]) > tolerance * abs(values[0]):
            expected = f"{values[0]:.6g}, as in {readers[0].path}, or a {field} given by hand"
            raise InputError(reader.path, field, f"{value:.6g}", expected)
    return float(np.average(values, weights=np.maximum(lengths, 1)))


def _mean_f_sum(readers: Sequence[StreamReader], lengths: Sequence[int]) -> float | None:
    """⟨f_sum⟩ of all atoms, e²/amu: groups add up, for velocities of atoms are independent."""
    sums = [None if (f_sum := reader.f_sum) is None else f_sum.sum() for reader in readers]
    if any(value is None for value in sums):
        return None
    return float(np.average(np.array(sums, dtype=np.float64), weights=np.maximum(lengths, 1)))
