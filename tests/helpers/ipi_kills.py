"""Runs of i-PI, as ``aptnn-md ipi`` and as a server with a client, that can be killed."""

from __future__ import annotations

import itertools
import math
import os
import random
import signal
import sys
import xml.etree.ElementTree as ElementTree
from contextlib import suppress
from functools import partial
from pathlib import Path

from helpers import short_runs
from helpers.ipi_client_tools import Server, toy_client
from helpers.ipi_inputs import SVR, write_input
from helpers.kills import INTERRUPTED, Forked, KilledRun, Process, forked
from helpers.toy_molecules import Tensors

CLASSICAL = {"mode": "nvt", "thermostat": SVR, "fixcom": "False"}
"""i-PI repeats it to the last bit, when it restarts."""

N_STEPS = 80
"""Of the server."""

_numbers = itertools.count()


def printed_steps(directory: Path) -> int:
    """What i-PI printed so far; killed and repeated steps count twice."""
    with suppress(FileNotFoundError):
        return (directory / "run.out").read_text().count("\n")
    return 0


def newest_checkpoint(directory: Path, before: float = math.inf) -> str:
    """The newest of i-PI's checkpoints that is whole and of an earlier step; else the input."""
    found = directory.glob("run.state*")
    for path in sorted(found, key=lambda path: -path.stat().st_mtime_ns):
        with suppress(ElementTree.ParseError):
            if int(ElementTree.parse(path).findtext("step") or 0) < before:
                return path.name
    return "input.xml"


# ---------------------------------------------------------------------- aptnn-md ipi


def _prepare_ipi(directory: Path) -> None:
    write_input(
        directory,
        steps=150,
        pes_parameters="sleep: 0.003",
        checkpoint=5,
        overwrite=True,
        properties="step",
        **CLASSICAL,
    )


def _ipi(directory: Path) -> int:
    from ipi.utils.softexit import softexit

    from aptnn_md.engines.ipi.runner import run_ipi
    from aptnn_md.engines.ipi.settings import StreamSettings

    os.chdir(directory)
    # as in a new process, whatever ran in the one that was forked
    softexit.__init__()
    sys.modules.pop("mpi4py.MPI", None)
    settings = StreamSettings(Path("run.zarr"), 2, ("bead", "apt-at-centroid"), "element")
    finished = run_ipi(newest_checkpoint(directory), settings, Tensors()).finished
    return 0 if finished else INTERRUPTED


# ---------------------------------------------------------------------- server and client


class ServerAndClient:
    """i-PI and ``aptnn-md driver``; a signal kills one of them or both."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.server = Server(directory, steps=N_STEPS, checkpoint=5, fixcom="False")
        self.chance = random.Random(next(_numbers))
        self.client = self._client()

    def _client(self) -> Forked:
        stream = self.directory / "s.zarr"

        def serve() -> None:
            toy_client(self.server.address, stream, pause=0.003).run()

        return Forked(serve, self.directory / "client.log")

    def resume(self) -> Process:
        """Start what does not run."""
        if self.server.process.exitcode is not None:
            # i-PI refuses to start from the last step, which it reaches before it ends
            self.server.start(newest_checkpoint(self.directory, before=N_STEPS))
        if self.client.poll() is not None:
            self.client = self._client()
        return self

    def poll(self) -> int | None:
        """Exit code of the server, None while it runs."""
        code: int | None = self.server.process.exitcode
        return code

    def send_signal(self, number: int) -> None:
        """Kill the client, the server, or both, unless the run is complete."""
        if self.poll() == 0:
            return
        who = self.chance.choice(["client", "server", "both"])
        if who != "client":
            self.server.process.kill()
            self.server.process.join()
        if who != "server":
            self.client.send_signal(number)
            self.client.wait(10)
        self._signal = number

    _signal = 0

    def wait(self, timeout: float | None = None) -> int:
        """0 if both ended well; the signal if one of them was killed.

        A client that begins after one that was killed after its last answer finds no server any
        more, and says so; the stream must be whole all the same.
        """
        number, self._signal = self._signal, 0
        if number:
            return -number
        self.server.process.join(timeout)
        codes = self.server.process.exitcode, self.client.wait(timeout)
        said = (self.directory / "log").read_text()[-2000:], self.client.log.read_text()[-2000:]
        too_late = codes == (0, 1) and "RunError: no server" in said[1]
        assert codes == (0, 0) or too_late, f"exit codes {codes}: {said}"
        return 0


_PAIRS: dict[Path, ServerAndClient] = {}


def _start_pair(directory: Path) -> Process:
    if directory not in _PAIRS:
        _PAIRS[directory] = ServerAndClient(directory)
    return _PAIRS[directory].resume()


def _stream_of(name: str, directory: Path) -> short_runs.Content:
    return short_runs.stream_content(directory / name)


IPI_RUNS = {
    "ipi": KilledRun(
        forked(_ipi),
        partial(_stream_of, "run.zarr"),
        printed_steps,
        _prepare_ipi,
        signals=(signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGHUP),
    ),
    "driver": KilledRun(_start_pair, partial(_stream_of, "s.zarr"), printed_steps),
}
