"""The client against i-PI: protocol, and increments against the dipole itself."""

import numpy as np
import pytest
import toy_molecules

pytest.importorskip("ipi")

from ipi_client_tools import Server, toy_client
from ipi_inputs import PILE, Checkpoint

from aptnn_md.stream import StreamReader

pytestmark = pytest.mark.ipi
STEPS = 40


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
    error = np.abs(changes - (exact[1 : n + 1] - exact[0])).max()
    assert error < tolerance * np.ptp(exact, axis=0).max()
    return stream


CASES = {
    "classical, unix": {},
    "TRPMD": {"n_beads": 4, "mode": "nvt", "thermostat": PILE},
    "TRPMD, inet": {"n_beads": 3, "socket_mode": "inet"},
    "RPMD, batched": {"n_beads": 4, "batch_size": 4},
    "RPMD, batches that do not divide the beads": {"n_beads": 4, "batch_size": 3},
    "several connections": {"n_beads": 4, "connections": 3},
    "several connections, batched, inet": {
        "n_beads": 6,
        "batch_size": 2,
        "connections": 4,
        "socket_mode": "inet",
    },
    "several messages": {
        "n_beads": 3,
        "connections": 2,
        "socket_options": "<consolidate_messages>False</consolidate_messages>",
    },
}


@pytest.mark.parametrize("name", CASES)
def test_sum_of_increments_is_the_change_of_the_dipole(name, tmp_path):
    case = dict(CASES[name])
    n_beads, connections = case.get("n_beads", 1), case.pop("connections", 1)
    with Server(tmp_path, steps=STEPS, **case) as server:
        client = toy_client(
            server.address, tmp_path / "s.zarr", n_beads=n_beads, n_connections=connections
        )
        summary = client.run()
        server.wait()
    exact = dipoles(tmp_path)
    assert len(exact) == STEPS + 1
    stream = check_increments(tmp_path / "s.zarr", exact)
    assert stream.n_frames == STEPS
    assert stream.header.n_beads == n_beads
    assert stream.header.groups == ("H", "O", "Cl")
    assert summary.n_structures >= n_beads * STEPS
    if connections > 1 or case.get("batch_size", 1) > 1:
        assert summary.n_calls < 0.8 * summary.n_structures
