"""Executors: what is refused in words, and parsl on this machine, configured as in the example."""

import os
import pickle
import runpy
import sys
from concurrent.futures import BrokenExecutor
from pathlib import Path

import pytest
from helpers.paths import EXAMPLES

from aptnn_md.callables import call_by_name
from aptnn_md.errors import InputError, RunError
from aptnn_md.executors import check_executor, workers

LOCAL = EXAMPLES / "cluster" / "local.py"


@pytest.mark.parametrize(
    ("executor", "jobs", "message"),
    [
        ("threads", 1, "--executor: found 'threads', expected processes, mpi, or parsl:FILE"),
        ("parsl:", 1, "--executor: found 'parsl:'"),
        ("parsl:a.py", 2, "--jobs: found 2 with parsl:a.py, expected no --jobs"),
        ("mpi", 3, "mpirun -n says how many"),
    ],
)
def test_other_names_are_refused(executor, jobs, message):
    with pytest.raises(InputError, match=message):
        check_executor("here", executor, jobs)


@pytest.mark.parametrize(
    ("module", "executor", "extra"),
    [("parsl", "parsl:a.py", "cluster"), ("mpi4py.futures", "mpi", "mpi")],
)
def test_what_is_not_installed_is_said(monkeypatch, module, executor, extra):
    monkeypatch.setitem(sys.modules, module, None)
    message = rf'is not installed: pip install "aptnn_md\[{extra}\]"'
    with pytest.raises(RunError, match=message), workers(executor):
        pass


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (None, InputError, "file: found none"),
        ("x = 1", InputError, "config: found nothing, expected config = parsl.Config"),
        ("config = 3", InputError, "config: found an object of type int"),
        ("1 / 0", RunError, "it raised ZeroDivisionError"),
    ],
)
def test_configurations_that_are_none(tmp_path, text, error, message):
    pytest.importorskip("parsl")
    if text is not None:
        (tmp_path / "c.py").write_text(text)
    with pytest.raises(error, match=message), workers(f"parsl:{tmp_path / 'c.py'}"):
        pass


def test_messages_are_one_line_whatever_names_hold():
    error = InputError("a\nb", "c", "d\x00\x1b[31m", "e\u2028f Å")
    assert str(error) == "a\\nb: c: found d\\x00\\x1b[31m, expected e\\u2028f Å"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_input_errors_go_from_process_to_process():
    error = pickle.loads(pickle.dumps(InputError(Path("a"), "b", 3, "d")))
    assert isinstance(error, InputError)
    assert str(error) == "a: b: found 3, expected d"
    assert error.field == "b"
    # which the process pool would take for its own breakdown
    with workers(jobs=2) as (executor, n):
        assert n == 2
        with pytest.raises(InputError, match="test: name: found ':', expected a name"):
            executor.submit(call_by_name, "test", ":", "a name").result(60)


def test_the_example_for_slurm_shares_nodes():
    pytest.importorskip("parsl")
    config = runpy.run_path(str(EXAMPLES / "cluster" / "slurm.py"))["config"]
    (executor,) = config.executors
    assert executor.provider.exclusive is False
    from aptnn_md.parsl_executor import _capacity

    assert _capacity(config) == 8 * 32


@pytest.mark.thorough
def test_parsl_on_this_machine(tmp_path, monkeypatch):
    pytest.importorskip("parsl")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "refuse.py").write_text(
        "from aptnn_md.errors import InputError\n"
        "def charge():\n"
        "    raise InputError('t', 'charge', 'x', 'y')\n"
    )
    with workers(f"parsl:{LOCAL}") as (executor, n):
        assert n == 2
        assert executor.submit(os.getcwd).result(60) == str(tmp_path)
        assert executor.submit(os.getenv, "OMP_NUM_THREADS").result(60) == "1"
        with pytest.raises(InputError, match="t: charge: found x, expected y"):
            executor.submit(call_by_name, "test", "refuse:charge", "").result(60)
    # neither logs nor anything else is left
    left = {path.name for path in tmp_path.iterdir()} - {"__pycache__"}
    assert left == {"cache", "refuse.py"}
    assert list((tmp_path / "cache/aptnn_md/parsl").iterdir()) == []


@pytest.mark.thorough
def test_a_worker_that_dies_is_said(tmp_path, monkeypatch):
    pytest.importorskip("parsl")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    message = r"parsl: a worker died .* logs in .*cache/aptnn_md/parsl"
    with (
        pytest.raises(BrokenExecutor, match=message),
        workers(f"parsl:{LOCAL}") as (executor, _),
    ):
        executor.submit(os._exit, 3).result(120)
    assert list((tmp_path / "cache/aptnn_md/parsl").glob("*/000/parsl.log"))
