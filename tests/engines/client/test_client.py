"""The client against i-PI: protocol, and increments against the dipole itself."""

import threading

import numpy as np
import pytest
from helpers import toy_molecules
from helpers.paths import DRIVERS
from helpers.tiers import thorough_but

pytest.importorskip("ipi")

from helpers.increment_checks import check_increments, checkpoints, dipoles
from helpers.ipi_client_tools import Server, toy_client
from helpers.ipi_inputs import BAROSTAT, PILE, SVR

from aptnn_md.errors import InputError, RunError
from aptnn_md.stream import StreamReader

pytestmark = pytest.mark.ipi
STEPS = 40
STREAM = DRIVERS / "aptnn_md_stream.py"


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


@pytest.mark.parametrize("name", thorough_but(CASES, "TRPMD"))
def test_sum_of_increments_is_the_change_of_the_dipole(name, tmp_path):
    case = dict(CASES[name])
    n_beads, connections = case.get("n_beads", 1), case.pop("connections", 1)
    with Server(tmp_path, steps=STEPS, **case) as server:
        client = toy_client(
            server.address, tmp_path / "s.zarr", n_beads=n_beads, connections=connections
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


@pytest.mark.thorough
def test_two_clients_for_the_beads_of_one_ring_polymer_are_refused(tmp_path):
    with Server(tmp_path, steps=STEPS, n_beads=4) as server:
        other = threading.Thread(target=toy_client(server.address).run)
        other.start()
        # evaluations that take time, so that both have something to do
        with pytest.raises(RunError, match="another client takes part of them"):
            toy_client(server.address, tmp_path / "s.zarr", n_beads=4, pause=0.01).run()
        # it went without leaving i-PI hanging
        server.wait()
        other.join()


@pytest.mark.thorough
def test_i_pi_outlives_a_client_that_fails(tmp_path):
    class Failing(toy_molecules.Tensors):
        def __call__(self, atoms):
            if self.n_calls == 20:
                raise RunError("this network has had enough")
            return super().__call__(atoms)

    with Server(tmp_path, steps=STEPS) as server:
        with pytest.raises(RunError, match="had enough"):
            toy_client(server.address, tmp_path / "s.zarr", model=Failing()).run()
        toy_client(server.address, tmp_path / "s.zarr").run()
        server.wait()
    stream = check_increments(tmp_path / "s.zarr", dipoles(tmp_path))
    assert stream.n_frames == STEPS


@pytest.mark.thorough
def test_what_increments_cannot_do_is_refused(tmp_path):
    constant_pressure = {"mode": "npt", "thermostat": SVR, "barostat": BAROSTAT}
    some_atoms = {"socket_options": "<activelist>[0, 1, 2]</activelist>"}
    for name, options, words in (
        ("pressure", constant_pressure, "the cell changed.*aptnn-md ipi streams such runs"),
        ("part", some_atoms, r"atoms: found 3, expected 6.*<activelist>"),
        ("beads", {"n_beads": 2}, r"more replicas than 1 .*\(--beads\)"),
    ):
        with (
            Server(tmp_path / name, steps=5, **options) as server,
            pytest.raises((RunError, InputError), match=words),
        ):
            toy_client(server.address, tmp_path / name / "s.zarr").run()


def test_the_time_step_comes_from_i_pi(tmp_path):
    parameters = "<parameters>{dt_fs: 0.25}</parameters>"
    with Server(tmp_path, steps=3, socket_options=parameters) as server:
        toy_client(server.address, tmp_path / "s.zarr", timestep=None).run()
    assert StreamReader(tmp_path / "s.zarr").header.timestep == 0.25


@pytest.mark.thorough
def test_tensors_of_a_client_make_the_stream_inside_i_pi(tmp_path):
    n_beads = 4
    with Server(
        tmp_path,
        steps=12,
        n_beads=n_beads,
        batch_size=n_beads,
        toy_force="<force forcefield='toy'/><force forcefield='client' weight='0.0'/>",
        forces="<force forcefield='stream' weight='0.0'/>",
        more_forcefields=f"<ffdirect name='stream'><pes>custom</pes><pes_path>{STREAM}</pes_path>"
        "<parameters>{stream: s.zarr, stride: 3, tensors: client, groups: element}</parameters>"
        "</ffdirect>",
    ) as server:
        summary = toy_client(server.address, extras="tensors", potential=False).run()
        server.wait()
    # only at the steps of the stream
    assert summary.n_calls == 5
    stream = StreamReader(tmp_path / "s.zarr")
    assert stream.step.tolist() == [0, 3, 6, 9, 12]
    assert stream.header.model == "toy"
    for frame, step in enumerate(stream.step):
        state = checkpoints(tmp_path)[step]
        apt = np.array([toy_molecules.polar_tensors(q) for q in state.positions])
        exact = np.einsum("knab,knb->na", apt, state.velocities()) / n_beads
        found = stream.dipole_rate()[frame]
        for group, element in enumerate(stream.header.groups):
            chosen = [n for n in range(6) if ("O", "H", "Cl")[n % 3] == element]
            np.testing.assert_allclose(found[group], exact[chosen].sum(axis=0), atol=1e-10)
