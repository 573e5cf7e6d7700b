"""Correlation of polarizability and dipole, ⟨ȧ_αβ(t) Ṁ_γ(0)⟩, for sum-frequency spectra.

The resonant susceptibility of vibrational sum-frequency generation follows by a one-sided Fourier
transform (A. Morita and J. T. Hynes, J. Phys. Chem. B 106, 673 (2002); by rates of change: T. Ohto,
K. Usui, T. Hasegawa, M. Bonn and Y. Nagata, J. Chem. Phys. 143, 124702 (2015)). It is a tensor of
rank three, so it vanishes in a liquid without a surface, and both surfaces of a slab cancel: use
groups on one side only.

Order of time: **at positive times the polarizability is the later one**. Both signs of t are given,
because between groups the function is neither even nor odd.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.errors import InputError
from aptnn_md.spectra.estimation.correlation import correlations
from aptnn_md.spectra.estimation.parts import MAX_PAIRED
from aptnn_md.spectra.estimation.runs import Run, pieces_of
from aptnn_md.spectra.estimation.terms import TOTAL, Pair, Term
from aptnn_md.spectra.options import RateOptions
from aptnn_md.spectra.raman.polarizability import COMPONENTS
from aptnn_md.spectra.sources.merging import merge_groups
from aptnn_md.spectra.sources.opening import opened_runs
from aptnn_md.spectra.sources.stream_run import StreamRun
from aptnn_md.targets import APT, PGT

_SIX, _THREE = len(COMPONENTS), 3
_ALL = _SIX + _THREE


@dataclass(frozen=True, eq=False)
class PolarizabilityDipole:
    """⟨ȧ_αβ(t) Ṁ_γ(0)⟩ and its standard error.

    Attributes
    ----------
    time : (n_lags,) fs, from -max to max
    values, standard_error : (n_lags, 6, 3) e Å⁴/fs²; αβ = xx, yy, zz, yz, xz, xy, γ = x, y, z
    """

    time: FloatArray
    values: FloatArray
    standard_error: FloatArray


def polarizability_dipole(
    rates: Sequence[Run],
    spacing: float,
    max_time: float,
    *,
    group_labels: Sequence[str] = (),
    unbiased: bool = True,
    names: Sequence[str] = (),
) -> dict[tuple[str, ...], PolarizabilityDipole]:
    """⟨ȧ(t) Ṁ(0)⟩ of independent runs of one system.

    Parameters
    ----------
    rates : (frames, n_groups, 9) for each run, or iterables of such pieces: six components of ȧ
        (xx, yy, zz, yz, xz, xy; Å³/fs), then three of Ṁ (e Å/fs); see :func:`joined`
    spacing : time between frames, fs
    max_time : longest time, fs
    group_labels : give the parts of the groups, too
    unbiased : see :func:`aptnn_md.spectra.estimation.correlation.correlations`
    names : of the runs, for messages

    Returns
    -------
    ``()`` -> the total; with labels also ``("A", "B")`` -> of ȧ of A at t with Ṁ of B at 0, for
    each ordered pair of groups, A = B included. All pairs together are the total. Standard errors
    come from blocks of the runs.

    Raises
    ------
    InputError
        Shapes do not belong together, a value is not finite, a run is too short for a time, or more
        groups than there can be pairs of.
    """
    n_groups = len(group_labels) or 1
    if n_groups > MAX_PAIRED:
        expected = f"at most {MAX_PAIRED}; merge them"
        raise InputError("correlation", "groups", n_groups, expected)
    whole = np.ones(n_groups)
    pairs: dict[tuple[str, ...], tuple[FloatArray, FloatArray]] = {TOTAL: (whole, whole)}
    unit = np.eye(n_groups)
    if group_labels:
        pairs |= {
            (first, second): (unit[a], unit[b])
            for a, first in enumerate(group_labels)
            for b, second in enumerate(group_labels)
        }
    terms: dict[tuple[tuple[str, ...], int, int], Term] = {}
    for pair, (of_a, of_m) in pairs.items():
        for k in range(_SIX):
            for c in range(_THREE):
                # the left one is at time 0
                left, right = _weights(of_m, _SIX + c), _weights(of_a, k)
                terms[pair, k, c] = Pair(left, right)
    signals = [_signals(run, len(group_labels)) for run in rates]
    found = correlations(signals, spacing, max_time, terms, unbiased=unbiased, names=names)
    result = {}
    for pair in pairs:
        grid = [[found[pair, k, c] for c in range(_THREE)] for k in range(_SIX)]
        values = np.array([[one.values for one in row] for row in grid])
        errors = np.array([[one.standard_error for one in row] for row in grid])
        result[pair] = PolarizabilityDipole(
            grid[0][0].time, np.moveaxis(values, -1, 0), np.moveaxis(errors, -1, 0)
        )
    return result


def polarizability_dipole_of_streams(
    paths: Sequence[str | os.PathLike[str]],
    max_time: float,
    *,
    estimator: str | None = None,
    skip: float = 0.0,
    merge: Sequence[str] = (),
    parts: bool = True,
    unbiased: bool = True,
) -> dict[tuple[str, ...], PolarizabilityDipole]:
    """⟨ȧ(t) Ṁ(0)⟩ of streams that are independent runs of one system.

    Parameters
    ----------
    paths : stream directories, with polarizability rates
    max_time : longest time, fs
    estimator, skip, merge, parts : what of the streams is used; see
        :class:`aptnn_md.spectra.options.RateOptions`
    unbiased : see :func:`aptnn_md.spectra.estimation.correlation.correlations`

    Raises
    ------
    InputError
        Streams without polarizability rates, or that do not belong together, and what
        :func:`polarizability_dipole` raises.
    """
    settings = RateOptions(estimator=estimator, skip=skip, merge=merge, parts=parts)
    runs = opened_runs(paths, settings.skip)
    header = runs[0].reader.header
    if header.rate == "difference":
        expected = "rates: the increments of both are means over a frame"
        raise InputError(runs[0].name, "rate", "differences", expected)
    merged = merge_groups(header.groups, settings.merge) if settings.merge else None
    labels = (merged.labels if merged else header.groups) if settings.parts else ()

    def pieces(run: StreamRun) -> Iterator[FloatArray]:
        arrays = [run.reader.array_name(target, estimator) for target in (PGT, APT)]
        for a, m in run.together(arrays):
            joint = joined(a, m)
            joint = merged(joint) if merged else joint
            yield joint if settings.parts else joint.sum(axis=1, keepdims=True)

    several = labels if len(labels) > 1 else ()
    names = [run.name for run in runs]
    signals = [pieces(run) for run in runs]
    spacing = runs[0].reader.spacing
    return polarizability_dipole(
        signals, spacing, max_time, group_labels=several, unbiased=unbiased, names=names
    )


def joined(polarizability_rate: AnyArray, dipole_rate: AnyArray) -> FloatArray:
    """(..., 6) ȧ followed by (..., 3) Ṁ, (..., 9)."""
    return np.concatenate([polarizability_rate, dipole_rate], axis=-1)


def _weights(groups: FloatArray, component: int) -> FloatArray:
    """(9 n_groups,) of one component of some groups."""
    weights = np.zeros((len(groups), _ALL))
    weights[:, component] = groups
    return weights.ravel()


def _signals(run: Run, n_labels: int) -> Iterator[FloatArray]:
    """(frames, 9 n_groups, 1): components become signals."""
    for piece in pieces_of(run):
        array = np.asarray(piece, dtype=np.float64)
        array = array[:, None, :] if array.ndim == 2 else array
        if array.ndim != 3 or array.shape[1:] != (n_labels or array.shape[1], _ALL):
            expected = f"(frames, {n_labels or 'groups'}, {_ALL})"
            raise InputError("correlation", "rates", f"shape {array.shape}", expected)
        if not n_labels:
            array = array.sum(axis=1, keepdims=True)
        yield array.reshape(len(array), -1, 1)
