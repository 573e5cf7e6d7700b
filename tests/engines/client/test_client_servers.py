"""The client against servers other than i-PI, and what it says where there is none."""

import json
import logging
import os
import socket
import struct
import threading

import numpy as np
import pytest
from ase import units
from ase.calculators.calculator import Calculator
from ase.calculators.socketio import SocketIOCalculator
from ase.md.verlet import VelocityVerlet
from helpers import toy_molecules
from helpers.socket_server import Talk

from aptnn_md.atomic_units import CODATA
from aptnn_md.engines.client.answers import Answers, check_finite
from aptnn_md.engines.client.client import Address, Client
from aptnn_md.engines.client.evaluator import Evaluator, Results
from aptnn_md.engines.client.increments import IncrementStream
from aptnn_md.engines.client.settings import ClientSettings, IncrementSettings
from aptnn_md.errors import InputError, RunError
from aptnn_md.stream import StreamReader


def toy_client(address, stream=None, atoms=None, extras="none", **options):
    atoms = toy_molecules.structure(2, pbc=True) if atoms is None else atoms
    evaluator = Evaluator(atoms, toy_molecules.Potential(), toy_molecules.Tensors())
    writes = None
    if stream is not None:
        settings = IncrementSettings(stream, 0.5, groups="molecule")
        writes = IncrementStream(settings, atoms, evaluator, model="toy")
    options.setdefault("wait", 10.0)
    return Client(address, evaluator, Answers(extras), writes, ClientSettings(**options))


def in_thread(client):
    """Run a client beside the test; what it raises is found in ``errors``."""
    errors = []

    def run():
        try:
            client.run()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.errors = errors
    thread.start()
    return thread


@pytest.mark.parametrize("server", ["auto", "ase"])
def test_ase_as_the_server(tmp_path, server):
    atoms = toy_molecules.structure(2, pbc=True, seed=4)
    reference = atoms.copy()
    reference.calc = toy_molecules.Potential()
    name = f"aptnn_{os.getpid()}_{server}"
    dipoles = []
    with SocketIOCalculator(unixsocket=name) as calculator:
        client = toy_client(Address.parse(name, unix=True), tmp_path / "s", server=server)
        thread = in_thread(client)
        atoms.calc = calculator
        dynamics = VelocityVerlet(atoms, 0.5 * units.fs)
        dynamics.attach(lambda: dipoles.append(toy_molecules.dipole(atoms.positions)))
        dynamics.run(30)
        np.testing.assert_allclose(atoms.get_stress(), _at(reference, atoms).get_stress(), 1e-9)
        np.testing.assert_allclose(atoms.get_forces(), reference.get_forces(), atol=1e-9)
    thread.join(10)
    assert not thread.errors
    stream = StreamReader(tmp_path / "s")
    assert stream.n_frames == 30
    assert stream.header.groups == ("HClO-1", "HClO-2")
    changes = 0.5 * np.cumsum(stream.dipole_rate().sum(axis=1), axis=0)
    error = changes - (np.array(dipoles[1:]) - dipoles[0])
    assert np.abs(error).max() < 1e-3 * np.ptp(dipoles, axis=0).max()


def _at(reference, atoms):
    reference.positions = atoms.positions
    return reference


def test_extras_arrive_in_ase(tmp_path):
    atoms = toy_molecules.structure(2, pbc=True)
    name = f"aptnn_{os.getpid()}_x"
    with SocketIOCalculator(unixsocket=name) as calculator:
        thread = in_thread(toy_client(Address.parse(name, unix=True), extras="bec"))
        atoms.calc = calculator
        atoms.get_forces()
        extras = json.loads(calculator.results["morebytes"].tobytes().decode())
    thread.join(10)
    apt = toy_molecules.polar_tensors(atoms.positions)
    np.testing.assert_allclose(extras["BEC"], apt.transpose(0, 2, 1).reshape(-1, 3), atol=1e-9)


@pytest.mark.parametrize("with_init", [True, False], ids=["with INIT", "without"])
def test_as_cp2k_talks(tmp_path, with_init):
    """The order of ``src/ipi_server.F`` of CP2K, which stops at any other answer."""
    talk = Talk()
    server = "auto" if with_init else "cp2k"
    thread = in_thread(toy_client(talk.address, tmp_path / "s", server=server))
    talk.accept()
    if with_init:
        assert talk.status() == "NEEDINIT"
        talk.say("INIT", struct.pack("ii", 1, 12), b"Initializing")
    atoms = toy_molecules.structure(2, pbc=True)
    exact = [toy_molecules.dipole(atoms.positions)]
    for n in range(5):
        assert talk.status() == "READY"
        talk.say("POSDATA", talk.positions(atoms))
        assert talk.status() == "HAVEDATA"
        talk.say("GETFORCE")
        energy, forces, extra = talk.forces(6)
        expected = toy_molecules.energy_forces_virial(atoms.positions)
        assert energy * CODATA.hartree == pytest.approx(expected[0], abs=1e-9)
        np.testing.assert_allclose(forces * CODATA.force, expected[1], atol=1e-9)
        assert extra == b""
        atoms.positions += 0.01 * np.random.default_rng(n).normal(size=(6, 3))
        exact.append(toy_molecules.dipole(atoms.positions))
    talk.say("EXIT")
    thread.join(10)
    assert not thread.errors
    stream = StreamReader(tmp_path / "s")
    change = 0.5 * stream.dipole_rate().sum(axis=(0, 1))
    np.testing.assert_allclose(change, exact[4] - exact[0], atol=1e-3)
    talk.close()


def test_messages_in_the_smallest_pieces():
    talk, atoms = Talk(), toy_molecules.structure(2, pbc=True)
    thread = in_thread(toy_client(talk.address))
    talk.accept()
    talk.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    text = b"INIT        " + struct.pack("ii", 3, 20) + b" k : v, batch_size:2"
    cells = 2 * (atoms.cell.array.T.tobytes() + np.eye(3).tobytes())
    q = (atoms.positions / CODATA.bohr).tobytes()
    batch = b"POSDATA     " + struct.pack("i", 6) + cells + q + q
    for byte in text + batch + b"GETFORCE    ":
        talk.sock.sendall(bytes([byte]))
    assert talk.hear(12) == b"FORCEREADY  "
    energies, n = struct.unpack("=2d", talk.hear(16)), struct.unpack("i", talk.hear(4))[0]
    assert (energies[0], n) == (energies[1], 6)
    assert len(talk.hear(2 * (24 * 6 + 72 + 4))) == 440
    talk.say("EXIT")
    thread.join(10)
    assert not thread.errors
    talk.close()


def test_a_client_that_fails_reads_what_is_sent_and_says_why():
    talk, atoms = Talk(), toy_molecules.structure(3, pbc=True)
    thread = in_thread(toy_client(talk.address))
    talk.accept()
    assert talk.status() == "NEEDINIT"
    talk.say("INIT", struct.pack("ii", 0, 1), b" ")
    # more than fits into the buffers of a socket comes after it, as of i-PI
    talk.say("POSDATA", talk.positions(atoms), b"GETFORCE    ")
    thread.join(10)
    assert isinstance(thread.errors[0], InputError)
    assert "atoms: found 9, expected 6 as in the template" in str(thread.errors[0])
    # the end of the connection, not a reset, at which i-PI would hang
    assert talk.sock.recv(12) == b""
    talk.close()


def test_what_is_no_server():
    for message, words in ((b"HTTP/1.1 200", "HTTP/1.1 200.*not in the i-PI protocol"),):
        talk = Talk()
        thread = in_thread(toy_client(talk.address))
        talk.accept()
        talk.sock.sendall(message)
        thread.join(10)
        assert isinstance(thread.errors[0], RunError)
        with pytest.raises(RunError, match=words):
            raise thread.errors[0]
        talk.close()


def test_beads_of_a_server_that_does_not_name_them(tmp_path):
    talk, atoms = Talk(), toy_molecules.structure(2, pbc=True)
    evaluator = Evaluator(atoms, None, toy_molecules.Tensors())
    settings = IncrementSettings(tmp_path / "s", 0.5, n_beads=4)
    stream = IncrementStream(settings, atoms, evaluator)
    thread = in_thread(
        Client(talk.address, evaluator, Answers(), stream, ClientSettings(server="ase"))
    )
    talk.accept()
    assert talk.status() == "NEEDINIT"
    talk.say("INIT", struct.pack("ii", 0, 1), b"\0")
    talk.say("POSDATA", talk.positions(atoms))
    thread.join(10)
    assert "beads: found 4, expected 1, as ase does not name them" in str(thread.errors[0])
    talk.close()


def test_no_server(tmp_path, caplog):
    client = toy_client(Address(path=str(tmp_path / "none")), wait=0.2)
    with (
        caplog.at_level(logging.INFO, "aptnn_md"),
        pytest.raises(RunError, match=r"no server at .*none \(No such file or directory\)$"),
    ):
        client.run()
    assert "waiting" in caplog.text
    # what a killed server leaves
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "old"))
    with pytest.raises(RunError, match="socket file was left by a server that was killed: remove"):
        toy_client(Address(path=str(tmp_path / "old")), wait=0.0).run()
    with pytest.raises(InputError, match=r"host: found no server at no\.such\.host\.invalid:4000"):
        toy_client(Address("no.such.host.invalid", 4000), wait=0.0).run()


def test_a_server_that_comes_back(tmp_path):
    """The connection is lost in the middle; the stream goes on with the next one."""
    talk, atoms = Talk(), toy_molecules.structure(2, pbc=True)
    thread = in_thread(toy_client(talk.address, tmp_path / "s"))
    steps = [atoms.positions + 0.01 * n for n in range(8)]
    for part in (range(5), range(3, 8)):
        talk.accept()
        assert talk.status() == "NEEDINIT"
        talk.say("INIT", struct.pack("ii", 0, 1), b" ")
        for n in part:
            atoms.positions = steps[n]
            talk.say("POSDATA", talk.positions(atoms), b"GETFORCE    ")
            talk.forces(6)
        if part[-1] == 7:
            talk.say("EXIT")
        talk.sock.close()
    thread.join(10)
    assert not thread.errors
    assert StreamReader(tmp_path / "s").step.tolist() == list(range(1, 8))
    talk.listener.close()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"text": "water", "unix": True}, Address(path="/tmp/ipi_water")),
        ({"text": "water", "unix": True, "prefix": "/x/"}, Address(path="/x/water")),
        ({"text": "/run/water", "unix": True}, Address(path="/run/water")),
        ({"text": "node7:31415"}, Address("node7", 31415)),
        ({"text": "node7", "port": 31415}, Address("node7", 31415)),
    ],
)
def test_addresses(arguments, expected):
    assert Address.parse(**arguments) == expected


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"text": "node7"}, "port: found none, expected HOST:PORT, --port, or --unix"),
        ({"text": "node7:x"}, "port: found x"),
        ({"text": "node7:70000"}, "port: found 70000"),
        ({"text": "node7:1", "port": 2}, "port: found 1 and 2, expected one of them"),
    ],
)
def test_bad_addresses(arguments, words):
    with pytest.raises(InputError, match=words):
        Address.parse(**arguments)


def test_bad_options():
    with pytest.raises(InputError, match="server: found 'vasp', expected one of auto, ipi, ase, c"):
        toy_client(Address(path="x"), server="vasp")
    with pytest.raises(InputError, match="connections: found 0"):
        toy_client(Address(path="x"), connections=0)


class Springs(Calculator):
    """Atoms on springs to where they began, without a stress."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        forces = 0.1 - self.atoms.positions
        self.results = {"energy": 0.5 * float((forces**2).sum()), "forces": forces}


def sent(potential, structures, tmp_path=None, **options):
    """What a client says to structures that a server sends one after the other."""
    talk, atoms = Talk(), toy_molecules.structure(2, pbc=True)
    evaluator = Evaluator(atoms, potential, toy_molecules.Tensors(), **options)
    stream = None
    if tmp_path is not None:
        stream = IncrementStream(IncrementSettings(tmp_path / "s", 0.5), atoms, evaluator)
    client = Client(talk.address, evaluator, Answers(), stream, ClientSettings(wait=0.0))
    thread = in_thread(client)
    talk.accept()
    talk.say("INIT", struct.pack("ii", 0, 1), b" ")
    try:
        for structure in structures:
            talk.say("POSDATA", talk.positions(structure))
            assert talk.status() == "HAVEDATA"
            talk.say("GETFORCE")
            talk.forces(6)
        talk.say("EXIT")
    except (AssertionError, OSError):  # the client has closed the connection
        pass
    finally:
        talk.close()
    thread.join(10)
    assert not thread.is_alive()
    return thread.errors


def test_constant_pressure_without_a_stress_is_refused(caplog):
    atoms = toy_molecules.structure(2, pbc=True)
    larger = atoms.copy()
    larger.set_cell(atoms.cell * 1.001, scale_atoms=True)
    with caplog.at_level(logging.WARNING, "aptnn_md"):
        assert not sent(Springs(), [atoms, atoms])
    assert len(caplog.records) == 1
    assert "no stress here, so the virial that is sent is zero" in caplog.text
    (error,) = sent(Springs(), [atoms, larger])
    assert isinstance(error, RunError)
    assert "changes the cell, but the potential gives no stress" in str(error)
    assert "--no-stress" in str(error)
    assert not sent(Springs(), [atoms, larger], no_stress=True)
    # with a stress it is nobody's concern, and without a potential there is no virial to miss
    assert not sent(toy_molecules.Potential(), [atoms, larger])
    assert not sent(None, [atoms, larger])


class Exploding(Springs):
    """Springs that give a number which is not finite from the fourth structure on."""

    def calculate(self, *arguments, **keywords):
        super().calculate(*arguments, **keywords)
        self.n_calls = getattr(self, "n_calls", 0) + 1
        if self.n_calls > 3:
            self.results["forces"][4, 1] = self.value_then


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_not_sent_and_the_stream_is_whole(tmp_path, value):
    potential = Exploding()
    potential.value_then = value
    atoms = toy_molecules.structure(2, pbc=True)
    moved = [atoms.copy() for _ in range(6)]
    for n, each in enumerate(moved):
        each.positions += 0.01 * n
    (error,) = sent(potential, moved, tmp_path)
    assert isinstance(error, RunError)
    assert "forces of H2Cl2O2: not finite, first that on atom 4 (H)" in str(error)
    assert StreamReader(tmp_path / "s").n_frames == 2


def test_tensors_that_are_not_finite_are_named():
    results = Results.zeros(2, 3, {"apt": 2})
    check_finite(results)
    results.tensors["apt"][1, 1, 2, 0, 0] = np.inf
    with pytest.raises(
        RunError, match=r"model gives apt of atom 2 by member 2 = inf \(structure 2 of"
    ):
        check_finite(results)
    results = Results.zeros(1, 3)
    results.energy[0] = np.nan
    with pytest.raises(RunError, match=r"the potential gives energy = nan, which is not finite"):
        check_finite(results)


def test_a_server_that_accepts_and_asks_for_nothing_is_not_waited_for_for_ever():
    talk = Talk()

    def accept_and_close():
        try:
            while True:
                talk.listener.accept()[0].close()
        except OSError:
            pass

    server = threading.Thread(target=accept_and_close, daemon=True)
    server.start()
    client = toy_client(talk.address, wait=1.0)
    with pytest.raises(RunError, match="closed the connection without EXIT, and asked for nothing"):
        client.run()
    talk.listener.close()
