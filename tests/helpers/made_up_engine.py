"""An engine in a few lines: atoms that vibrate harmonically, by the exact solution."""

from __future__ import annotations

import numpy as np

from aptnn_md.atoms.partition import parse_groups
from aptnn_md.atoms.snapshot import Snapshot
from aptnn_md.stream import StreamWriter
from aptnn_md.stream.frame import FrameRates, Instant
from helpers.oscillators import angular_frequency


def vibrate(
    path,
    atoms,
    tensors_of,
    steps,
    *,
    wavenumber=1600.0,
    spacing=0.5,
    groups="all",
    lag=0.0,
    skipped=0,
):
    """Stream the frames of ``steps``, a range.

    ``lag``: steps that the velocities are late. ``skipped``: steps of the trajectory that are left
    out before these, as by an engine that has lost count.
    """
    omega, rng = angular_frequency(wavenumber), np.random.default_rng(5)
    amplitudes = rng.normal(scale=0.05, size=(len(atoms), 3))
    phases = rng.uniform(0.0, 2.0 * np.pi, size=(len(atoms), 3))
    rates = FrameRates(parse_groups(groups, atoms), atoms.get_masses())
    header = rates.header(atoms, timestep=spacing, temperature=300.0)
    with StreamWriter(path, header, steps.start) as writer:
        for step in steps:
            here, moved = (step + skipped) * spacing, atoms.copy()
            moved.positions += amplitudes * np.cos(omega * here + phases)
            late = omega * (here - lag * spacing) + phases
            velocities = -omega * amplitudes * np.sin(late)
            instant = Instant(velocities, Snapshot.of(moved), tensors_of(moved))
            writer.append_frame(rates.frame(step, step * spacing, instant))
    return omega * amplitudes
