"""Client and i-PI killed at random moments and started again: no step is lost or doubled."""

import functools
import random
import time
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

pytest.importorskip("ipi")

from helpers.increment_checks import check_increments, dipoles
from helpers.ipi_client_tools import Server, toy_client
from helpers.ipi_inputs import PILE
from helpers.processes import FORK, wait_for
from helpers.tiers import thorough_but

from aptnn_md.stream import StreamReader

pytestmark = pytest.mark.ipi
STEPS = 100
KINDS = {
    "classical": {"n_beads": 1, "fixcom": "False"},
    "TRPMD": {"n_beads": 2, "mode": "nvt", "thermostat": PILE},
}
# i-PI repeats classical steps with a free centre of mass to the last bit; normal modes go through
# a transformation
TOLERANCE = {"classical": 0.0, "TRPMD": 1e-12}


def serve(address, path, log, pause, n_beads):
    """A client in a process of its own."""
    try:
        toy_client(address, path, n_beads=n_beads, pause=pause).run()
    except BaseException as error:
        log.write_text(f"{log.read_text() if log.exists() else ''}{error!r}\n")
        raise


class Run:
    """i-PI and a client, both of which can be killed."""

    def __init__(self, directory, kind="TRPMD", pause=0.003, **options):
        self.directory, self.pause, self.n_beads = directory, pause, KINDS[kind]["n_beads"]
        self.path, self.log = directory / "s.zarr", directory / "client.log"
        self.server = Server(directory, steps=STEPS, checkpoint=5, **KINDS[kind], **options)
        self.start_client()

    def start_client(self):
        arguments = (self.server.address, self.path, self.log, self.pause, self.n_beads)
        self.client = FORK.Process(target=serve, args=arguments, daemon=True)
        self.client.start()

    def kill(self, who):
        processes = {"client": [self.client], "server": [self.server.process]}
        processes["both"] = [self.client, self.server.process]
        for process in processes[who]:
            process.kill()
            process.join()
        if not self.server.process.is_alive():
            self.server.start(self.last_checkpoint())
        if not self.client.is_alive():
            self.start_client()

    def last_checkpoint(self):
        """The newest checkpoint that is whole; else the input."""
        for path in sorted(
            self.directory.glob("run.state_*"), key=lambda p: -int(p.name.split("_")[1])
        ):
            try:
                ElementTree.parse(path)
            except ElementTree.ParseError:
                continue
            return path.name
        return "input.xml"

    def finish(self, seconds=60):
        self.server.process.join(seconds)
        self.client.join(20)
        said = self.log.read_text() if self.log.exists() else ""
        assert self.server.process.exitcode == 0, (self.directory / "log").read_text()[-2000:]
        assert self.client.exitcode == 0, said

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.client.kill()
        self.server.__exit__(*error)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """Increments of runs that nobody disturbs, made when asked for."""

    @functools.cache
    def increments(kind):
        directory = tmp_path_factory.mktemp("unbroken")
        with Run(directory, kind, pause=0.0) as run:
            run.finish()
        return StreamReader(directory / "s.zarr").dipole_rate()

    return increments


def check(directory, kind, expected):
    stream = StreamReader(directory / "s.zarr")
    np.testing.assert_array_equal(stream.step, 1 + np.arange(STEPS))
    np.testing.assert_allclose(stream.dipole_rate(), expected, rtol=0, atol=TOLERANCE[kind])


def broken(directory, n_kills, seed, **options):
    """Kill ``n_kills`` times; the last run ends by itself. Number of kills."""
    chance = random.Random(seed)
    kinds = ["client", "server", "both"]
    with Run(directory, **options) as run:
        n_done = 0
        while n_done < n_kills:
            time.sleep(chance.uniform(0.15, 0.5))
            if run.server.process.exitcode == 0:
                break
            run.kill(kinds[n_done % 3])
            n_done += 1
        run.finish()
    return n_done


@pytest.mark.thorough
def test_killed_three_times_it_is_the_unbroken_run(tmp_path, unbroken):
    broken(tmp_path, 3, seed=1, kind="TRPMD")
    check(tmp_path, "TRPMD", unbroken("TRPMD"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_killed_thirty_times(tmp_path, unbroken, kind):
    n_done, n = 0, 0
    while n_done < 15:
        n += 1
        n_done += broken(tmp_path / str(n), 5, seed=n, kind=kind, pause=0.02)
        check(tmp_path / str(n), kind, unbroken(kind))


@pytest.mark.slow
def test_checkpoints_of_nine_digits(tmp_path, unbroken):
    broken(tmp_path, 3, seed=5, attributes="")
    stream = StreamReader(tmp_path / "s.zarr")
    np.testing.assert_array_equal(stream.step, 1 + np.arange(STEPS))
    # i-PI itself repeats steps to so many digits only
    np.testing.assert_allclose(stream.dipole_rate(), unbroken("TRPMD"), rtol=0, atol=1e-6)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("pause", "connections"), thorough_but([(0.031, 1), (0.043, 1), (0.037, 2)], 2)
)
def test_a_stream_that_begins_where_another_client_was_killed(tmp_path, pause, connections):
    """One without a stream that had answered a part of the beads."""
    n_beads, n_steps = 4, 16
    server = Server(
        tmp_path,
        steps=n_steps,
        checkpoint=1,
        n_beads=n_beads,
        mode="nvt",
        thermostat=PILE,
        # i-PI itself ends a run that nobody else would
        after="<total_time>60</total_time>",
    )
    with server:
        client = toy_client(server.address, n_beads=n_beads, pause=0.01)
        first = FORK.Process(target=client.run, daemon=True)
        first.start()
        wait_for(lambda: len(list(tmp_path.glob("run.state_*"))) > 3, 60, "steps of i-PI")
        time.sleep(pause)
        first.kill()
        first.join()
        options = {"n_beads": n_beads, "connections": connections}
        toy_client(server.address, tmp_path / "s", **options).run()
        server.wait()
    exact = dipoles(tmp_path)
    n_frames = StreamReader(tmp_path / "s").n_frames
    assert 8 < n_frames < n_steps
    check_increments(tmp_path / "s", exact[n_steps - n_frames :])
