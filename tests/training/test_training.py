"""Training learns, respects missing labels, and resumes exactly after a kill."""

import csv
import math
import os
import random
import re
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase.build import bulk
from helpers.kills import KilledRun, kill_until_complete, newest
from helpers.systems import SMALL_ACE, SMALL_SIMPLE, random_checkpoint, triclinic

from aptnn_md.cli import main
from aptnn_md.errors import InputError, RunError
from aptnn_md.models.tensor_network import fresh_model
from aptnn_md.prediction.model_file import read_model_file
from aptnn_md.prediction.predictor import Predictor
from aptnn_md.training.clock import WorkClock
from aptnn_md.training.dataset import read_labelled
from aptnn_md.training.evaluation import draw_parity, evaluate, evaluate_targets
from aptnn_md.training.job import run_training
from aptnn_md.training.records import Ending, EpochRecord, late_fall
from aptnn_md.training.samples import TYPICAL_SPREAD, loss_factors, spread_of
from aptnn_md.training.settings import TrainingJob, TrainingSettings, with_epochs
from aptnn_md.training.state import StateFile
from aptnn_md.training.trainer import Trainer


def teacher(atoms):
    return Predictor(random_checkpoint(seed=7), dtype="float64", neutral=False)(atoms)


def write_frames(path, seeds, missing=False):
    frames = []
    for seed in seeds:
        atoms = triclinic(seed)
        labels = teacher(atoms).reshape(len(atoms), 9)
        if missing:
            labels[seed % 5 :: 3] = np.nan
        atoms.arrays["apt"] = labels
        frames.append(atoms)
    ase.io.write(path, frames, format="extxyz")
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_frames(tmp_path_factory.mktemp("data") / "train.extxyz", range(8), missing=True)


def job(data, out, **settings):
    committee = settings.pop("committee", 1)
    return TrainingJob(
        data=data,
        out=out,
        network_settings={**SMALL_ACE, "input_scale": 0.3},
        committee=committee,
        training=TrainingSettings(**{"epochs": 4, "warmup_steps": 3, **settings}),
    )


@pytest.mark.thorough
def test_training_learns_from_partial_labels(tmp_path, data):
    checkpoint = run_training(job(data, tmp_path / "model.pt", epochs=25, learning_rate=0.01))
    result = evaluate(Predictor(checkpoint, neutral=False), read_labelled(data))
    spread = np.sqrt(np.mean([(errors.spread) ** 2 for errors in result.by_element.values()]))
    assert result.rmse < 0.5 * spread
    assert result.n_atoms < 8 * 17
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"model.pt", "model.csv", "model.png"}
    rows = list(csv.DictReader((tmp_path / "model.csv").open()))
    assert len(rows) == 25
    assert float(rows[-1]["train_rmse"]) < 0.5 * float(rows[0]["train_rmse"])
    assert {"valid_rmse_O", "valid_rmse_Na"} <= set(rows[0])
    card = checkpoint.card
    assert card["elements"] == ["H", "O", "Na"]
    assert card["training_frames"] == 7
    assert card["validation_rmse"] > 0


@pytest.fixture(scope="module")
def joint_data(tmp_path_factory):
    """Labels of both targets by a teacher, some missing for one target, some frames for both."""
    teacher = Predictor(random_checkpoint(seed=7, target="apt+pgt"), dtype="float64", neutral=False)
    frames = []
    for seed in range(9):
        atoms = triclinic(seed)
        (tensors,) = teacher.tensors([atoms])
        for target, members in tensors.items():
            # gradients that are larger than their spread in e would let the APTs count for nothing
            size = 20.0 if target == "pgt" else 0.2
            atoms.arrays[target] = size * members[0].reshape(len(atoms), -1)
        atoms.arrays["apt"][seed % 5 :: 3] = np.nan
        atoms.arrays["pgt"][seed % 3 :: 4] = np.nan
        atoms.info["label_status"] = "ok"
        if seed == 2:
            del atoms.arrays["pgt"]
        if seed == 4:
            atoms.arrays["apt"][:] = atoms.arrays["pgt"][:] = np.nan
            atoms.info["label_status"] = "failed"
        frames.append(atoms)
    path = tmp_path_factory.mktemp("joint") / "both.extxyz"
    ase.io.write(path, frames, format="extxyz")
    return path


@pytest.mark.thorough
def test_both_targets_are_learned_from_partial_labels(tmp_path, joint_data):
    plain = job(joint_data, tmp_path / "both.pt", epochs=18, learning_rate=0.01)
    checkpoint = run_training(replace(plain, target="apt+pgt", valid_fraction=0.25))
    frames = read_labelled(joint_data, "apt+pgt")
    assert [frame.any_label for frame in frames].count(False) == 1
    results = evaluate_targets(Predictor(checkpoint, neutral=False), frames)
    for target, unit in {"apt": "e", "pgt": "Å²"}.items():
        # both are learned, one no better than the other, though their sizes differ a hundredfold
        assert results[target].relative < 0.75
        assert results[target].unit == unit
        assert results[target].n_atoms == sum(frame.has_label(target).sum() for frame in frames)
    rows = list(csv.DictReader((tmp_path / "both.csv").open()))
    both = [float(rows[-1][f"train_rmse_{target}"]) for target in ("apt", "pgt")]
    assert both[1] > 20 * both[0]
    assert float(rows[-1]["train_rmse"]) < 0.7 * float(rows[0]["train_rmse"])
    assert {"valid_rmse_apt", "valid_rmse_pgt", "valid_rmse_pgt_O"} <= set(rows[0])
    assert checkpoint.card["training_frames"] == 6
    assert set(checkpoint.card["validation_rmse"]) == {"apt", "pgt"}
    save = read_model_file(tmp_path / "both.pt")
    again, first = Predictor(save), Predictor(checkpoint)
    atoms = triclinic(11)
    for target, tensors in again.tensors([atoms])[0].items():
        assert np.array_equal(tensors, first.tensors([atoms])[0][target])


def test_losses_are_measured_by_the_spread():
    species = torch.tensor([0, 0, 1, 1])
    tensors = torch.tensor([1.0, 3.0, -4.0, 4.0])[:, None, None] * torch.ones(4, 3, 3)
    # deviations from the means of the elements: ±1 and ±4
    assert np.isclose(spread_of(species, tensors), np.sqrt(17 / 2))
    assert loss_factors({"apt": 0.3}) == {"apt": 1.0}
    for spreads in ({"apt": 0.05, "pgt": 8.0}, {"pgt": 0.7}):
        factors = loss_factors(spreads)
        # an error as large as the spread costs the same for any target
        for target, size in spreads.items():
            assert np.isclose(factors[target] * size**2, TYPICAL_SPREAD**2)
    weighted = loss_factors({"apt": 0.05, "pgt": 8.0}, weights={"pgt": 3.0})
    assert np.isclose(weighted["pgt"] * 64.0, 3.0 * weighted["apt"] * 0.0025)


def test_gradients_are_evaluated_against_plain_numpy(tmp_path, joint_data):
    predictor = Predictor(random_checkpoint(target="pgt"), dtype="float64")
    frames = read_labelled(joint_data, "apt+pgt")
    result = evaluate_targets(predictor, frames)["pgt"]
    errors, labels, numbers = [], [], []
    for frame in frames:
        for k, tensor in enumerate(predictor(frame.atoms)):
            if np.isfinite(frame.labels["pgt"][k]).all():
                errors.append(tensor - frame.labels["pgt"][k])
                labels.append(frame.labels["pgt"][k])
                numbers.append(frame.atoms.numbers[k])
    errors, labels, numbers = np.array(errors), np.array(labels), np.array(numbers)
    assert np.isclose(result.rmse, np.sqrt((errors**2).mean()))
    for z in set(numbers):
        labels[numbers == z] -= labels[numbers == z].mean(axis=0)
    assert np.isclose(result.relative, result.rmse / np.sqrt((labels**2).mean()))
    assert set(result.by_irrep) == {"1o isotropic", "1o anisotropic", "2o", "3o"}
    trace = np.einsum("naac->nc", errors)
    isotropic = np.sqrt((trace**2).mean() * 3.0 / 9.0 / 9.0)  # on three of nine pairs, a third each
    assert np.isclose(result.by_irrep["1o isotropic"].rmse, isotropic)
    total = sum(errors.rmse**2 for errors in result.by_irrep.values())
    assert np.isclose(total, result.rmse**2)
    draw_parity([result], tmp_path / "parity.png", "test")
    assert (tmp_path / "parity.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_simple_network_trains(tmp_path, data):
    simple = replace(
        job(data, tmp_path / "m.pt", epochs=2), network="simple", network_settings=SMALL_SIMPLE
    )
    assert run_training(simple).network == "simple"


def same_weights(one, other):
    return all(
        torch.equal(a[key], b[key])
        for a, b in zip(one.members, other.members, strict=True)
        for key in a
    )


COMMAND = [sys.executable, "-c", "import sys; from aptnn_md.cli import main; sys.exit(main())"]


LENGTH = ["--epochs", "6", "--committee", "2"]


def start(data, out, *extra):
    config = out.with_suffix(".toml")
    config.write_text(
        "[network]\ncutoff = 4.0\nn_radial = 4\nn_channels = 6\nmessage_cutoff = 3.0\n"
        "message_radial = 3\nmessage_channels = 4\ninput_scale = 0.3\n"
        "[training]\nwarmup_steps = 3\n"
    )
    return subprocess.Popen(
        [*COMMAND, "train", "--config", config, "--data", data, "--out", out, *LENGTH, *extra],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.slow
def test_killed_training_resumes_exactly(tmp_path, data):
    process = start(data, tmp_path / "whole.pt")
    assert process.wait(120) == 0
    broken = tmp_path / "broken.pt"

    def begin(directory):
        again = ["--restart"] if (directory / "broken.pt.state").exists() else []
        return start(data, broken, *again)

    # a new state has been written since the process started, and a bit of the next epoch is done
    run = KilledRun(begin, lambda directory: {}, newest("broken.pt.state"), longest=0.1)
    restarts = len(kill_until_complete(run, tmp_path, random.Random(1), most=3))
    assert restarts >= 2
    first, second = read_model_file(tmp_path / "whole.pt"), read_model_file(broken)
    assert same_weights(first, second)
    epochs = [
        [(row["member"], row["epoch"], row["valid_rmse"]) for row in csv.DictReader(path.open())]
        for path in (tmp_path / "whole.csv", tmp_path / "broken.csv")
    ]
    assert epochs[0] == epochs[1]
    assert len(epochs[0]) == 12


@pytest.mark.thorough
def test_time_limit_and_patience_end_training(tmp_path, data):
    begin = time.monotonic()
    run_training(job(data, tmp_path / "a.pt", epochs=10**6, max_minutes=0.05))
    assert time.monotonic() - begin < 30.0
    # nothing is learned, so nothing gets better after the first epoch
    run_training(job(data, tmp_path / "b.pt", epochs=400, patience=2, learning_rate=1e-12))
    assert len((tmp_path / "b.csv").read_text().splitlines()) == 1 + 3


@pytest.mark.thorough
def test_without_validation_the_last_weights_are_kept(tmp_path, data):
    checkpoint = run_training(replace(job(data, tmp_path / "m.pt"), valid_fraction=0.0))
    assert checkpoint.card["validation_rmse"] is None
    assert checkpoint.card["training_frames"] == 8


@pytest.mark.thorough
def test_data_without_variety_blows_nothing_up(tmp_path):
    """A perfect crystal: densities of l > 0 and all of l > 0 in the labels vanish by symmetry."""
    atoms = bulk("NaH", "rocksalt", a=4.9, cubic=True)
    charge = np.where(atoms.numbers == 11, 0.9, -0.9)
    atoms.arrays["apt"] = (charge[:, None, None] * np.eye(3)).reshape(-1, 9)
    ase.io.write(tmp_path / "crystal.extxyz", [atoms, atoms])
    model = run_training(job(tmp_path / "crystal.extxyz", tmp_path / "m.pt", epochs=3))
    predictor = Predictor(model)
    assert np.allclose(predictor(atoms), atoms.arrays["apt"].reshape(-1, 3, 3), atol=1e-3)
    atoms.rattle(0.03, seed=1)
    assert np.abs(predictor(atoms) - atoms.arrays["apt"].reshape(-1, 3, 3)).max() < 0.1


@pytest.mark.thorough
def test_a_trained_model_is_a_better_beginning(tmp_path, data):
    """Other labels of the same kind are learned in fewer epochs from its weights."""
    first = run_training(job(data, tmp_path / "first.pt", epochs=15, learning_rate=0.01))
    similar = []
    frames = ase.io.read(data, ":")
    for atoms in frames[:3]:
        atoms.arrays["apt"] = 1.3 * atoms.arrays["apt"]
        similar.append(atoms)
    ase.io.write(tmp_path / "few.extxyz", similar)
    ase.io.write(tmp_path / "others.extxyz", frames[3:])
    few = job(tmp_path / "few.extxyz", tmp_path / "new.pt", epochs=6)
    few = replace(few, valid=tmp_path / "others.extxyz")
    again = replace(few, out=tmp_path / "more.pt", start_from=str(tmp_path / "first.pt"))
    new, more = run_training(few), run_training(again)
    assert more.card["training_rmse"] < 0.7 * new.card["training_rmse"]
    assert more.card["start_from"] == f"first.pt {first.sha256[:12]}"
    assert new.card["start_from"] is None
    # what the weights were trained with stays: inputs and outputs have the scales that they had
    was, now = first.members[0], more.members[0]
    assert torch.equal(now["network.density_scale"], was["network.density_scale"])
    assert not torch.equal(new.members[0]["network.density_scale"], was["network.density_scale"])
    for name in ("mean", "scale"):
        assert torch.equal(now[name], was[name])
    assert torch.allclose(new.members[0]["mean"], 1.3 * was["mean"], rtol=0.1, atol=0.05)


@pytest.mark.thorough
def test_a_beginning_that_does_not_fit(tmp_path, data, joint_data):
    out = tmp_path / "first.pt"
    run_training(job(data, out, epochs=1))
    again = replace(job(data, tmp_path / "second.pt", epochs=1), start_from=str(out))
    with pytest.raises(InputError, match="target"):
        run_training(replace(again, data=joint_data, target="apt+pgt"))
    with pytest.raises(InputError, match="input_scale"):
        run_training(replace(again, network_settings={"input_scale": 0.4}))
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    atoms.arrays["apt"] = np.tile(np.eye(3).reshape(9), (8, 1))
    ase.io.write(tmp_path / "salt.extxyz", [atoms, atoms])
    with pytest.raises(InputError, match="a model that knows Cl"):
        run_training(replace(again, data=tmp_path / "salt.extxyz"))
    with pytest.raises(InputError, match="no such file"):
        run_training(replace(again, start_from="absent.pt"))
    # a job that was killed is resumed with the same beginning only
    StateFile.of(again).write([], None)
    run_training(job(data, tmp_path / "other.pt", epochs=1, seed=1))
    with pytest.raises(InputError, match="start_from"):
        run_training(replace(again, start_from=str(tmp_path / "other.pt")), restart=True)


def test_epochs_suit_the_number_of_frames():
    assert with_epochs(TrainingSettings(), [384] * 9).epochs == 156
    assert with_epochs(TrainingSettings(batch_size=3), [384] * 9).epochs == 467
    assert with_epochs(TrainingSettings(), [384] * 1000).epochs == 30
    assert with_epochs(TrainingSettings(epochs=7), [384] * 9).epochs == 7
    assert with_epochs(TrainingSettings(batch_atoms=60), [6] * 200).epochs == 70


def test_the_average_follows_the_formula(tmp_path, data):
    """a <- d a + (1 - d) w after every step, d rising with the epochs to at most ema_decay."""
    frames = read_labelled(data)[:3]
    model = fresh_model("ace", "apt", (1, 8, 11), SMALL_ACE, 0)
    trainer = Trainer(model, frames, [], TrainingSettings(epochs=30, ema_decay=0.3, batch_size=3))
    expected = [parameter.detach().clone().double() for parameter in model.parameters()]
    for epoch in range(6):
        trainer.run_epoch()
        decay = min(0.3, (epoch + 1) / (epoch + 10))
        for average, parameter in zip(expected, model.parameters(), strict=True):
            average.mul_(decay).add_((1.0 - decay) * parameter.detach())
        for average, own in zip(expected, trainer.average.values, strict=True):
            assert torch.allclose(own.double(), average, rtol=1e-4, atol=1e-6)


@pytest.mark.thorough
def test_divergence_is_said(tmp_path, data):
    with pytest.raises(RunError, match="diverged in epoch"):
        run_training(job(data, tmp_path / "m.pt", learning_rate=1e9, gradient_clip=1e9))


@pytest.mark.thorough
def test_an_epoch_that_diverges_is_repeated_with_a_lower_learning_rate(data, caplog, monkeypatch):
    frames = read_labelled(data)
    settings = TrainingSettings(epochs=6, batch_size=1, warmup_steps=0, learning_rate=2.0)

    def fresh():
        model = fresh_model("ace", "apt", (1, 8, 11), SMALL_ACE, 0)
        return Trainer(model, frames, [], settings)

    trainer = fresh()
    starts = []
    whole = trainer._pass_over_frames

    def watched():
        starts.append((trainer.epoch, [w.detach().clone() for w in trainer.parameters]))
        return whole()

    monkeypatch.setattr(trainer, "_pass_over_frames", watched)
    errors = [trainer.run_epoch().train for _ in range(3)]
    assert "diverged" in caplog.text
    assert len(starts) > 3
    for (epoch, weights), (next_epoch, next_weights) in pairwise(starts):
        if epoch == next_epoch:
            assert all(map(torch.equal, weights, next_weights))
    assert max(errors) < 5.0 * trainer.spreads["apt"]
    assert trainer.learning_rate < 2.0
    # the rest of the training keeps the lower one, resumed or not
    resumed = fresh()
    resumed.load_state(trainer.state())
    assert resumed.learning_rate == trainer.learning_rate
    assert resumed.run_epoch().train == trainer.run_epoch().train


def test_states_of_other_jobs_are_refused(tmp_path, data):
    out = tmp_path / "m.pt"
    out.write_bytes(b"a model")
    with pytest.raises(InputError, match=r"m\.pt: the job has ended, expected the state of a job"):
        run_training(job(data, out), restart=True)
    assert out.read_bytes() == b"a model"
    (tmp_path / "m.pt.state").write_bytes(b"no state")
    with pytest.raises(InputError, match="--restart to resume it, or no such file"):
        run_training(job(data, out))
    with pytest.raises(InputError, match="not a training state"):
        run_training(job(data, out), restart=True)


@pytest.mark.thorough
def test_restart_begins_where_there_is_nothing_to_resume(tmp_path, data):
    """As with md: one command begins and resumes."""
    begun = run_training(job(data, tmp_path / "a.pt"), restart=True)
    assert same_weights(begun, run_training(job(data, tmp_path / "b.pt")))


def test_states_of_other_versions_and_devices(tmp_path, data):
    state = StateFile.of(job(data, tmp_path / "m.pt"))
    torch.save({"job": {}, "finished": [], "unfinished": None}, state.path)
    with pytest.raises(InputError, match="state of another version of aptnn_md"):
        state.begin(restart=True)
    torch.save([1, 2], state.path)
    with pytest.raises(InputError, match="not a training state"):
        state.begin(restart=True)
    # written on one device, read for another
    state.write([], {"parameters": [torch.ones(2)]})
    assert state.begin(restart=True)[1]["parameters"][0].device.type == "cpu"
    _, unfinished = replace(state, device="meta").begin(restart=True)
    assert unfinished["parameters"][0].device.type == "meta"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("epochs", "60", "a whole number, at least 0"),
        ("epochs", -1, "at least 0"),
        ("batch_size", -1, "at least 0"),
        ("batch_atoms", 0, "at least 1"),
        ("learning_rate", float("nan"), "a number, more than 0"),
        ("learning_rate", 0.0, "more than 0"),
        ("max_minutes", 0.0, "more than 0"),
        ("seed", -1, "at least 0"),
        ("ema_decay", 1.0, "less than 1"),
        ("patience", 1.5, "a whole number"),
        ("weights", {"pgt": 0.0}, "a table"),
        ("weights", {"dipoles": 1.0}, "targets among apt, pgt"),
    ],
)
def test_settings_are_checked_for_python_users_too(name, value, expected):
    with pytest.raises(
        InputError, match=f"TrainingSettings: {name}: found .*expected .*{expected}"
    ):
        TrainingSettings(**{name: value})


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("valid_fraction", 1.0, "less than 1"),
        ("committee", 0, "at least 1"),
        ("out", "model.csv", "a name for a model file"),
        ("target", "dipole", "--network dipole"),
        ("target", "polar", "apt, pgt"),
        ("network", "transformer", "one of ace, dipole, polarizability, simple"),
        ("device", 0, "text"),
        ("training", {"epochs": 3}, "TrainingSettings"),
    ],
)
def test_jobs_are_checked_for_python_users_too(name, value, expected):
    with pytest.raises(InputError, match=f"TrainingJob: {name}: found .*expected .*{expected}"):
        TrainingJob(**{"data": "frames.extxyz", "out": "model.pt", name: value})
    assert TrainingJob("frames.extxyz", "model.pt").state_path == Path("model.pt.state")


@pytest.mark.parametrize("device", ["tpu9", "xla"])
def test_devices_that_are_not_there_are_refused(tmp_path, data, device):
    with pytest.raises(InputError, match=f"--device: {device}: found .*expected a device of this"):
        run_training(replace(job(data, tmp_path / "m.pt"), device=device))
    assert not (tmp_path / "m.pt.state").exists()


@pytest.mark.thorough
def test_a_training_ended_by_the_clock_says_so(tmp_path, data, caplog, capsys):
    limited = job(data, tmp_path / "a.pt", epochs=10**5, max_minutes=0.03, committee=2)
    ended = run_training(limited).card["training_ended"]
    assert len(ended) == 2
    for text in ended:
        assert re.fullmatch(
            r"the time limit, after \d+ of 100000 epochs"
            r"(, far from convergence(: the error fell by \d+ % in the second half)?)?",
            text,
        )
    assert "network 2 of 2 ended by the time limit" in caplog.text
    minutes = float(re.search(r"--max-minutes (\S+)", caplog.text)[1])
    assert minutes > 2.0 * 0.03
    caplog.clear()
    whole = run_training(job(data, tmp_path / "b.pt", epochs=2))
    assert whole.card["training_ended"] == ["all 2 epochs"]
    patient = job(data, tmp_path / "c.pt", epochs=400, patience=2, learning_rate=1e-12)
    assert run_training(patient).card["training_ended"] == ["patience, after 3 of 400 epochs"]
    assert "ended by" not in caplog.text
    config = tmp_path / "small.toml"
    config.write_text("[network]\nn_channels = 4\ncutoff = 4.0\n[training]\nepochs = 100000\n")
    command = ["train", "--config", str(config), "--data", str(data), "--max-minutes", "0.03"]
    assert main([*command, "--out", str(tmp_path / "d.pt")]) == 0
    assert "training was ended by the time limit, after" in capsys.readouterr().out


class CountedClock:
    """A clock that goes by a hundredth of a second whenever it is read."""

    def __init__(self, before=0.0):
        self.seconds = before

    def read(self):
        self.seconds += 0.01
        return self.seconds


@pytest.mark.thorough
def test_a_training_that_had_too_little_time_is_given_more(tmp_path, data, monkeypatch):
    monkeypatch.setattr("aptnn_md.training.trainer.WorkClock", CountedClock)
    limited = job(data, tmp_path / "a.pt", epochs=10**5, max_minutes=0.03, committee=2)
    first = run_training(limited)
    assert (tmp_path / "a.pt.state").exists()
    before = list(csv.DictReader((tmp_path / "a.csv").open()))
    # no more time: nothing changes
    assert same_weights(run_training(limited, restart=True), first)
    more = replace(limited, training=replace(limited.training, max_minutes=0.06))
    second = run_training(more, restart=True)
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    for member in "01":
        early, late = ([r for r in rs if r["member"] == member] for rs in (before, rows))
        assert len(late) > len(early) > 1
        assert late[: len(early)] == early
        # the time of all runs counts, and each network has half of it
        assert 0.6 < float(late[-1]["seconds"]) / (60.0 * 0.06 / 2) <= 1.0
        assert float(late[len(early)]["seconds"]) > float(early[-1]["seconds"])
    assert not same_weights(first, second)
    # another job with the same name is a new one, and the state of an ended job is no obstacle
    with pytest.raises(InputError, match="learning_rate"):
        run_training(
            replace(more, training=replace(more.training, learning_rate=1e-3)), restart=True
        )
    run_training(replace(limited, training=replace(limited.training, epochs=2), committee=1))
    assert not (tmp_path / "a.pt.state").exists()


def test_taking_the_best_weights_changes_nothing(data):
    model = fresh_model("ace", "apt", (1, 8, 11), SMALL_ACE, 0)
    trainer = Trainer(model, read_labelled(data)[:3], [], TrainingSettings(epochs=30))
    trainer.run_epoch()
    before = trainer.state()["parameters"]
    best = trainer.weights()
    for old, new in zip(before, trainer.state()["parameters"], strict=True):
        assert torch.equal(old, new)
    names = dict(model.named_parameters())
    for name, averaged in zip(names, trainer.average.values, strict=True):
        assert torch.equal(best[name], averaged)


def test_only_work_counts(monkeypatch):
    wall, own = [100.0], [3.0]
    monkeypatch.setattr("time.monotonic", lambda: wall[0])
    monkeypatch.setattr("time.process_time", lambda: own[0])
    clock = WorkClock(before=50.0)
    wall[0], own[0] = 110.0, 12.0
    assert clock.read() == 60.0  # on one core
    wall[0], own[0] = 120.0, 31.0
    assert clock.read() == 70.0  # on two cores
    wall[0], own[0] = 130.0, 32.0
    assert clock.read() == 80.0  # on a busy machine
    wall[0], own[0] = 3730.0, 32.5
    assert clock.read() == 90.0  # stopped for an hour
    assert clock.read() == 90.0


def test_how_far_the_error_still_fell():
    def records(errors, valid=True):
        return [
            EpochRecord(k, 0.0, 0.0, train=e, valid=e if valid else math.nan)
            for k, e in enumerate(errors)
        ]

    falling = [0.5, 0.2, 0.3, 0.4, 0.25, 0.15, 0.1, 0.3]
    assert late_fall(records(falling)) == pytest.approx(0.5)
    assert late_fall(records(falling, valid=False)) == pytest.approx(0.5)
    assert late_fall(records([0.5, 0.1, 0.2, 0.3, 0.2, 0.2, 0.4, 0.2])) == 0.0
    assert late_fall(records([0.0] * 8)) == 0.0
    assert late_fall(records(falling[:7])) is None
    assert late_fall([]) is None
    assert "far" in str(Ending(6, 60, True, 1.0, 0.5))
    assert "50 %" in str(Ending(6, 60, True, 1.0, 0.5))
    assert "far" not in str(Ending(6, 60, True, 1.0, 0.05))
    assert "far" in str(Ending(1, 60, True, 1.0, None))
    assert str(Ending(60, 60, False, 1.0, 0.5)) == "all 60 epochs"


def test_evaluation_against_plain_numpy(tmp_path, data):
    predictor = Predictor(random_checkpoint(), dtype="float64")
    frames = read_labelled(data)
    result = evaluate(predictor, frames)
    errors, numbers = [], []
    for frame in frames:
        for k, tensor in enumerate(predictor(frame.atoms)):
            if np.isfinite(frame.tensors[k]).all():
                errors.append(tensor - frame.tensors[k])
                numbers.append(frame.atoms.numbers[k])
    errors, numbers = np.array(errors), np.array(numbers)
    assert np.isclose(result.rmse, np.sqrt((errors**2).mean()))
    assert np.isclose(result.mae, np.abs(errors).mean())
    oxygen = errors[numbers == 8]
    assert np.isclose(result.by_element["O"].rmse, np.sqrt((oxygen**2).mean()))
    antisymmetric = (errors - np.swapaxes(errors, 1, 2)) / 2
    assert np.isclose(result.by_irrep["1e"].rmse, np.sqrt((antisymmetric**2).mean()))
    total = sum(errors.rmse**2 for errors in result.by_irrep.values())
    assert np.isclose(total, result.rmse**2)
    draw_parity([result], tmp_path / "parity.png", "test")
    assert (tmp_path / "parity.png").read_bytes().startswith(b"\x89PNG")
