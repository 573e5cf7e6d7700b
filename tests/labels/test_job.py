"""Labels from single points, on an analytic engine through the protocol for ASE calculators."""

import json
import os
import signal
import subprocess
import sys
import time

import ase.io
import numpy as np
import pytest
from helpers import toy_field, toy_molecules
from helpers.processes import (
    SCRIPTS,
    environment,
    mpirun_command,
    mpirun_environment,
    needs_mpirun,
)

from aptnn_md.atomic_units import FIELD
from aptnn_md.cli import main
from aptnn_md.errors import InputError, RunError
from aptnn_md.executors import workers
from aptnn_md.labels.checks import figures, parse_limits, pgt_rotational_sum
from aptnn_md.labels.engines.interface import load_engine
from aptnn_md.labels.frame_labels import Labels
from aptnn_md.labels.job import LabelJob, run_labels
from aptnn_md.labels.labelled_file import FrameToLabel
from aptnn_md.tensors import rotational_sum
from aptnn_md.training.dataset import read_labelled

ENGINE = "helpers.toy_field:FieldPotential"


def spec(name="FieldPotential", **settings):
    return f"helpers.toy_field:{name} {json.dumps(settings)}"


def frames(n_frames=2, n_molecules=2, pbc=False):
    return [toy_molecules.structure(n_molecules, seed=seed, pbc=pbc) for seed in range(n_frames)]


def label(tmp_path, structures, engine=ENGINE, **settings):
    out = tmp_path / "out.extxyz"
    to_label = [FrameToLabel(atoms, np.ones(len(atoms), bool)) for atoms in structures]
    summary = run_labels(LabelJob(to_label, engine, out, **settings))
    return summary, ase.io.read(out, ":")


def apt_of(atoms):
    return atoms.arrays["apt"].reshape(-1, 3, 3)


def pgt_of(atoms):
    return atoms.arrays["pgt"].reshape(-1, 3, 3, 3)


@pytest.mark.parametrize("scheme", ["field", "space"])
def test_labels_are_the_analytic_tensors(tmp_path, scheme):
    structures = frames(1)
    # the space scheme has errors of second order in the step, the field scheme on this toy none
    tolerance = {"field": 2e-7, "space": 2e-5}[scheme]
    summary, labelled = label(
        tmp_path, structures, properties=("apt", "pgt"), scheme=scheme, field=0.05, step=0.002
    )
    assert summary.n_labelled == len(structures)
    for atoms, source in zip(labelled, structures, strict=True):
        apt = toy_molecules.polar_tensors(source.positions)
        assert np.abs(apt - apt.transpose(0, 2, 1)).max() > 0.1
        np.testing.assert_allclose(apt_of(atoms), apt, atol=tolerance)
        pgt = toy_field.gradients(source.positions)
        assert np.abs(pgt - pgt.transpose(0, 1, 3, 2)).max() > 0.1
        np.testing.assert_allclose(pgt_of(atoms), pgt, atol=20 * tolerance)
        np.testing.assert_allclose(
            np.reshape(atoms.info["polarizability"], (3, 3)),
            toy_field.polarizability(source.positions),
            atol=1e-6,
        )
        np.testing.assert_allclose(
            atoms.info["REF_dipole"], toy_molecules.dipole(source.positions), atol=1e-7
        )
        energy, forces, _ = toy_molecules.energy_forces_virial(source.positions)
        assert atoms.get_potential_energy() == pytest.approx(energy)
        np.testing.assert_allclose(atoms.get_forces(), forces, atol=1e-7)
        assert atoms.info["label_status"] == "ok"
        assert atoms.info["label_rotational_sum"] < 1e-3


def test_training_reads_the_file(tmp_path):
    label(tmp_path, frames())
    for frame, source in zip(read_labelled(tmp_path / "out.extxyz"), frames(), strict=True):
        np.testing.assert_allclose(
            frame.tensors, toy_molecules.polar_tensors(source.positions), atol=1e-6
        )


def test_dipole_that_jumps_by_lattice_vectors(tmp_path):
    structures = frames(1, pbc=True)
    _, labelled = label(tmp_path, structures, spec("PeriodicDipole"), step=0.003)
    expected = toy_molecules.polar_tensors(structures[0].positions)
    np.testing.assert_allclose(apt_of(labelled[0]), expected, atol=1e-4)


def test_linearity_is_the_error_of_the_field(tmp_path):
    structures = frames(1, 1)
    exact = toy_molecules.polar_tensors(structures[0].positions)
    engine = spec(hyper=0.5)
    summary, labelled = label(tmp_path, structures, engine, field=0.2, linearity=True)
    error = np.abs(apt_of(labelled[0]) - exact).max()
    assert error > 1e-3
    assert 0.2 * error < summary.largest["apt_linearity"] < 2.0 * error
    with pytest.raises(RunError, match=r"no frame labelled.*apt_linearity .* above 0\.0001"):
        label(
            tmp_path, structures, engine, field=0.2, linearity=True,
            limits=parse_limits(["apt_linearity=1e-4"]),
        )  # fmt: skip


def test_sum_rules_see_a_transposed_tensor():
    atoms = frames(1, 1)[0]
    apt, dipole = (
        toy_molecules.polar_tensors(atoms.positions),
        toy_molecules.dipole(atoms.positions),
    )
    assert np.abs(rotational_sum(apt, atoms.positions, dipole)).max() < 1e-12
    assert np.abs(rotational_sum(apt.transpose(0, 2, 1), atoms.positions, dipole)).max() > 0.1
    pgt, alpha = toy_field.gradients(atoms.positions), toy_field.polarizability(atoms.positions)
    assert np.abs(pgt_rotational_sum(pgt, atoms.positions, alpha)).max() < 1e-12
    wrong = pgt.transpose(0, 1, 3, 2)
    assert np.abs(pgt_rotational_sum(wrong, atoms.positions, alpha)).max() > 0.1
    found = figures(
        Labels({"apt": apt}, polarizability=alpha + np.triu(alpha, 1)), atoms, charge=0.3
    )
    assert found["acoustic_sum"] == pytest.approx(0.3)
    assert found["asymmetry"] > 0.05
    assert found["rotational_sum"] < 1e-12  # for some dipole
    transposed = figures(Labels({"apt": apt.transpose(0, 2, 1)}), atoms, charge=0.0)
    assert transposed["rotational_sum"] > 0.03


def test_one_frame_fails_and_says_why(tmp_path):
    structures = frames(3, 1)
    structures[1].positions[1] += 0.5 * (structures[1].positions[1] - structures[1].positions[0])
    summary, labelled = label(tmp_path, structures, spec(longest=1.3), properties=("apt", "pgt"))
    assert summary.n_labelled == 2
    assert summary.failures == {1: "zero: energy: SCF did not converge in 50 cycles"}
    failed = labelled[1]
    assert failed.info["label_status"] == "failed"
    assert failed.info["label_reason"] == summary.failures[1]
    assert np.isnan(failed.arrays["apt"]).all()
    assert np.isnan(failed.arrays["pgt"]).all()
    assert failed.calc is None
    loaded = read_labelled(tmp_path / "out.extxyz")
    assert [frame.labelled.all() for frame in loaded] == [True, False, True]


def test_labels_that_break_a_rule_are_not_used(tmp_path):
    # the toy's charge is zero, so saying it is not breaks the acoustic sum rule
    atoms = frames(1, 1)[0]
    job = LabelJob([FrameToLabel(atoms, np.ones(3, bool), 1.0)], ENGINE, tmp_path / "out.extxyz")
    with pytest.raises(RunError, match=r"acoustic_sum 1 above 0\.02"):
        run_labels(job)
    written = ase.io.read(job.out)
    assert np.isnan(written.arrays["apt"]).all()
    assert written.info["label_acoustic_sum"] == pytest.approx(1.0)


def test_nothing_is_calculated_twice(tmp_path):
    log = tmp_path / "log"
    engine = spec(log=str(log))
    structures = frames(3, 1)
    label(tmp_path, [*structures[:2], structures[0]], engine)
    assert len(log.read_text().splitlines()) == 2 * 7
    _, labelled = label(tmp_path, structures, engine, properties=("apt", "pgt"), linearity=True)
    lines = log.read_text().splitlines()
    assert len(lines) == len(set(lines)) == 3 * (13 + 2)
    assert len(labelled) == 3


def test_failed_points_are_tried_again_on_request(tmp_path):
    structures = frames(2, 1)
    label(tmp_path, structures)
    point = next((tmp_path / "out.extxyz.work").glob("*/zero.json"))
    point.write_text('{"failure": "no licence"}')
    summary, _ = label(tmp_path, structures)
    assert list(summary.failures.values()) == ["zero: no licence"]
    summary, _ = label(tmp_path, structures, retry=True)
    assert not summary.failures


def test_damaged_points_are_named_and_older_ones_are_read(tmp_path):
    structures = frames(1, 1)
    label(tmp_path, structures)
    expected = (tmp_path / "out.extxyz").read_bytes()
    point = next((tmp_path / "out.extxyz.work").glob("*/zero.json"))
    text = point.read_text()
    point.write_text(text.replace("1", "2", 1))
    with pytest.raises(RunError, match=r"zero\.json: not a single point \(damaged: .*remove it"):
        label(tmp_path, structures)
    # as version 0.1 wrote them
    point.write_text(json.dumps({"result": json.loads(text)["result"]}))
    label(tmp_path, structures)
    assert (tmp_path / "out.extxyz").read_bytes() == expected


def test_collect_writes_what_there_is(tmp_path):
    structures = frames(2, 1)
    label(tmp_path, structures[:1])
    summary, _ = label(tmp_path, structures, collect=True)
    assert summary.failures == {1: "7 of 7 points not calculated"}


@pytest.mark.thorough
def test_processes_killed_and_resumed_give_the_same_file(tmp_path):
    data, log, jobs = tmp_path / "frames.extxyz", tmp_path / "log", 2
    structures = frames(5, 1)
    structures[2].positions[1] += 0.5 * (structures[2].positions[1] - structures[2].positions[0])
    ase.io.write(data, structures)
    engine = spec(log=str(log), delay=0.05, longest=1.3)

    def command(out):
        return [
            str(SCRIPTS / "aptnn-md"), "label", "--engine", engine, "--jobs", str(jobs),
            "--data", str(data), "--out", str(out), "--property", "apt,pgt",
        ]  # fmt: skip

    out = tmp_path / "out.extxyz"
    process = subprocess.Popen(command(out), env=environment())
    while not log.exists() or len(log.read_text().splitlines()) < 20:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    settled = -1
    while settled != (settled := log.stat().st_size):
        time.sleep(0.5)  # the processes of a killed run end by themselves
    assert settled < 4 * 13 * len(log.read_text().splitlines()[0])
    subprocess.run(command(out), env=environment(), check=True)
    lines = log.read_text().splitlines()
    # a point that was at work when the run was killed has no file: only these are done again
    assert len(set(lines)) == 4 * 13
    assert len(lines) <= 4 * 13 + jobs
    resumed = out.read_bytes()
    label(tmp_path, ase.io.read(data, ":"), engine, properties=("apt", "pgt"), work=tmp_path / "w")
    assert out.read_bytes() == resumed


@pytest.mark.thorough
@needs_mpirun
def test_mpi_gives_the_same_file(tmp_path):
    pytest.importorskip("mpi4py")
    data, out = tmp_path / "frames.extxyz", tmp_path / "out.extxyz"
    ase.io.write(data, frames(2, 1))
    label(tmp_path, ase.io.read(data, ":"))
    expected = out.read_bytes()
    out.unlink()
    command = mpirun_command(
        *("-n", 2, sys.executable, "-m", "mpi4py.futures", SCRIPTS / "aptnn-md", "label", "--mpi"),
        *("--engine", ENGINE, "--data", data, "--out", out, "--work", tmp_path / "work"),
    )
    subprocess.run(command, env=mpirun_environment(), check=True)
    assert out.read_bytes() == expected


def test_two_runs_in_one_directory_are_refused(tmp_path):
    from aptnn_md.locks import DirectoryLock

    work = tmp_path / "work"
    work.mkdir()
    with DirectoryLock(work), pytest.raises(InputError, match="another run at work"):
        label(tmp_path, frames(1, 1), work=work)


def test_engines_that_cannot_do_it(tmp_path):
    with pytest.raises(InputError, match="knows no field"):
        label(tmp_path, frames(1), spec("DipolePotential"), scheme="field")
    with pytest.raises(InputError, match="gives no polarizability"):
        label(tmp_path, frames(1), spec("DipolePotential"), properties=("pgt",))
    with pytest.raises(InputError, match="neither the property dipole"):
        load_engine("ase.calculators.lj:LennardJones")
    with pytest.raises(InputError, match="found 'gaussian'"):
        load_engine("gaussian")
    with pytest.raises(InputError, match=r"settings: found .*colour"):
        load_engine('cp2k {"template": "t.inp", "colour": "red"}')
    with pytest.raises(InputError, match="template: found No such file"):
        load_engine('cp2k {"template": "nowhere.inp"}')


def test_command_labels_chosen_atoms(tmp_path, capsys):
    data, out = tmp_path / "frames.extxyz", tmp_path / "out.extxyz"
    ase.io.write(data, frames(1, 2))
    arguments = ["label", "--engine", ENGINE, "--data", str(data), "--out", str(out)]
    assert main([*arguments, "--atoms", "element:O", "--field", "1e-3"]) == 0
    assert "1 of 1 frames labelled; acoustic_sum" in capsys.readouterr().out
    written = ase.io.read(out)
    assert written.info["label_field"] == pytest.approx(1e-3)
    labelled = np.isfinite(written.arrays["apt"]).all(axis=1)
    assert labelled.tolist() == (written.numbers == 8).tolist()
    assert main([*arguments, "--property", "colour"]) == 2
    assert main([*arguments, "--limit", "colour=1"]) == 2
    assert main([*arguments, "--jobs", "0"]) == 2
    assert main([*arguments, "--field", "0"]) == 2
    assert pytest.approx(51.422, abs=1e-3) == FIELD


@pytest.mark.parametrize("given", [None, "3"])
def test_processes_share_the_cores(monkeypatch, given):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    jobs = os.cpu_count() or 1
    with workers(jobs=max(2, jobs)) as (executor, _):
        assert executor.submit(os.getenv, "OMP_NUM_THREADS").result() == (given or "1")
