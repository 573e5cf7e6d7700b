"""Frames that hold increments of the dipole, where velocities are not known.

The increment from one frame to the next is the integral of the tensors along the way between them,
taken by the trapezoidal rule: half of both tensors times the displacement.
"""

from __future__ import annotations

from dataclasses import replace

from aptnn_md.arrays import FloatArray
from aptnn_md.stream.frame import FrameRates, Instant
from aptnn_md.targets import Tensors


def increment_arrays(rates: FrameRates, before: Instant, now: Instant) -> dict[str, FloatArray]:
    """Arrays of the frame at the end of an interval; see
    :attr:`aptnn_md.stream.header.StreamHeader.rate`.

    Parameters
    ----------
    rates : of the stream
    before, now : at both ends. The velocities of ``now`` are the displacements since ``before``
        over the time between; those of ``before`` do not count
    """
    halfway = replace(
        now,
        at_beads=_mean(before.at_beads, now.at_beads),
        at_centroid=_mean(before.at_centroid, now.at_centroid),
    )
    return rates.rates(halfway) | rates.strengths(now)


def _mean(first: Tensors | None, second: Tensors | None) -> Tensors | None:
    if first is None or second is None:
        return None
    return {name: 0.5 * (first[name] + values) for name, values in second.items()}
