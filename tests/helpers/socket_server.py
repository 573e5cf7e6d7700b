"""A server of the i-PI protocol that a test conducts message by message."""

import socket
import struct

import numpy as np

from aptnn_md.atomic_units import CODATA
from aptnn_md.engines.client.client import Address


class Talk:
    """A server that sends what it is told to and reads exactly what it expects."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("localhost", 0))
        self.listener.listen(5)
        self.address = Address("localhost", self.listener.getsockname()[1])

    def accept(self):
        self.sock = self.listener.accept()[0]
        self.sock.settimeout(10)

    def say(self, text, *data):
        self.sock.sendall(text.ljust(12).encode() + b"".join(data))

    def hear(self, n):
        data = b""
        while len(data) < n:
            piece = self.sock.recv(n - len(data))
            assert piece
            data += piece
        return data

    def status(self):
        self.say("STATUS")
        return self.hear(12).decode().strip()

    def positions(self, atoms):
        cell = atoms.cell.array.T / CODATA.bohr
        q = atoms.positions / CODATA.bohr
        return cell.tobytes() + np.eye(3).tobytes() + struct.pack("i", len(atoms)) + q.tobytes()

    def forces(self, n_atoms):
        assert self.hear(12) == b"FORCEREADY  "
        energy, n = struct.unpack("=di", self.hear(12))
        assert n == n_atoms
        forces = np.frombuffer(self.hear(24 * n)).reshape(n, 3)
        self.hear(72)
        return energy, forces, self.hear(struct.unpack("i", self.hear(4))[0])

    def close(self):
        self.sock.close()
        self.listener.close()
