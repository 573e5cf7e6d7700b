"""A rate of arrays at hand by an estimator, for tests."""

from __future__ import annotations

import numpy as np

from aptnn_md.atoms.groups import Groups
from aptnn_md.stream.frame import Instant
from aptnn_md.stream.frame import estimate as estimate_members
from aptnn_md.targets import APT, PGT


def estimate(estimator, at_beads, velocities, at_centroid=None, groups=None, snapshot=None):
    """Rate (n_groups, n_components) of APTs or PGTs (n_beads, n_atoms, ...) of one model."""
    given = at_centroid if at_beads is None else at_beads
    target = APT
    if given is not None and given.ndim - (given is at_beads) == 4:
        target = PGT
    beads, centroid = (
        None if t is None else {target.name: t[None]} for t in (at_beads, at_centroid)
    )
    everything = Groups(("all",), np.zeros(velocities.shape[-2], dtype=np.int64))
    instant = Instant(velocities, snapshot, beads, centroid)
    return estimate_members(estimator, target, instant, groups or everything)[0]
