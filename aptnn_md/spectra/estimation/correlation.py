"""Time correlation functions ⟨x(0)·y(t)⟩ of signals of any length, with standard errors.

They are linear (padded with zeros, never circular) and come by FFT in blocks, from the sums over
lags of which spectra are made, too (:mod:`aptnn_md.spectra.estimation.accumulate`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.spectra.estimation.accumulate import LagAccumulator, LagSums
from aptnn_md.spectra.estimation.block_errors import level_standard_error
from aptnn_md.spectra.estimation.plan import plan_correlation
from aptnn_md.spectra.estimation.runs import Run, feed_runs
from aptnn_md.spectra.estimation.terms import Key, Pair, Term
from aptnn_md.spectra.options import check_positive


@dataclass(frozen=True, eq=False)
class Correlation:
    """A correlation function.

    Attributes
    ----------
    time : (n,) fs; from 0 on, for a pair of signals from -max to max
    values, standard_error : (n,) ⟨x(0)·y(t)⟩
    """

    time: FloatArray
    values: FloatArray
    standard_error: FloatArray


def correlations(
    runs: Sequence[Run],
    spacing: float,
    max_time: float,
    terms: Mapping[Key, Term],
    *,
    unbiased: bool = True,
    names: Sequence[str] = (),
) -> dict[Key, Correlation]:
    """Correlation functions of independent runs of one system.

    Parameters
    ----------
    runs : signals (frames, n_signals, n_components), or iterables of pieces of them
    spacing : time between frames, fs
    max_time : longest time, fs
    terms : key -> what is asked for; components are summed
    unbiased : divide the sum at a time by the number of its terms, not by that of frames, which
        makes it too small by the factor 1 - t/length
    names : of the runs, for messages; default ``"run 1"`` and so on

    Raises
    ------
    InputError
        Shapes do not belong together, a value is not finite, or a run is too short for a time.
    """
    check_positive("spacing", spacing)
    check_positive("longest time", max_time)
    length = round(max_time / spacing)
    if length < 1:
        expected = f"at least {spacing:g} fs, the spacing of frames"
        raise InputError("correlation", "longest time", f"{max_time:g} fs", expected)
    plan = plan_correlation(length, spacing)
    accumulator = feed_runs(runs, plan, terms, names)
    for name, n_frames in accumulator.run_frames.items():
        if n_frames < plan.needed:
            expected = f"at least {plan.needed} for correlations up to {max_time:g} fs"
            raise InputError(name, "frames", n_frames, expected)
    sums = accumulator.result()
    weights = sums.segments / sums.run_frames.sum()
    return {name: _correlation(accumulator, sums, weights, name, unbiased) for name in terms}


def _correlation(
    accumulator: LagAccumulator[Key],
    sums: LagSums,
    weights: FloatArray,
    name: Key,
    unbiased: bool,
) -> Correlation:
    plan, rows = accumulator.plan, accumulator.rows.of_term[name]
    lags = np.arange(plan.n_lags)
    terms = (sums.run_frames[:, None] - lags * unbiased).sum(axis=0)
    blocks = sums.sums * (sums.run_frames.sum() / terms) / sums.segments[:, None, None]
    if isinstance(accumulator.terms[name], Pair):
        # (left, right) at positive lags, (right, left) at those is (left, right) at negative ones
        lags = np.arange(-plan.length, plan.n_lags)
        values = np.concatenate([blocks[:, rows[1], :0:-1], blocks[:, rows[0]]], axis=1)
    else:
        values = blocks[:, rows[0]]
    return Correlation(
        np.asarray(plan.spacing * lags, dtype=np.float64),
        np.asarray(weights @ values, dtype=np.float64),
        level_standard_error(values, weights, sums.runs),
    )
