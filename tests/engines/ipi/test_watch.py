"""Runs to which nobody gives forces any more end in words, and continue where they were."""

import importlib
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ipi")

from helpers import toy_molecules
from helpers.ipi_client_tools import FORK, toy_client
from helpers.ipi_inputs import write_input
from helpers.leaving_client import LeavingClient
from helpers.processes import wait_for

from aptnn_md.engines.client.client import Address
from aptnn_md.engines.ipi import watch
from aptnn_md.engines.ipi.runner import run_ipi
from aptnn_md.engines.ipi.settings import StreamSettings
from aptnn_md.errors import RunError
from aptnn_md.stream import StreamReader

pytestmark = [
    pytest.mark.ipi,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]


@pytest.mark.thorough
@pytest.mark.parametrize("threaded", [True, False])
def test_a_potential_that_raises_ends_the_run(tmp_path, monkeypatch, threaded):
    monkeypatch.chdir(tmp_path)
    path = write_input(".", steps=40, checkpoint=100, pes_parameters="fail:12")
    named = "<ffdirect name='toy'>"
    path.write_text(path.read_text().replace(named, f"{named[:-1]} threaded='{threaded}'>"))
    settings = StreamSettings("run.zarr", 1)
    Path("fail").touch()
    before = threading.excepthook
    with pytest.raises(RunError, match="FloatingPointError: the potential does not know this"):
        run_ipi("input.xml", settings, toy_molecules.Tensors())
    assert threading.excepthook is before
    assert 5 < StreamReader("run.zarr").n_frames < 20
    if threaded:
        Path("fail").unlink()
        run_ipi("RESTART", settings, toy_molecules.Tensors())
        np.testing.assert_array_equal(StreamReader("run.zarr").step, np.arange(41))


STEPS_FOR_EVER = 100_000


@pytest.fixture
def served(tmp_path, monkeypatch):
    """In the directory of an input whose forces come by a socket; the socket's address."""

    def write(**options):
        name = f"watched_{os.getpid()}_{tmp_path.name}"
        forcefield = f"<ffsocket name='client' mode='unix'><address>{name}</address></ffsocket>"
        write_input(
            ".",
            forcefields=forcefield,
            toy_force="<force forcefield='client'/>",
            checkpoint=STEPS_FOR_EVER,
            # i-PI itself ends a run that nobody else would
            after="<total_time>60</total_time>",
            **options,
        )
        return Address(path=f"/tmp/ipi_{name}")

    monkeypatch.chdir(tmp_path)
    # a client may come and go between two looks
    monkeypatch.setattr(watch, "INTERVAL", 0.5)
    # i-PI looks for signals once a second, and waits for that when it ends
    monkeypatch.setattr(importlib.import_module("ipi.utils.softexit"), "SOFTEXITLATENCY", 0.05)
    return write


def ends_without_client():
    settings = StreamSettings("run.zarr", 1)
    with pytest.raises(RunError, match=r"forcefield client: no client for \d+ s.*from RESTART"):
        run_ipi("input.xml", settings, toy_molecules.Tensors(), client_limit=0.5)
    steps = StreamReader("run.zarr").step
    np.testing.assert_array_equal(steps, np.arange(len(steps)))
    assert Path("RESTART").exists()
    return len(steps)


@pytest.mark.parametrize("reads_all", [True, False])
def test_a_client_that_leaves_at_once_ends_the_run(served, reads_all):
    LeavingClient(served(steps=STEPS_FOR_EVER), n_answers=4, reads_all=reads_all).start()
    # that of step 0, and three steps
    assert ends_without_client() == 4


@pytest.mark.parametrize("reads_all", [True, False])
def test_another_client_takes_over(served, reads_all):
    address = served(steps=20)
    first = LeavingClient(address, n_answers=4, reads_all=reads_all)
    second = LeavingClient(address, n_answers=STEPS_FOR_EVER, reads_all=True)

    def one_after_the_other():
        first.start()
        first.join()
        second.start()

    threading.Thread(target=one_after_the_other, daemon=True).start()
    run_ipi("input.xml", StreamSettings("run.zarr", 1), toy_molecules.Tensors(), client_limit=20.0)
    np.testing.assert_array_equal(StreamReader("run.zarr").step, np.arange(21))


def serve(address):
    toy_client(address, pause=0.01).run()


@pytest.mark.thorough
@pytest.mark.parametrize("seconds", [0.02, 0.15])
def test_a_client_that_is_killed_ends_the_run(served, seconds):
    address = served(steps=STEPS_FOR_EVER)
    client = FORK.Process(target=serve, args=(address,), daemon=True)
    client.start()
    printed = Path("run.out").absolute()

    def begun():
        return printed.exists() and printed.read_text().count("\n") > 12

    def kill():
        wait_for(begun, 40, "i-PI steps")
        time.sleep(seconds)
        client.kill()

    threading.Thread(target=kill, daemon=True).start()
    assert ends_without_client() > 5
