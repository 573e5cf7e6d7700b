"""A client of i-PI that answers a few requests and leaves while it should compute another."""

from __future__ import annotations

import socket
import threading
import time

import numpy as np

from aptnn_md.atomic_units import IPI
from aptnn_md.engines.client.client import Address
from helpers import toy_molecules
from helpers.processes import wait_for


class LeavingClient(threading.Thread):
    """The toy molecules' forces for ``n_answers`` requests; then it leaves.

    Parameters
    ----------
    address : of i-PI; tried for a minute
    n_answers : before it leaves with a further request unanswered
    reads_all : read that request first; else the kernel resets the connection
    """

    def __init__(self, address: Address, n_answers: int, reads_all: bool) -> None:
        super().__init__(daemon=True)
        self._address, self._n_answers, self._reads_all = address, n_answers, reads_all

    def run(self) -> None:
        """Serve and leave."""
        self._connect()
        for _ in range(self._n_answers):
            self._answer(self._request())
            self._until("GETFORCE")
            self._sock.sendall(self._forces)
        if self._reads_all:
            self._request()
            self._until("GETFORCE")
        else:
            self._until("POSDATA")
            wait_for(lambda: len(self._sock.recv(500, socket.MSG_PEEK)) > 200, 60, "positions")
        self._sock.close()

    def _connect(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                self._sock = self._address.connect()
                return
            except OSError:
                assert time.monotonic() < deadline, f"no server at {self._address}"
                time.sleep(0.01)

    def _until(self, wanted: str) -> None:
        while (header := self._read(12).decode().strip()) != wanted:
            assert header == "STATUS", header
            self._sock.sendall(b"READY".ljust(12))

    def _request(self) -> np.ndarray:
        """Positions, bohr."""
        self._until("POSDATA")
        self._read(2 * 72)
        n_atoms = int(np.frombuffer(self._read(4), np.int32)[0])
        return np.frombuffer(self._read(24 * n_atoms)).reshape(n_atoms, 3)

    def _answer(self, positions: np.ndarray) -> None:
        energy, forces, virial = toy_molecules.energy_forces_virial(positions * IPI.bohr)
        hartree = IPI.hartree
        self._forces = b"".join(
            [
                b"FORCEREADY".ljust(12),
                np.float64(energy / hartree).tobytes(),
                np.int32(len(forces)).tobytes(),
                (forces * IPI.bohr / hartree).tobytes(),
                (virial / hartree).tobytes(),
                np.int32(0).tobytes(),
            ]
        )

    def _read(self, n_bytes: int) -> bytes:
        data = b""
        while len(data) < n_bytes:
            piece = self._sock.recv(n_bytes - len(data))
            assert piece, "the server has gone"
            data += piece
        return data
