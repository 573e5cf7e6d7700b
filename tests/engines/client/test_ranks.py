"""Work divided over the ranks of MPI: ours, and i-PI's own ``ffmpi``."""

import json
import os
import signal
import struct
import subprocess
import sys

import ase.io
import numpy as np
import pytest
from helpers import toy_molecules
from helpers.paths import DRIVERS
from helpers.tiers import slow

pytest.importorskip("ipi")

from helpers.increment_checks import check_increments, dipoles
from helpers.ipi_client_tools import Server
from helpers.ipi_inputs import PILE, Checkpoint, write_input
from helpers.processes import (
    SCRIPTS,
    find_mpirun,
    has_ended,
    is_open_mpi,
    needs_mpirun,
    start_mpirun,
    wait_for,
)
from helpers.socket_server import Talk

from aptnn_md.bundled import bundled_path
from aptnn_md.engines.client.extras import decode_tensor, tensor_key
from aptnn_md.engines.client.ranks import HINTS, LAUNCHERS, shares
from aptnn_md.prediction.predictor import Predictor

pytestmark = pytest.mark.ipi


def finished(process, seconds=200):
    try:
        output = process.communicate(timeout=seconds)[0]
    finally:
        process.kill()
    assert process.returncode == 0, output
    return output


@pytest.mark.parametrize("n_structures", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("n_members", [0, 1, 3])
@pytest.mark.parametrize("n_ranks", [1, 2, 3, 4, 7])
def test_everything_is_evaluated_once(n_structures, n_members, n_ranks):
    tensors, forces = np.zeros((n_structures, n_members)), np.zeros(n_structures)
    n_pgt = 2 if n_members else 0
    committee_sizes = {"apt": n_members, "pgt": n_pgt} if n_members else {}
    gradients = np.zeros((n_structures, n_pgt))
    work = []
    for share in shares(n_structures, committee_sizes, n_ranks):
        tensors[share.structures, share.members] += 1
        gradients[share.structures, share.by_target.get("pgt", slice(0))] += 1
        assert share.by_target.get("apt", slice(0, 0)) == share.members
        forces[share.structures] += share.forces
        work.append(share.n_structures * share.n_members)
    assert (tensors == 1).all()
    assert (gradients == 1).all()
    assert (forces == 1).all()
    if n_members == 1 and n_structures >= n_ranks:
        assert max(work) - min(work) <= 1
    if n_structures == 1 and n_members == 3 and n_ranks >= 3:
        assert sorted(work)[-3:] == [1, 1, 1]


@pytest.mark.thorough
@needs_mpirun
def test_ranks_give_what_one_process_gives():
    output = finished(start_mpirun("-n", 3, sys.executable, "helpers/ipi_toy_ranks.py", "compare"))
    assert "told: rank 2: an atom is far away" in output
    assert "3 ranks agree" in output


def kill_root(process, path, n_bytes):
    """Kill -9 rank 0 as soon as the trail has grown; mpirun must end the other one."""
    trail = path.with_name("s.zarr.trail") / "steps"

    def has_grown():
        assert process.poll() is None
        return trail.exists() and trail.stat().st_size >= n_bytes

    wait_for(has_grown, 120, "the trail grows")
    root, other = (int(path.with_name(f"s.zarr.pid{rank}").read_text()) for rank in range(2))
    os.kill(root, signal.SIGKILL)
    assert process.wait(60) != 0
    wait_for(lambda: has_ended(root) and has_ended(other), 60, "both ranks end")


@pytest.mark.slow
@needs_mpirun
@pytest.mark.parametrize("n_kills", [1, 6])
def test_a_stream_from_two_ranks_whose_root_is_killed(tmp_path, n_kills):
    command = ("-n", 2, sys.executable, "helpers/ipi_toy_ranks.py", "client")
    path, steps = tmp_path / "s.zarr", 40
    options = {"n_beads": 4, "mode": "nvt", "thermostat": PILE, "batch_size": 4}
    with Server(tmp_path, steps=steps, **options) as server:
        for n in range(n_kills):
            process = start_mpirun(*command, server.address.path, path, 4, 0.02)
            kill_root(process, path, 900 * (n + 1))
        output = finished(start_mpirun(*command, server.address.path, path, 4))
        server.wait()
    assert "ClientSummary" in output
    assert check_increments(path, dipoles(tmp_path)).n_frames == steps


@pytest.mark.thorough
@needs_mpirun
def test_tensors_of_the_command_are_the_predictors(tmp_path):
    atoms = ase.io.read(bundled_path("water64.extxyz"))[:6]
    ase.io.write(tmp_path / "start.xyz", atoms)
    talk = Talk()
    talk.listener.settimeout(60)
    process = start_mpirun(
        *("-n", 2, SCRIPTS / "aptnn-md", "driver", "--address", str(talk.address)),
        *("--template", "start.xyz", "--model", "water-apt-committee", "--extras", "tensors"),
        *("--dtype", "float64", "--server", "ase"),
        directory=tmp_path,
    )
    talk.accept()
    assert talk.status() == "NEEDINIT"
    talk.say("INIT", struct.pack("ii", 0, 1), b"\0")
    predictor = Predictor.from_file("water-apt-committee", dtype="float64")
    for n in range(2):
        atoms.positions += 0.02 * np.random.default_rng(n).normal(size=(6, 3))
        talk.say("POSDATA", talk.positions(atoms), b"GETFORCE    ")
        talk.sock.settimeout(60)
        energy, forces, text = talk.forces(6)
        assert energy == 0.0
        assert not forces.any()
        tensors = decode_tensor(json.loads(text)[tensor_key("apt")])
        np.testing.assert_allclose(tensors, predictor.members(atoms), rtol=0, atol=1e-12)
    talk.say("EXIT")
    assert "2 structures in 2 calls" in finished(process)
    talk.close()


@pytest.mark.slow
@needs_mpirun
def test_ranks_that_i_pi_owns(tmp_path):
    """``ffmpi`` with our driver gives the trajectory of the same potential inside i-PI."""
    pes = DRIVERS / "aptnn_md_potential.py"
    options = {"n_beads": 4, "steps": 5}
    write_input(tmp_path / "direct", **options)
    direct = subprocess.run(
        [SCRIPTS / "i-pi", "input.xml"], cwd=tmp_path / "direct", capture_output=True, check=False
    )
    assert direct.returncode == 0
    write_input(
        tmp_path / "mpi",
        forcefields="<ffmpi name='ranks'><batch_size>2</batch_size></ffmpi>",
        toy_force="<force forcefield='ranks'/>",
        **options,
    )
    parameters = "potential=helpers.toy_molecules:Potential,template=start.xyz"
    output = finished(
        start_mpirun(
            *("-n", 1, SCRIPTS / "i-pi", "input.xml"),
            *(":", "-n", 2, SCRIPTS / "i-pi-py_driver", "--mpi", "-m", "custom"),
            *("-P", pes, "-o", parameters),
            directory=tmp_path / "mpi",
        )
    )
    assert "Exiting cleanly" in output
    mine, theirs = (Checkpoint(tmp_path / name / "run.state_5") for name in ("mpi", "direct"))
    assert mine.step == theirs.step == 5
    assert np.abs(mine.positions - toy_molecules.structure(2, seed=3).positions).max() > 1e-3
    np.testing.assert_allclose(mine.positions, theirs.positions, rtol=0, atol=1e-7)


NO_LAUNCHER = dict.fromkeys((*LAUNCHERS, *HINTS))


def asked(insist="False", without=(), **variables):
    """What a process of its own says of its world, with these variables of a launcher."""
    environment = {name: value for name, value in os.environ.items() if name not in NO_LAUNCHER}
    code = f"""
import sys
for name in {without!r}:
    sys.modules[name] = None
from aptnn_md.engines.client.ranks import world
try:
    print("world", world(insist={insist}), "mpi4py" in sys.modules)
except RuntimeError as error:
    print("refused:", error)
"""
    found = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return found.stdout.strip() or found.stderr


@pytest.mark.thorough
def test_a_process_alone_leaves_mpi_alone():
    assert asked() == "world None False"
    assert asked(SLURM_NTASKS="4", SLURM_PROCID="0") == "world None False"  # a script of sbatch
    assert asked(PMI_SIZE="1", PMI_RANK="0") == "world None False"
    # a launcher that does not say how many there are
    assert asked(PALS_RANKID="0", without=("mpi4py",)) == "world None True"


@pytest.mark.thorough
@pytest.mark.parametrize(
    "name", slow(["PMI_SIZE", "SLURM_STEP_NUM_TASKS", "FLUX_JOB_SIZE"], "FLUX_JOB_SIZE")
)
def test_ranks_that_mpi4py_does_not_see_do_not_believe_to_be_alone(name):
    assert "refused: 3 MPI ranks need mpi4py" in asked(without=("mpi4py",), **{name: "3"})
    pytest.importorskip("mpi4py.MPI")
    if name == "PMI_SIZE":
        return  # of MPICH's own library, which would wait for its launcher
    said = asked(**{name: "3"})
    assert f"started 3 processes ({name}), but mpi4py finds this one only" in said


@pytest.mark.thorough
def test_insisting_on_ranks():
    assert "refused: --mpi needs mpi4py" in asked(insist="True", without=("mpi4py",))
    pytest.importorskip("mpi4py.MPI")
    said = asked(insist="True")
    assert "refused: --mpi: there is one rank only; start the command with mpirun -n K" in said


@pytest.mark.thorough
@needs_mpirun
@pytest.mark.parametrize("insist", slow([False, True], False))
def test_ranks_that_no_variable_counts_are_found(insist):
    if not is_open_mpi(find_mpirun()):
        pytest.skip("MPICH's own ranks find each other by such a variable")
    names = " ".join(f"-u {name}" for name in LAUNCHERS)
    code = f"from aptnn_md.engines.client.ranks import world; print(world({insist}).Get_size())"
    process = start_mpirun("-n", 2, "env", *names.split(), sys.executable, "-c", code)
    output = finished(process)
    assert output.split().count("2") == 2, output
