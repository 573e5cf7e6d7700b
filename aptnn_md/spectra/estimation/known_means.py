"""Densities of runs, regressed on quantities whose mean is known.

Of a molecule that moves at constant energy each run has the energy that its vibrations began with,
and bands are as strong as that. The kinetic temperature of each bond, angle and rotation is known
on average (:mod:`aptnn_md.atoms.coordinate_temperature`). With the deviations d_r of their means in
run r from what is known, and the density x_r there,

    x_r - B d_r,    B by least squares over the runs,

has the same expectation as x_r, but not what follows from d_r. Because B is linear in x, this is
the same as weights of the runs with which all known means come out right.

Source: regression on control variates, e.g. Glasserman, Monte Carlo Methods in Financial
Engineering (2003), section 4.1; with an error of order 1/n_runs, below the standard error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.spectra.estimation.power import PowerBlocks

_LEAST_FREE = 1e-3
"""Smallest value that 1 - leverage of a run may have: a run with less would determine a slope
alone, and its residual would be zero."""

_WINDOW = 150.0
"""Width of the windows of wavenumbers, cm⁻¹, in which residuals are compared."""

_LEAST_SHARE = 3e-3
"""Windows that hold less than this share of what the largest one holds are left out."""

_LEAST_GAIN = 1.5
"""A quantity is chosen if it lowers the logarithm of the mean square residual, averaged over the
windows, by this over the number of runs. The best of ten quantities that are independent of the
density seems to lower it by about as much."""

_TINY = 1e-300


def n_effective(shares: FloatArray) -> float:
    """Number of equal runs that scatter as much as runs with these shares (n_runs,) of the mean."""
    return float(shares.sum() ** 2 / max(np.sum(shares**2), _TINY))


def n_usable(shares: FloatArray) -> int:
    """Most quantities that runs with these shares of the mean are regressed on: of equal ones one
    from twelve runs on, five from 24 on; fewer where some of the runs are much longer than others.
    """
    return max(0, int(n_effective(shares) + 1e-6) // 3 - 3)


def select_quantities(blocks: PowerBlocks, deviations: FloatArray) -> list[int]:
    """Numbers of the quantities that are worth a regression, the best ones first.

    One after the other is taken as long as it makes the density of a run, in windows of
    wavenumbers, better predicted from the other runs (the residual of leaving one out): a quantity
    that is independent of the density would make errors larger.

    Parameters
    ----------
    blocks, deviations : as of :func:`with_known_means`
    """
    share, means = _of_runs(blocks)
    density = _in_windows(means, blocks.wavenumber)
    chosen: list[int] = []
    plain = _left_out(density, deviations[:, chosen])
    gained = 0.0
    while len(chosen) < min(n_usable(share), deviations.shape[1]):
        left = [k for k in range(deviations.shape[1]) if k not in chosen]
        gains = [
            -float(np.mean(np.log(_left_out(density, deviations[:, [*chosen, k]]) / plain)))
            for k in left
        ]
        best = int(np.argmax(gains))
        if gains[best] < gained + _LEAST_GAIN / len(means):
            break
        gained = gains[best]
        chosen.append(left[best])
    return chosen


def _of_runs(blocks: PowerBlocks) -> tuple[FloatArray, FloatArray]:
    """Share of each run (n_runs,), and its mean density (n_runs, n_wavenumbers)."""
    of_run = np.zeros((int(blocks.runs.max()) + 1, len(blocks.weights)))
    of_run[blocks.runs, np.arange(len(blocks.weights))] = blocks.weights
    share = of_run.sum(axis=1)
    return share, of_run @ blocks.values / share[:, None]


def _in_windows(density: FloatArray, wavenumber: FloatArray) -> FloatArray:
    """(n_runs, n_windows): what is in windows of wavenumbers, of those where something is."""
    size = max(1, round(_WINDOW / float(wavenumber[1] - wavenumber[0])))
    n_windows = max(1, density.shape[1] // size)
    cut = density[:, : n_windows * size]
    found = cut.reshape(len(density), n_windows, -1).sum(axis=2)
    mean = found.mean(axis=0)
    return np.asarray(found[:, mean > _LEAST_SHARE * mean.max()])


def _left_out(density: FloatArray, deviations: FloatArray) -> FloatArray:
    """Mean square residual of runs that were left out of the fit, (n_windows,)."""
    matrix = np.column_stack([np.ones(len(deviations)), deviations])
    hat = matrix @ np.linalg.pinv(matrix, rcond=1e-6)
    free = np.maximum(1.0 - np.diag(hat), _LEAST_FREE)
    return np.asarray((((density - hat @ density) / free[:, None]) ** 2).mean(axis=0) + _TINY)


Key = TypeVar("Key")


def regressed(curves: Mapping[Key, PowerBlocks], deviations: FloatArray) -> dict[Key, PowerBlocks]:
    """:func:`with_known_means` of each curve."""
    return {key: with_known_means(blocks, deviations) for key, blocks in curves.items()}


def with_known_means(blocks: PowerBlocks, deviations: FloatArray) -> PowerBlocks:
    """The same density without what follows from the deviations of known means.

    The scatter of what is left is made larger by what the fit took out of it (of each run after its
    leverage), and by what the unequal weights of the runs cost.

    Parameters
    ----------
    blocks : of several runs
    deviations : (n_runs, n_quantities), of each run's mean from the known one; no more than
        :func:`n_usable` quantities
    """
    share, means = _of_runs(blocks)
    root = np.sqrt(share)[:, None]
    centred = root * (deviations - share @ deviations)
    inverse = np.linalg.pinv(centred, rcond=1e-6)  # least squares
    slopes = inverse @ (root * (means - share @ means))
    left = blocks.values - deviations[blocks.runs] @ slopes
    mean = blocks.weights @ left
    # weights of the runs: share_r (1 + change_r)
    change = -(inverse.T @ (share @ deviations)) / root[:, 0]
    unequal = np.sum((share * (1.0 + change)) ** 2) / np.sum(share**2)
    # what the fit took out of each run: the longer, and the more unusual, the more
    leverage = np.einsum("rk,kr->r", centred, inverse)
    free = np.maximum(1.0 - share - leverage, _LEAST_FREE)
    larger = (np.sqrt(unequal) * (1.0 - share) / free)[blocks.runs, None]
    scatter = larger * (left - mean)
    return replace(blocks, values=mean + scatter - blocks.weights @ scatter)
