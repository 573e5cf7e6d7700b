"""Runs of a second or less that begin or resume in a directory, and what must be there in the end.

Each takes a directory and is complete when it returns; called again after it was killed, it goes to
the same end as a run that nobody disturbed.
"""

from __future__ import annotations

import contextlib
import csv
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import torch

from aptnn_md.cli import main
from aptnn_md.engines.ase.calculator import APTCalculator
from aptnn_md.engines.ase.md import run_md
from aptnn_md.engines.ase.settings import MDSettings
from aptnn_md.engines.trajectory.opening import open_trajectory
from aptnn_md.engines.trajectory.settings import TrajectoryFiles, TrajectorySettings
from aptnn_md.engines.trajectory.trajectory_stream import stream_trajectory
from aptnn_md.labels.job import LabelJob, run_labels
from aptnn_md.labels.labelled_file import FrameToLabel
from aptnn_md.prediction.loading import as_model
from aptnn_md.prediction.model_file import read_model_file, write_model_file
from aptnn_md.stream import StreamReader
from aptnn_md.stream.ensemble import Ensemble, complete_runs
from aptnn_md.training.job import run_training
from aptnn_md.training.settings import TrainingJob, TrainingSettings
from helpers import increment_streams, stored_runs
from helpers import toy_molecules as toy
from helpers.systems import SMALL_ACE, random_checkpoint, triclinic

SMALLEST = {**SMALL_ACE, "n_radial": 2, "n_channels": 2, "message_radial": 2, "message_channels": 2}
"""Of the networks that are compiled by nobody: that would wait for ever in a forked process."""

Content = dict[str, Any]
"""Names -> what ``==`` compares: bytes, numbers, text."""


@dataclass(frozen=True)
class ShortRun:
    """A run, what is compared, and files that are whole whenever they are there.

    Attributes
    ----------
    work : begins or resumes in a directory
    content : of the directory of a complete run
    prepare : makes the input
    whole : patterns of names of files that are written in one step
    """

    work: Callable[[Path], object]
    content: Callable[[Path], Content]
    prepare: Callable[[Path], object] = lambda directory: None
    whole: tuple[str, ...] = ()


def plain(value: Any) -> Any:
    """Arrays and tensors in nested containers as bytes with dtype and shape."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return repr(value)  # repr: NaN equals itself


def stream_content(path: Path) -> Content:
    """Header and all arrays of a stream, without the name of the run."""
    reader = StreamReader(path)
    arrays = {name: reader.read(name) for name in ("step", "time", *reader.arrays)}
    header = replace(reader.header, run_id="")  # which is drawn at random
    return {"header": repr(header), **{name: plain(a) for name, a in arrays.items()}}


# ---------------------------------------------------------------------- runs with a stream


class SlowPotential(toy.Potential):
    """The analytic potential, ``pause`` seconds slower."""

    def __init__(self, pause: float) -> None:
        super().__init__()
        self.pause = pause

    def calculate(self, *arguments: Any) -> None:
        """Wait, then calculate."""
        time.sleep(self.pause)
        super().calculate(*arguments)


def md(
    directory: Path,
    n_steps: int = 30,
    thermostat: Any = "langevin",
    pause: float = 0.0,
    checkpoint_seconds: float = 0.0,
) -> bool:
    """MD with a checkpoint after every frame; whether it is complete."""
    atoms = toy.structure(2, pbc=True)
    atoms.calc = APTCalculator(toy.Tensors(), SlowPotential(pause))
    settings = MDSettings(
        picoseconds=n_steps * 5e-4,
        stride=3,
        thermostat=thermostat,
        seed=5,
        friction=10.0,
        checkpoint_seconds=checkpoint_seconds,
    )
    checkpoint = directory / "run.npz"
    stream = directory / "stream"
    summary = run_md(atoms, stream, settings, groups="element", checkpoint=checkpoint, restart=True)
    return summary.finished


def ensemble(
    directory: Path,
    n_runs: int = 2,
    n_steps: int = 12,
    pause: float = 0.0,
    checkpoint_seconds: float = 0.0,
) -> bool:
    """An ensemble of a molecule without rotation; whether it is complete."""
    atoms = toy.structure(1)
    atoms.calc = APTCalculator(toy.Tensors(), SlowPotential(pause))
    settings = MDSettings(
        picoseconds=n_runs * n_steps * 5e-4,
        stride=3,
        n_runs=n_runs,
        rotation="remove",
        sampling=0.003,
        equilibrate=0.005,
        seed=5,
        checkpoint_seconds=checkpoint_seconds,
    )
    checkpoint, runs = directory / "run.npz", directory / "runs"
    summary = run_md(atoms, runs, settings, groups="element", checkpoint=checkpoint, restart=True)
    return summary.finished


def ensemble_content(path: Path) -> Content:
    """What the file of an ensemble says, and all of its streams."""
    runs = {run.name: stream_content(run) for run in complete_runs(path)}
    return {"ensemble": repr(Ensemble.read(path)), **runs}


def increments(directory: Path, n_beads: int = 2, n_steps: int = 12) -> None:
    """A client whose server takes up its last checkpoint, two steps before the last answer.

    The server's own memory lies beside the directory, as operations on it are not the client's.
    """
    answered = directory.with_name(f"{directory.name}-answered")
    done = int(answered.read_text()) if answered.exists() else 0
    steps = increment_streams.paths(n_beads, n_steps)
    stream = increment_streams.new(directory / "s", n_beads, groups="element")
    for number, beads in enumerate(steps[max(0, done - 2) :], max(0, done - 2)):
        increment_streams.feed(stream, beads)
        answered.write_text(str(number))
        if number % 4 == 3:
            stream.interrupt()  # a lost connection, so that frames are committed
    stream.close()


class SlowTensors(toy.Tensors):
    """The analytic tensors, ``pause`` seconds slower for each structure."""

    def __init__(self, pause: float) -> None:
        super().__init__()
        self.pause = pause

    def __call__(self, atoms: Any) -> Any:
        """Wait, then calculate."""
        time.sleep(self.pause)
        return super().__call__(atoms)


def prepare_trajectory(directory: Path) -> None:
    """A stored run for :func:`trajectory`."""
    path = input_of(directory) / "run.traj"
    if not path.exists():
        stored = stored_runs.run(input_of(directory) / "md", n_frames=60)
        ase.io.write(path, stored.frames())


def trajectory(
    directory: Path, increments: bool = False, pause: float = 0.0, commit_seconds: float = 0.0
) -> bool:
    """The stream of a stored run, committed after every frame; whether it is complete."""
    files = TrajectoryFiles((input_of(directory) / "run.traj",))
    settings = TrajectorySettings(
        directory / "stream",
        timestep=0.5,
        groups="molecule+motion",
        increments=increments,
        velocities=not increments,
        batch=7,
        commit_seconds=commit_seconds,
    )
    with open_trajectory(files) as frames:
        return stream_trajectory(frames, as_model(SlowTensors(pause)), settings).finished


# ---------------------------------------------------------------------- jobs


def label(directory: Path, n_frames: int = 2, delay: float = 0.0) -> None:
    """APTs of molecules from an analytic engine in fields; a calculation takes ``delay`` s."""
    atoms = [toy.structure(1, seed=seed) for seed in range(n_frames)]
    frames = [FrameToLabel(a, np.ones(len(a), bool)) for a in atoms]
    engine = f'helpers.toy_field:FieldPotential {{"delay": {delay}}}'
    run_labels(LabelJob(frames, engine, directory / "out.extxyz"))


def training_job(directory: Path, **settings: Any) -> TrainingJob:
    """Two small networks of three epochs."""
    return TrainingJob(
        data=input_of(directory) / "train.extxyz",
        out=directory / "model.pt",
        network_settings=SMALLEST,
        committee=2,
        training=TrainingSettings(**{"epochs": 3, "warmup_steps": 1, **settings}),
    )


def prepare_training(directory: Path) -> None:
    """Labels for :func:`train`, the same file for all, as the model card names it."""
    if training_job(directory).data.exists():
        return
    rng, frames = np.random.default_rng(4), []
    for seed in range(4):
        atoms = triclinic(seed, n_atoms=8, size=5.0)
        atoms.arrays["apt"] = rng.normal(size=(len(atoms), 9))
        frames.append(atoms)
    ase.io.write(training_job(directory).data, frames, format="extxyz")


def train(directory: Path, **settings: Any) -> None:
    """Train, or resume; nothing is left to do where the state is gone and the model there."""
    job = training_job(directory, **settings)
    if job.out.exists() and not job.state_path.exists():
        return
    run_training(job, restart=job.state_path.exists())


def training_content(directory: Path) -> Content:
    """Weights, and the log without its times."""
    model = read_model_file(directory / "model.pt")
    with (directory / "model.csv").open() as file:
        rows = list(csv.DictReader(file))
    log = [[row[name] for name in ("member", "epoch", "train_rmse", "valid_rmse")] for row in rows]
    return {"weights": plain([dict(member) for member in model.members]), "log": log}


# ---------------------------------------------------------------------- commands with output


def prepare_spectrum(directory: Path) -> None:
    """A stream for :func:`spectrum`."""
    if not (input_of(directory) / "stream").exists():
        md(input_of(directory), n_steps=1500)


def input_of(directory: Path) -> Path:
    """Directory of what a command reads, the same for all; operations in it do not count."""
    found = directory.with_name("input")
    found.mkdir(exist_ok=True)
    return found


def spectrum(directory: Path) -> None:
    """``spectrum ir``: table, picture and netCDF."""
    stream = f"../{input_of(directory).name}/stream"
    words = ["--out", "ir.csv", "--plot", "ir.png", "--netcdf", "ir.nc"]
    with contextlib.chdir(directory):  # the files name the command
        command(["spectrum", "ir", stream, "--resolution", "200", "--temperature", "300", *words])


def prepare_prediction(directory: Path) -> None:
    """A model and frames for :func:`predict`."""
    write_model_file(input_of(directory) / "model.pt", random_checkpoint())
    ase.io.write(input_of(directory) / "frames.extxyz", [triclinic(1), triclinic(2)])


def predict(directory: Path) -> None:
    """``predict``: APTs of two frames."""
    given = input_of(directory)
    words = ["--model", given / "model.pt", "--data", given / "frames.extxyz"]
    command(["predict", *map(str, words), "--out", str(directory / "out.extxyz")])


def command(words: list[str]) -> None:
    """A command that must succeed."""
    code = main(words)
    if code:
        raise RuntimeError(f"{' '.join(words[:2])}: exit code {code}")


def file_bytes(directory: Path, patterns: Iterable[str] = ("[!.]*",)) -> Content:
    """Files of such names; by default all but hidden ones, which a killed process leaves."""
    return {path.name: path.read_bytes() for p in patterns for path in directory.glob(p)}


SHORT_RUNS = {
    "md": ShortRun(md, lambda directory: stream_content(directory / "stream")),
    "ensemble": ShortRun(
        ensemble,
        lambda directory: ensemble_content(directory / "runs"),
        whole=("runs/ensemble.json",),
    ),
    "increments": ShortRun(increments, lambda directory: stream_content(directory / "s")),
    "trajectory": ShortRun(
        trajectory, lambda directory: stream_content(directory / "stream"), prepare_trajectory
    ),
    "trajectory increments": ShortRun(
        partial(trajectory, increments=True),
        lambda directory: stream_content(directory / "stream"),
        prepare_trajectory,
    ),
    "label": ShortRun(label, partial(file_bytes, patterns=("*.extxyz",)), whole=("*.extxyz",)),
    "train": ShortRun(train, training_content, prepare_training, whole=("model.pt",)),
    "spectrum": ShortRun(spectrum, file_bytes, prepare_spectrum, whole=("ir.*",)),
    "predict": ShortRun(predict, file_bytes, prepare_prediction, whole=("out.extxyz",)),
}
"""Killed at each of their file operations. Engines that come later are added here."""
