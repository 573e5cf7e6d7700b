"""Bytes of a server that are not those of the protocol: random ones, and mutated conversations.

Whatever comes, the client ends in one of its own errors, soon, and closes the connection. By hand,
for longer: ``APTNN_MD_FUZZ_SECONDS=3600 pytest -m slow tests/engines/client/test_client_fuzz.py``.
"""

import logging
import os
import random
import socket
import struct
import threading
import time

import numpy as np
import pytest
from helpers import toy_molecules

from aptnn_md.atomic_units import CODATA
from aptnn_md.engines.client import client as client_module
from aptnn_md.engines.client import protocol
from aptnn_md.engines.client.answers import Answers
from aptnn_md.engines.client.client import Client
from aptnn_md.engines.client.evaluator import Evaluator
from aptnn_md.engines.client.increments import IncrementStream
from aptnn_md.engines.client.settings import ClientSettings, IncrementSettings
from aptnn_md.errors import InputError, RunError

PATIENCE = 3.0
"""s after which a server that does not close at once does so."""

ATOMS = toy_molecules.structure(2, pbc=True)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(protocol, "SILENCE", 0.1)
    monkeypatch.setattr(client_module, "_BETWEEN_TRIES", 0.01)


class OneConversation:
    """An address whose server says some bytes, reads what comes, and is gone afterwards."""

    def __init__(self, data, closes):
        self.data, self.closes, self.n_connections = data, closes, 0
        self.received, self.closed_in_order = b"", None

    def connect(self):
        self.n_connections += 1
        if self.n_connections > 1:
            raise ConnectionRefusedError(111, "Connection refused")
        mine, theirs = socket.socketpair()
        mine.settimeout(20)
        self.thread = threading.Thread(target=self.talk, args=(mine,), daemon=True)
        self.thread.start()
        return theirs

    def talk(self, sock):
        try:
            sock.sendall(self.data)
            sock.settimeout(0.0 if self.closes else PATIENCE)
            try:
                while piece := sock.recv(1 << 16):
                    self.received += piece
            except (BlockingIOError, TimeoutError):
                # nothing more to say: a client that is between two calculations may wait for ever
                sock.shutdown(socket.SHUT_WR)
            sock.settimeout(20)
            while piece := sock.recv(1 << 16):
                self.received += piece
            self.closed_in_order = True
        except OSError as error:
            self.closed_in_order = isinstance(error, BrokenPipeError | ConnectionResetError)
        finally:
            sock.close()

    def complaint(self, error):
        return f"no server ({error.strerror})"

    def __str__(self):
        return "fuzz"


def outcome(data, closes, stream=None):
    """What the client says to a conversation; None: it ended well."""
    evaluator = Evaluator(ATOMS, toy_molecules.Potential(), toy_molecules.Tensors())
    writes = None
    if stream is not None:
        writes = IncrementStream(IncrementSettings(stream, 0.5), ATOMS, evaluator)
    server = OneConversation(data, closes)
    client = Client(server, evaluator, Answers(), writes, ClientSettings(wait=0.0))
    said = []

    def run():
        try:
            client.run()
            said.append(None)
        except BaseException as error:  # whatever it is: the test says which are right
            said.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(15)
    assert not thread.is_alive(), f"the client hangs after {data[:200]!r}, {closes}"
    server.thread.join(15)
    assert server.closed_in_order, "the server was left without the end of the connection"
    return said[0], server


def positions(n_atoms=6, batch=1, cell=None, q=None):
    cell = (ATOMS.cell.array.T if cell is None else np.asarray(cell)) / CODATA.bohr
    q = (ATOMS.positions if q is None else q) / CODATA.bohr
    cells, count = (cell.tobytes() + np.eye(3).tobytes()) * batch, struct.pack("=i", n_atoms)
    order = (cells, count) if batch == 1 else (count, cells)
    return b"POSDATA     " + b"".join(order) + q.tobytes() * batch


def init(text=b" dt_fs : 0.5", replica=0, length=None):
    length = len(text) if length is None else length
    return b"INIT        " + struct.pack("=ii", replica, length) + text


WELL = (
    b"STATUS      "
    + init()
    + b"STATUS      "
    + positions()
    + b"GETFORCE    "
    + positions()
    + b"GETFORCE    "
)


def test_a_conversation_that_is_right(tmp_path):
    error, server = outcome(WELL + b"EXIT        ", closes=False, stream=tmp_path / "s")
    assert error is None
    assert server.received.count(b"FORCEREADY") == 2


BAD_CELL = np.diag([3.0, 3.0, 1e-9])
FAR = np.where(np.arange(18).reshape(6, 3) == 7, np.nan, ATOMS.positions)

# a signalling NaN, which multiplication warns of
SIGNALLING = positions()[:168] + struct.pack("=Q", 0x7FF0000000000001) + positions()[176:]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"HTTP/1.1 400", r"sends b'HTTP/1.1 400', which is not in the i-PI protocol"),
        (init() + positions(7), "atoms: found 7, expected 6 as in the template"),
        (init() + positions(2**31 - 1), "atoms: found 2147483647, expected 6"),
        (init() + positions(-1), "atoms: found -1, expected 6"),
        (init() + positions(q=FAR), r"positions: found \[.* nan .*\] at atom 2"),
        (init() + SIGNALLING, r"positions: found \[.* nan .*\] at atom 0"),
        (
            init() + positions(cell=np.full((3, 3), np.inf)),
            "sends an impossible structure: .*cell: found",
        ),
        (init() + positions(cell=BAD_CELL), r"impossible structure: .*images of an atom at least"),
        (init(length=-1), "a text of -1 bytes in INIT; 0 to 65536"),
        (init(length=2**31 - 1), "a text of 2147483647 bytes"),
        (init(replica=-4), "replica -4 in INIT, which is negative"),
        (init(b" batch_size : x"), "batch_size 'x' in INIT, which is no number from 1 to 4096"),
        (init(b" batch_size : -2"), "batch_size '-2'"),
        (init(b" batch_size : 99999999999999999999"), "batch_size '99999"),
        (b"GETFORCE    ", "asks for forces before it has sent positions"),
        (init()[:15], r"silent for \d s in the middle of INIT, and asked for"),
        (init() + positions()[:300], r"silent for \d s in the middle of POSDATA"),
    ],
)
def test_what_cannot_be_is_named_at_once(data, words):
    started = time.monotonic()
    error, _ = outcome(data, closes=False)
    assert isinstance(error, InputError | RunError), repr(error)
    with pytest.raises((InputError, RunError), match=words):
        raise error
    assert time.monotonic() - started < 5.0


@pytest.mark.parametrize("text", [b" dt_fs : nan", b" dt_fs : -1", b" dt_fs : inf", b" dt_fs : x"])
def test_time_steps_that_cannot_be(tmp_path, text):
    error, _ = outcome(init(text) + positions(), closes=False, stream=tmp_path / "s")
    assert isinstance(error, InputError)
    assert "dt_fs: found" in str(error)


@pytest.mark.parametrize(
    ("text", "received"),
    [(b"\0", True), (b" ", False), (b"Initializing", False), (b"hello", False), (b"\0\0", False)],
)
def test_only_ase_may_close_the_connection_and_only_between_calculations(text, received):
    whole = init(text) + positions() + b"GETFORCE    "
    error, _ = outcome(whole, closes=True)
    assert (error is None) == received, error
    for part in (len(whole) - 12, len(whole) - 5, len(whole) - 40):
        assert isinstance(outcome(whole[:part], closes=True)[0], RunError)


def mutated(rng):
    """A right conversation with bytes changed, left out, put in or repeated."""
    data = bytearray(WELL)
    for _ in range(rng.choice([1, 1, 1, 2, 5, 20])):
        place = rng.randrange(len(data) + 1)
        what = rng.randrange(6)
        if what == 0:
            data[place : place + 1] = bytes([rng.randrange(256)])
        elif what == 1:
            del data[place : place + rng.choice([1, 4, 8, 12, 100])]
        elif what == 2:
            data[place:place] = rng.randbytes(rng.choice([1, 4, 8, 12]))
        elif what == 3:
            headers = (b"STATUS", b"INIT", b"POSDATA", b"GETFORCE", b"EXIT", b"FORCEREADY")
            data[place:place] = rng.choice(headers).ljust(12)
        elif what == 4:
            number = rng.choice([2**31 - 1, -(2**31), -1, 0, 5, 7, 2**24])
            data[place : place + 4] = struct.pack("=i", number)
        else:
            number = rng.choice([np.nan, np.inf, -np.inf, 1e308, 1e-308, 1e12])
            data[place : place + 8] = struct.pack("=d", number)
    return bytes(data)


def attack(rng, seconds, directory):
    """Conversations for so long, with their number of each kind of end."""
    ends = {"ended": 0, "refused": 0}
    stop, n = time.monotonic() + seconds, 0
    while time.monotonic() < stop:
        n += 1
        data = rng.randbytes(rng.randrange(400)) if rng.random() < 0.1 else mutated(rng)
        stream = directory / f"s{n}" if rng.random() < 0.2 else None
        error, _ = outcome(data, rng.random() < 0.95, stream)
        # EXIT by chance, or what was changed does not matter before it
        if error is None:
            assert b"EXIT" in data, data
            ends["ended"] += 1
        else:
            if not isinstance(error, InputError | RunError):
                raise AssertionError(f"{error!r} after {data!r}") from error
            assert str(error)
            ends["refused"] += 1
    return ends


@pytest.mark.thorough
def test_mutated_conversations(tmp_path, caplog):
    # frames of such conversations may be far apart, which is said in the log
    caplog.set_level(logging.ERROR)
    ends = attack(random.Random(1), 4.0, tmp_path)
    print(ends)
    assert ends["refused"] > 20


@pytest.mark.slow
def test_mutated_conversations_for_long(tmp_path, caplog):
    caplog.set_level(logging.ERROR)
    seconds = float(os.environ.get("APTNN_MD_FUZZ_SECONDS", "60"))
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}: {attack(random.Random(seed), seconds, tmp_path)}")
