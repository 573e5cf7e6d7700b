"""train, evaluate, predict, info and the command line as such."""

import argparse
import dataclasses
import json
import re
import resource
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.calculators.lj import LennardJones
from ase.md.verlet import VelocityVerlet
from helpers.systems import random_checkpoint, triclinic

from aptnn_md import __version__
from aptnn_md.cli import COMMANDS, main, train
from aptnn_md.cli.json_output import json_text
from aptnn_md.engines.ase.ensemble_state import EnsembleState
from aptnn_md.engines.ase.restart import DynamicsState
from aptnn_md.prediction.model_file import read_model_file, write_model_file
from aptnn_md.prediction.predictor import Predictor
from aptnn_md.stream import StreamHeader, StreamWriter

SMALL = "cutoff = 4.0\nn_channels = 4\nn_radial = 3\nmessage_channels = 2\n"


@pytest.fixture
def model(tmp_path):
    write_model_file(tmp_path / "model.pt", random_checkpoint(members=2))
    return tmp_path / "model.pt"


@pytest.fixture
def frames(tmp_path):
    """Three frames that the model itself labelled, one label missing, plus noise."""
    predictor = Predictor(random_checkpoint(members=2))
    noise = np.random.default_rng(0)
    written = []
    for seed in range(3):
        atoms = triclinic(seed)
        labels = predictor(atoms).reshape(-1, 9) + 0.1 * noise.normal(size=(17, 9))
        labels[seed] = np.nan
        atoms.arrays["apt"] = labels
        written.append(atoms)
    ase.io.write(tmp_path / "frames.extxyz", written)
    return tmp_path / "frames.extxyz"


def test_evaluate_json_and_table(model, frames, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", "--model", str(model), "--data", str(frames), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["rmse"] == pytest.approx(0.1, rel=0.1)
    assert figures["mae"] == pytest.approx(0.1 * np.sqrt(2 / np.pi), rel=0.1)
    assert set(figures["by_element"]) == {"H", "O", "Na"}
    assert set(figures["by_irrep"]) == {"0e", "1e", "2e"}
    assert figures["n_atoms"] == 3 * 16
    assert not (tmp_path / "parity.png").exists()
    assert main(["evaluate", "--model", str(model), "--data", str(frames)]) == 0
    printed = capsys.readouterr().out
    assert "RMSE" in printed
    assert "parity" not in printed
    assert not (tmp_path / "parity.png").exists(), "it was not asked for"


@pytest.mark.thorough
def test_parity_plot_where_it_is_asked_for(model, frames, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ["evaluate", "--model", str(model), "--data", str(frames), "--plot"]
    assert main(command) == 0
    assert "parity plot: parity.png\n" in capsys.readouterr().out
    drawn = (tmp_path / "parity.png").read_bytes()
    assert drawn.startswith(b"\x89PNG")
    (tmp_path / "parity.png").write_text("somebody's")
    assert main(command) == 2
    assert "--plot: found parity.png, which exists" in capsys.readouterr().err
    assert (tmp_path / "parity.png").read_text() == "somebody's"
    assert main([*command, "other.png"]) == 0
    assert "in place" not in capsys.readouterr().out
    assert main([*command, "other.png"]) == 0
    assert "parity plot: other.png, in place of an older file" in capsys.readouterr().out


def test_predict_writes_what_the_predictor_says(model, frames, tmp_path, capsys):
    out = tmp_path / "out.extxyz"
    assert main(["predict", "--model", str(model), "--data", str(frames), "--out", str(out)]) == 0
    predictor = Predictor.from_file(model)
    for atoms in ase.io.read(out, ":"):
        mean, deviation = predictor.with_std(atoms)
        assert np.allclose(atoms.arrays["apt"], mean.reshape(-1, 9), atol=1e-5)
        assert np.allclose(atoms.arrays["apt_std"], deviation.reshape(-1, 9), atol=1e-5)


def test_what_is_read_is_not_written_over(model, frames, tmp_path, capsys):
    """A name that was typed twice costs no labels."""
    kept, other = frames.read_bytes(), tmp_path / "link.extxyz"
    other.symlink_to(frames)
    for command in (
        ["train", "--data", str(frames), "--out", str(frames), "--epochs", "1"],
        ["train", "--data", str(other), "--out", str(frames), "--epochs", "1"],
        ["predict", "--model", str(model), "--data", str(frames), "--out", str(frames)],
        ["label", "--engine", "tblite", "--data", str(frames), "--out", str(frames)],
    ):
        assert main(command) == 2
        assert "which is read, expected another file" in capsys.readouterr().err
    assert frames.read_bytes() == kept


def test_frames_for_validation_that_are_trained_on_are_refused(frames, tmp_path, capsys):
    command = ["train", "--data", str(frames), "--out", str(tmp_path / "m.pt"), "--epochs", "1"]
    assert main([*command, "--valid", str(frames)]) == 2
    error = capsys.readouterr().err
    assert f"that are in {frames}, too, expected frames that are not trained on" in error


def test_train_from_toml_and_info(frames, tmp_path, capsys):
    config = tmp_path / "train.toml"
    out = tmp_path / "new.pt"
    config.write_text(
        f'data = "{frames}"\nout = "{out}"\n[network]\n{SMALL}'
        '[training]\nepochs = 50\n[card]\nlevel_of_theory = "random numbers"\n'
    )
    assert main(["train", "--config", str(config), "--epochs", "1", "--seed", "3"]) == 0
    assert main(["info", str(out), "--json"]) == 0
    text = capsys.readouterr().out
    facts = json.loads(text[text.index("{") :])
    assert facts["sha256"] == read_model_file(out).sha256
    assert facts["level_of_theory"] == "random numbers"
    assert facts["package_version"] == __version__
    assert facts["training_settings"]["epochs"] == 1
    assert facts["network_settings"]["n_channels"] == 4


@pytest.mark.thorough
def test_both_targets_by_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    predictor = Predictor(random_checkpoint(target="apt+pgt", seed=2))
    frames = []
    for seed in range(3):
        atoms = triclinic(seed)
        for target, members in predictor.tensors([atoms])[0].items():
            atoms.arrays[target] = members[0].reshape(len(atoms), -1)
        frames.append(atoms)
    ase.io.write("both.extxyz", frames)
    config = tmp_path / "train.toml"
    config.write_text(f"[network]\n{SMALL}[training]\nepochs = 1\npgt_weight = 0.5\n")
    train = ["train", "--config", str(config), "--data", "both.extxyz", "--target"]
    assert main([*train, "apt+pgt", "--out", "both.pt", "--committee", "2"]) == 0
    printed = capsys.readouterr().out
    assert " e (apt) and " in printed
    assert " Å² (pgt)" in printed
    assert main([*train, "pgt", "--out", "pgt.pt"]) == 0
    assert "Å²" in capsys.readouterr().out
    assert main(["info", "both.pt", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["target"] == "apt+pgt"
    assert facts["network_settings"]["target_irreps"] == "1x0e+1x1e+1x2e+2x1o+1x2o+1x3o"
    assert main(["evaluate", "--model", "both.pt", "--data", "both.extxyz", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert {target: figures[target]["unit"] for target in figures} == {"apt": "e", "pgt": "Å²"}
    for found in figures.values():
        assert found["relative"] == pytest.approx(found["rmse"] / found["spread"])
    one = ["evaluate", "--model", "both.pt", "--target", "pgt", "--data", "both.extxyz"]
    assert main([*one, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == figures["pgt"]
    assert main(one) == 0
    assert "all figures in Å²" in capsys.readouterr().out
    assert main([*one[:4], "dipole", *one[5:]]) == 2
    assert "--target: found dipole, expected apt or pgt" in capsys.readouterr().err
    out = ["--data", "both.extxyz", "--out", "out.extxyz"]
    assert main(["predict", "--model", "water-apt,pgt.pt", *out]) == 2  # no sodium in water-apt
    assert main(["predict", "--model", "both.pt", *out]) == 0
    (tensors,) = Predictor.from_file("both.pt").tensors(frames[:1])
    written = ase.io.read("out.extxyz", 0)
    for target, members in tensors.items():
        columns = members.reshape(2, 17, -1)
        assert np.allclose(written.arrays[target], columns.mean(axis=0), atol=1e-6)
        assert np.allclose(written.arrays[f"{target}_std"], columns.std(axis=0, ddof=1), atol=1e-6)


def test_weights_of_targets_have_two_spellings_in_files(tmp_path):
    config = tmp_path / "train.toml"
    config.write_text(
        'data = "a.extxyz"\nout = "b.pt"\nnetwork_name = "simple"\nmax_minutes = 7.0\n'
        "[training]\napt_weight = 2\n[training.weights]\npgt = 0.5\n"
    )
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    job = train.make_job(parser.parse_args(["--config", str(config), "--seed", "3"]))
    assert job.training.weights == {"apt": 2.0, "pgt": 0.5}
    assert (job.network, job.training.seed, job.data) == ("simple", 3, Path("a.extxyz"))
    assert job.training.max_minutes == 7.0  # as every option, also outside its table


def test_info_of_a_stream_and_a_potential(tmp_path, capsys):
    header = StreamHeader.for_atoms(triclinic(), timestep=0.5, stride=4, temperature=310.0)
    with StreamWriter(tmp_path / "s.zarr", header, first_step=0) as stream:
        for step in (0, 4, 8):
            stream.append(step, 0.5 * step, {"bead": np.ones((1, 3))})
    assert main(["info", str(tmp_path / "s.zarr"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["kind"], facts["frames"], facts["temperature"]) == ("stream", 3, 310.0)
    assert main(["info", "water-mace"]) == 0
    printed = capsys.readouterr().out
    assert "level_of_theory" in printed
    assert "sha256" in printed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('outt = "x"\n', "key: found outt"),
        ("[training]\nepoch = 3\n", r"[training]: found epoch"),
        ("[network]\nchannels = 3\n", "settings: found channels"),
        ("[training]\nepochs = -1\n", "epochs: found -1"),
        ('[training]\nepochs = "60"\n', "epochs: found '60', expected a whole number"),
        ("[training]\nlearning_rate = nan\n", "learning_rate: found nan, expected a number"),
        ("[training]\nseed = -1\n", "seed: found -1, expected a whole number, at least 0"),
        ('[training]\npgt_weight = "1"\n', "weights: found {'pgt': '1'}, expected a table"),
        ("[training]\npgt_weight = 0\n", "weights: found {'pgt': 0}"),
        ('[network]\ncutoff = "6"\n', "cutoff: found '6', expected a number, more than 0"),
        ("committee = 1.5\n", "committee: found 1.5, expected a whole number"),
        ('network = "ace"\n', "network: found 'ace', expected a table [network]"),
        ("valid = 3\n", "valid: found 3, expected a file name"),
        ("data = \n", "expected a TOML file"),
        ("valid_fraction = 1.5\n", "valid_fraction: found 1.5"),
    ],
)
def test_bad_configurations_are_refused(frames, tmp_path, capsys, text, message):
    config = tmp_path / "train.toml"
    config.write_text(text)
    code = main(
        ["train", "--config", str(config), "--data", str(frames), "--out", str(tmp_path / "m.pt")]
    )
    error = capsys.readouterr().err
    assert code == 2
    assert message in error
    assert len(error.strip().splitlines()) == 1


def test_errors_are_one_line_with_exit_code_2(model, tmp_path, capsys):
    assert main(["info", str(tmp_path / "nothing")]) == 2
    assert main(["evaluate", "--model", str(model), "--data", str(tmp_path / "none.xyz")]) == 2
    assert main(["predict", "--model", "water-apt2", "--data", "x", "--out", "y"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 3


def test_unwritable_output_is_said_before_training(frames, capsys):
    arguments = ["train", "--data", str(frames), "--out", "/proc/nowhere/model.pt"]
    assert main(arguments) == 2
    assert "/proc/nowhere" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert f"aptnn-md {command}" in text
    assert "example:" in text


def test_the_command_line_answers_at_once():
    """``aptnn-md --help`` in less than half a second, without what is large."""
    code = "import sys; from aptnn_md.cli import main; main(['--help'])"
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # of the processor: others may be at work on this machine
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 0.5
    imported = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import aptnn_md.cli"],
        check=True,
        capture_output=True,
        text=True,
    ).stderr
    names = {line.rpartition("|")[2].strip().partition(".")[0] for line in imported.splitlines()}
    assert "aptnn_md" in names
    assert not {"torch", "ase", "numpy", "scipy", "zarr", "matplotlib"} & names


@pytest.mark.parametrize("command", ["md", "driver", "ipi", "demo"])
def test_help_of_a_command_does_not_import_torch(command):
    code = (
        "import sys; from aptnn_md.cli import main\n"
        f"try: main([{command!r}, '--help'])\nexcept SystemExit: pass\n"
        "assert not {'torch', 'ase', 'zarr', 'ipi'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_help_does_not_import_torch():
    code = (
        "import sys; from aptnn_md.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "assert not {'torch', 'ase', 'zarr', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture
def overflowing(tmp_path):
    """A model whose numbers are finite and whose tensors are not."""
    checkpoint = random_checkpoint()
    weights = {**checkpoint.members[0]}
    weights["scale"] = torch.full_like(weights["scale"], 3e38)
    weights["mean"] = torch.full_like(weights["mean"], 3e38)
    path = tmp_path / "large.pt"
    write_model_file(path, dataclasses.replace(checkpoint, members=(weights,)))
    return path


def test_tensors_that_are_not_finite_are_not_written(overflowing, frames, tmp_path, capsys):
    out = tmp_path / "out.extxyz"
    command = ["--model", str(overflowing), "--data", str(frames)]
    assert main(["predict", *command, "--out", str(out)]) == 1
    message = capsys.readouterr().err
    assert re.search(r"APTs of \w+ are not finite, first that of atom \d+ \((H|O|Na)\)", message)
    assert not out.exists()
    assert main(["evaluate", *command, "--json"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "not finite" in printed.err


def test_json_has_no_nan():
    facts = {"a": float("nan"), "b": [1.0, float("-inf")], 3: {"c": (None, "d")}, "e": Path("f")}
    strict = json.loads(json_text(facts), parse_constant=pytest.fail)
    assert strict == {"a": None, "b": [1.0, None], "3": {"c": [None, "d"]}, "e": "f"}


def test_damaged_models_end_commands_with_code_2(model, frames, tmp_path, capsys):
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 8
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes(content)
    out = str(tmp_path / "out.extxyz")
    data = ["--data", str(frames)]
    for path in (damaged, tmp_path):
        for command in (
            ["predict", "--model", str(path), *data, "--out", out],
            ["evaluate", "--model", str(path), *data, "--json"],
            *([["info", str(path)]] if path == damaged else []),
        ):
            assert main(command) == 2
            printed = capsys.readouterr()
            assert printed.out == ""
            assert printed.err.count("\n") == 1
            assert str(path) in printed.err


def test_info_says_where_a_run_stands(tmp_path, capsys):
    atoms = Atoms("COH4", np.random.default_rng(0).normal(size=(6, 3)))
    atoms.calc = LennardJones(epsilon=1e-6)
    atoms.set_velocities(np.full((6, 3), 0.01))
    dynamics = VelocityVerlet(atoms, 0.25 * units.fs)
    dynamics.run(6)
    state = DynamicsState.of(dynamics)
    state.write(tmp_path / "run.checkpoint.npz")
    assert main(["info", str(tmp_path / "run.checkpoint.npz"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["kind"], facts["atoms"]) == ("checkpoint of a run", "CH4O")
    assert (facts["step"], facts["time"], facts["timestep"]) == (6, "0.0015 ps", "0.25 fs")
    assert float(facts["kinetic_energy"].split()[0]) == pytest.approx(atoms.get_kinetic_energy())
    ensemble = tmp_path / "many.checkpoint.npz"
    EnsembleState(3, state, state).write(ensemble)
    assert main(["info", str(ensemble), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["kind"] == "checkpoint of an ensemble, in a run"
    assert (facts["complete_runs"], facts["step"]) == ("3", 6)
    ensemble.write_bytes(ensemble.read_bytes()[:-200])
    assert main(["info", str(ensemble)]) == 2
    assert "damaged" in capsys.readouterr().err


def test_info_says_what_was_verified(model, capsys):
    assert main(["info", str(model), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["sha256"] == read_model_file(model).sha256
    assert facts["verified"].endswith(read_model_file(model).content_sha256)
    assert facts["units"] == {"apt": "e"}
    assert facts["charges"] == "not in the model card"
    assert main(["info", "water-apt"]) == 0
    assert "no SHA-256 of the content" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_devices_that_are_not_there_are_one_line(model, frames, tmp_path, capsys, command):
    options = ["--model", str(model), "--data", str(frames), "--device", "tpu9"]
    options += ["--out", str(tmp_path / "out.extxyz")] if command == "predict" else []
    assert main([command, *options]) == 2
    error = capsys.readouterr().err
    assert "--device: tpu9: found" in error
    assert "expected a device of this machine: cpu" in error
    assert error.count("\n") == 1


def test_info_says_what_of_a_model_was_verified(capsys):
    assert main(["info", "--check", "water-apt"]) == 0
    assert "CRC-32 of all members" in capsys.readouterr().out
