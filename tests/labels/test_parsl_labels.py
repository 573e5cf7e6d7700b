"""Labels by parsl on this machine: the file of the process pool, killed and resumed."""

import os
import signal
import subprocess
import time

import ase.io
import pytest
from ase.build import molecule
from helpers import toy_molecules
from helpers.paths import EXAMPLES
from helpers.processes import SCRIPTS, environment

pytest.importorskip("parsl")
pytest.importorskip("tblite")


@pytest.mark.slow
@pytest.mark.parametrize("n_frames", [20, 50])
def test_killed_and_resumed_gives_the_file_of_the_process_pool(tmp_path, n_frames):
    structures = [molecule(("H2O", "NH3", "CH3OH")[k % 3]) for k in range(n_frames)]
    for seed, atoms in enumerate(structures):
        atoms.rattle(0.03, seed=seed)
    ase.io.write(tmp_path / "frames.extxyz", structures)
    variables = environment(XDG_CACHE_HOME=str(tmp_path / "cache"))

    def command(out, *words):
        # relative paths, as workers are in the same directory
        return [
            str(SCRIPTS / "aptnn-md"), "label", "--engine", "tblite", "--data", "frames.extxyz",
            "--out", out, *words,
        ]  # fmt: skip

    def points():
        return {p: p.stat().st_mtime_ns for p in tmp_path.glob("by_parsl.extxyz.work/*/*.json")}

    by_parsl = command("by_parsl.extxyz", "--executor", f"parsl:{EXAMPLES / 'cluster/local.py'}")
    process = subprocess.Popen(by_parsl, cwd=tmp_path, env=variables)
    until = time.monotonic() + 100.0
    while len(points()) < 3 * n_frames:
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = points()
    assert len(before) < 7 * n_frames
    assert not (tmp_path / "by_parsl.extxyz").exists()
    subprocess.run(by_parsl, cwd=tmp_path, env=variables, check=True, timeout=200)
    after = points()
    assert len(after) == 7 * n_frames
    # only what was at work when it was killed is written by both
    assert sum(after[path] != when for path, when in before.items()) <= 2
    subprocess.run(
        command("by_pool.extxyz", "--jobs", "2"), cwd=tmp_path, env=variables, check=True
    )
    written = (tmp_path / "by_parsl.extxyz").read_bytes()
    assert written == (tmp_path / "by_pool.extxyz").read_bytes()
    assert len(ase.io.read(tmp_path / "by_parsl.extxyz", ":")) == n_frames
    assert not (tmp_path / "runinfo").exists()


@pytest.mark.slow
def test_an_interrupt_ends_the_run_in_order(tmp_path):
    """Ctrl-C goes to all processes of the terminal; parsl's own must not end before ours."""
    ase.io.write(tmp_path / "frames.extxyz", toy_molecules.structure(2, seed=1, pbc=False))
    process = subprocess.Popen(
        [
            str(SCRIPTS / "aptnn-md"), "label",
            "--engine", "helpers.toy_field:FieldPotential delay=9", "--data", "frames.extxyz",
            "--out", "out.extxyz", "--executor", f"parsl:{EXAMPLES / 'cluster/local.py'}",
        ],
        cwd=tmp_path,
        env=environment(XDG_CACHE_HOME=str(tmp_path / "cache")),
        start_new_session=True,
    )  # fmt: skip
    until = time.monotonic() + 60.0
    while not list((tmp_path / "cache").glob("aptnn_md/parsl/*/000/*/block-0/*/worker_0.log")):
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    try:
        assert process.wait(30) == 130
    finally:
        process.kill()
