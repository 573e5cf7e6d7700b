"""Runs to which nobody gives forces any more end in words, and continue where they were."""

import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ipi")

from helpers import toy_molecules
from helpers.ipi_client_tools import FORK, toy_client
from helpers.ipi_inputs import write_input
from helpers.processes import wait_for

from aptnn_md.engines.client.client import Address
from aptnn_md.engines.ipi.runner import run_ipi
from aptnn_md.engines.ipi.settings import StreamSettings
from aptnn_md.errors import RunError
from aptnn_md.stream import StreamReader

pytestmark = [
    pytest.mark.ipi,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]


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


def serve(address):
    toy_client(address, pause=0.01).run()


def kill_after_steps(client, printed):
    wait_for(lambda: printed.exists() and printed.read_text().count("\n") > 12, 60, "i-PI steps")
    client.kill()


@pytest.mark.slow  # i-PI has been seen to wait for ever here
def test_a_client_that_does_not_come_back_ends_the_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_input(".", steps=100_000, checkpoint=100_000)
    text = path.read_text()
    start, end = text.index("<ffdirect name='toy'>"), text.index("</ffdirect>") + len("</ffdirect>")
    name = f"watched_{tmp_path.name}"
    forcefield = f"<ffsocket name='toy' mode='unix'><address>{name}</address></ffsocket>"
    path.write_text(text[:start] + forcefield + text[end:])
    client = FORK.Process(target=serve, args=(Address(path=f"/tmp/ipi_{name}"),), daemon=True)
    client.start()
    printed = tmp_path / "run.out"
    threading.Thread(target=kill_after_steps, args=(client, printed), daemon=True).start()
    settings = StreamSettings("run.zarr", 1)
    with pytest.raises(RunError, match=r"forcefield toy: no client for \d+ s|forces: thread"):
        run_ipi("input.xml", settings, toy_molecules.Tensors(), client_limit=2.0)
    steps = StreamReader("run.zarr").step
    assert len(steps) > 5
    np.testing.assert_array_equal(np.diff(steps), 1)
    assert Path("RESTART").exists()
