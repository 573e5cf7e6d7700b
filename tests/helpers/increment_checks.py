"""Streams of increments against the analytic dipole along a run of i-PI."""

import numpy as np

from aptnn_md.stream import StreamReader
from helpers import toy_molecules
from helpers.ipi_inputs import Checkpoint


def checkpoints(directory):
    """Of each step, in order of the steps."""
    found = [Checkpoint(path) for path in directory.glob("run.state_*")]
    return sorted(found, key=lambda checkpoint: checkpoint.step)


def dipoles(directory):
    """Mean dipole of the beads at each step, e Å, by the analytic function."""
    steps = checkpoints(directory)
    assert [c.step for c in steps] == list(range(len(steps)))
    return np.array([np.mean([toy_molecules.dipole(q) for q in c.positions], 0) for c in steps])


def check_increments(path, exact, timestep=0.25, tolerance=1e-3):
    """Σ ΔM against M, at every step, relative to the range of M."""
    stream = StreamReader(path)
    n = stream.n_frames
    assert stream.header.rate == "difference"
    np.testing.assert_array_equal(stream.step, 1 + np.arange(n))
    np.testing.assert_allclose(stream.time, timestep * stream.step)
    changes = timestep * np.cumsum(stream.dipole_rate().sum(axis=1), axis=0)
    differences = np.abs(changes - (exact[1 : n + 1] - exact[0])).max(axis=1)
    error = differences.max()
    assert error < tolerance * np.ptp(exact, axis=0).max(), differences
    return stream
