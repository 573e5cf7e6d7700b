"""Errors of a committee's intensities, from the differences between its networks."""

from __future__ import annotations

import numpy as np

from aptnn_md.arrays import FloatArray


def widened(members: FloatArray, factor: float) -> FloatArray:
    """Tensors whose deviations from their mean are those of ``members`` times ``factor``.

    Parameters
    ----------
    members : (n_members, ...), tensors by the networks of a committee
    factor : error over spread on frames that the networks had not seen
        (:mod:`aptnn_md.training.calibration`)
    """
    mean = members.mean(axis=0)
    return np.asarray(mean + factor * (members - mean))


def error_of_mean(of_mean: FloatArray, of_members: FloatArray) -> FloatArray:
    """Standard error (...) of a quantity of the mean tensors, from that of each member.

    The deviations are taken from the quantity of the mean, so that an intensity that is almost 0
    with the mean gets an error too.

    Parameters
    ----------
    of_mean : (...), e.g. intensities with the mean tensors
    of_members : (n_members, ...), the same with the tensors of each member, two at least
    """
    squares = ((of_members - of_mean) ** 2).sum(axis=0) / (len(of_members) - 1)
    return np.asarray(np.sqrt(squares))
