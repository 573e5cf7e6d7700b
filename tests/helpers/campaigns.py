"""Campaigns of ``aptnn-md learn`` on an analytic molecule, killed and unbroken, and their parts."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from aptnn_md.cli import main
from aptnn_md.learning import replicas, runs
from aptnn_md.learning.bonds import BondGraph
from aptnn_md.learning.campaign import StepTimes
from aptnn_md.learning.directory import CampaignDirectory, read_frames
from aptnn_md.learning.documents import write_document
from aptnn_md.learning.harmonic import Lines, read_lines, write_lines
from aptnn_md.learning.honest import HonestTest
from aptnn_md.learning.judgement import BandError, BandErrors, Judgement, SpectrumErrors
from aptnn_md.learning.replicas import ReplicaSettings, run_replicas
from aptnn_md.learning.runs import RunsJob, make_runs
from aptnn_md.learning.sampling import Choice
from aptnn_md.learning.seals import FrameSeals
from aptnn_md.learning.settings import (
    CampaignSettings,
    DynamicsSettings,
    JudgingSettings,
    SamplingSettings,
    TensorSettings,
)
from aptnn_md.potentials.interface import as_batched
from aptnn_md.potentials.stored import read_potential
from aptnn_md.prediction.loading import as_model
from aptnn_md.stream import StreamReader
from aptnn_md.stream.ensemble import complete_runs
from aptnn_md.training.potential import PotentialJob, PotentialSettings, run_potential_training
from aptnn_md.training.potential import job as potential_job
from helpers import short_runs
from helpers import toy_molecules as toy
from helpers.short_runs import Content, ShortRun, plain

TOY = "helpers.toy_molecules:Potential"
NETWORK = {"n_channels": 4, "lmax": 2, "n_radial": 4, "cutoff": 4.0, "message_radial": 3}
SMALLEST_POTENTIAL: dict[str, Any] = {
    **{"channels": 2, "max_ell": 1, "correlation": 1, "n_radial": 3, "radial_width": 4},
    **{"cutoff": 3.0, "batch_atoms": 15, "warmup_steps": 1},
}


def make_settings(path: Path, **changes: Any) -> CampaignSettings:
    """Two short cycles on one molecule, whose potential is not learned."""
    start = path / "toy.xyz"
    if not start.exists():
        ase.io.write(start, toy.structure(), format="extxyz")
    settings = CampaignSettings(
        structures=(start,),
        engine=TOY,
        potential=TOY,
        out=path / "out",
        cycles=2,
        sampling=SamplingSettings(
            first_frames=6,
            first_picoseconds=0.02,
            labels=5,
            label_share=0.0,  # or the number of labels would depend on the machine
            replicas=4,
            picoseconds=0.04,
        ),
        tensors=TensorSettings(committee=2, steps=20, final_steps=30, network_settings=NETWORK),
        dynamics=DynamicsSettings(runs=8, final_runs=8, resolution=400.0, equilibrate=0.02),
        judging=JudgingSettings(tolerance=0.01),
    )
    return replace(settings, **changes)


def results(settings: CampaignSettings) -> dict[str, object]:
    """What a campaign found, without names of files and times."""
    directory = CampaignDirectory(settings.out)
    found: dict[str, object] = {}
    for stage in (*(directory.cycle(n) for n in range(settings.cycles)), directory.final):
        frames = list(ase.io.iread(stage.training))
        found[f"{stage.name} positions"] = [atoms.positions.tolist() for atoms in frames]
        found[f"{stage.name} labels"] = [atoms.arrays["apt"].tolist() for atoms in frames]
        for n, tensors in enumerate(as_model(stage.tensors).evaluate(frames[:2])):
            found[f"{stage.name} tensors {n}"] = tensors["apt"].tolist()
        for run in complete_runs(stage.runs(0)):
            found[f"{stage.name} {run.name}"] = StreamReader(run).dipole_rate().tolist()
        found[f"{stage.name} judgement"] = json.loads(stage.judgement.read_text())
    return found


# ---------------------------------------------------------------------- a campaign that is killed


CAMPAIGN = """\
structures = ["{start}"]
out = "{out}"
engine = "helpers.toy_molecules:Potential"
potential = "helpers.toy_molecules:Potential"
cycles = 1
[sampling]
first_frames = 6
first_picoseconds = 0.02
labels = 5
label_share = 0.0
replicas = 4
picoseconds = 0.04
[tensors]
committee = 2
steps = 12
final_steps = 16
network_settings = {network}
[dynamics]
runs = 8
final_runs = 8
resolution = 700.0
equilibrate = 0.02
"""


def prepare_campaign(directory: Path) -> None:
    """The start structure, and the file of the settings."""
    (start,) = make_settings(directory).structures
    network = ", ".join(f"{name} = {value}" for name, value in short_runs.SMALLEST.items())
    text = CAMPAIGN.format(start=start, out=directory / "out", network=f"{{ {network} }}")
    (directory / "campaign.toml").write_text(text)


def learn(directory: Path) -> int:
    """``aptnn-md learn`` with states that are written often; its exit code."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(runs, "CHECKPOINT_SECONDS", 0.3))
        stack.enter_context(patch.object(replicas, "SAVED_EVERY", 0.1))
        return main(["learn", str(directory / "campaign.toml")])


def learned(directory: Path) -> Content:
    """Labels, tensors, dynamics and judgements."""
    settings = make_settings(directory, cycles=1)
    return {name: repr(value) for name, value in results(settings).items()}


# ---------------------------------------------------------------------- parts of a campaign


class Splitting:
    """The analytic potential, but chlorine that is far from oxygen is driven away."""

    def evaluate(self, structures: Sequence[Atoms]) -> list[dict[str, Any]]:
        """Energies and forces."""
        found = as_batched(toy.Potential()).evaluate(structures)
        for atoms, result in zip(structures, found, strict=True):
            bond = atoms.positions[2] - atoms.positions[0]
            if np.linalg.norm(bond) > 1.95:
                push = 30.0 * bond / np.linalg.norm(bond)
                result["forces"] = result["forces"] + np.array([-push, 0 * push, push])
        return found


def runs_job(directory: Path) -> RunsJob:
    """Four runs; chlorine of the first and third flies off after some steps."""
    starts = [toy.structure(seed=seed) for seed in range(4)]
    bonds = BondGraph.of(starts[0])
    for number in (0, 2):
        starts[number].set_distance(0, 2, 2.0, fix=0)
    return RunsJob(
        directory / "runs",
        starts,
        Splitting(),
        as_model(toy.Committee()),
        temperature=300.0,
        timestep=1.0,
        stride=8,
        n_steps=32,
        seed=11,
        bonds=bonds,
    )


def make_some_runs(directory: Path) -> None:
    """Runs whose state is written after every frame."""
    with patch.object(runs, "CHECKPOINT_SECONDS", 0.0):
        make_runs(runs_job(directory))


def runs_content(directory: Path) -> Content:
    """All streams, and which were set aside."""
    path = directory / "runs"
    # hidden files are what a killed process was writing; a campaign removes them when it resumes
    found = sorted(each.name for each in path.glob("[!.]*"))
    return {**short_runs.ensemble_content(path), "names": found}


def replicas_of(directory: Path, steps: int = 12) -> Content:
    """Replicas of two sizes, whose state is written after every step; their frames."""
    starts = [toy.structure(1, seed=1), toy.structure(2, seed=2)]
    settings = ReplicaSettings(steps=steps, every=4)
    with patch.object(replicas, "SAVED_EVERY", 0.0):
        found = run_replicas(
            starts, [300.0, 500.0], toy.Potential(), settings, directory / "r.npz", 3
        )
    return {
        f"{number}": [
            [plain(a.positions) + plain(a.get_momenta()) for a in replica.frames],
            plain(replica.force_spread),
            replica.stopped,
        ]
        for number, replica in enumerate(found)
    }


# ---------------------------------------------------------------------- files of a campaign


DOCUMENTS = (
    *("judgement.json", "honest.json", "selection.json", "harmonic.json"),
    *("out/campaign.json", "out/frames.json", "times.json"),
)
"""JSON files of a campaign, as :func:`documents` names them."""


def documents(directory: Path) -> dict[str, Callable[[], object]]:
    """JSON files that a campaign believes: name -> what reads it."""
    band = BandErrors(0.0, 900.5, BandError(3.0, 0.1, 0.2, 0.3), BandError(700.0, 1.0, 2.0, 3.0))
    errors = SpectrumErrors("a", "infrared", 0.1, 0.2, 0.3, 0.05, 12.5, bands=(band,))
    Judgement((errors,), 12.25, 1, ("ν: a reason",)).write(directory / "judgement.json")
    test = HonestTest(5, 0.02, 1.5, {"apt": 0.01}, {"apt": 0.1})
    replace(test, of_systems={"a": test}).write(directory / "honest.json")
    choice = Choice({"forces": 0.1, "apt": 0.01}, 80, 7, 2)
    write_document(directory / "selection.json", vars(choice))
    lines = Lines(np.array([700.5, 1600.25]), np.array([1.0, 20.0]), np.zeros(0), np.eye(3))
    write_lines(directory / "harmonic.json", {"engine": lines})
    settings = make_settings(directory)
    campaign = CampaignDirectory(settings.out)
    settings.out.mkdir()
    campaign.open(settings)
    FrameSeals(campaign).add()
    times = StepTimes(directory / "times.json")
    times.begins("training")
    times.ends()
    return readers(directory)


def readers(directory: Path) -> dict[str, Callable[[], object]]:
    """What reads the files of :func:`documents`."""
    settings = make_settings(directory)
    campaign = CampaignDirectory(settings.out)
    return {
        "judgement.json": lambda: repr(Judgement.read(directory / "judgement.json")),
        "honest.json": lambda: repr(HonestTest.read(directory / "honest.json")),
        "selection.json": lambda: repr(Choice.read(directory / "selection.json")),
        "harmonic.json": lambda: plain(
            {name: vars(each) for name, each in read_lines(directory / "harmonic.json").items()}
        ),
        "out/frames.json": lambda: checked_start(directory),
        "out/campaign.json": lambda: plain([a.positions for a in campaign.open(settings)]),
        # no result depends on it
        "times.json": lambda: isinstance(StepTimes(directory / "times.json").seconds, dict),
    }


def checked_start(directory: Path) -> object:
    """The systems of the campaign of :func:`documents`, as far as they are as they were written."""
    campaign = CampaignDirectory(make_settings(directory).out)
    FrameSeals(campaign).check()
    return plain([atoms.positions for atoms in read_frames(campaign.start)])


# ---------------------------------------------------------------------- a potential in training


def potential(directory: Path, steps: int = 60) -> PotentialJob:
    """Two of the smallest networks."""
    return PotentialJob(
        data=short_runs.input_of(directory) / "forces.extxyz",
        out=directory / "p.json",
        committee=2,
        settings=PotentialSettings(**SMALLEST_POTENTIAL, steps=steps),
    )


def prepare_potential(directory: Path) -> None:
    """Energies and forces, the same for all."""
    path, frames = potential(directory).data, []
    if path.exists():
        return
    for seed in range(8):
        atoms = toy.structure(seed=seed)
        atoms.positions += np.random.default_rng(seed).normal(scale=0.02, size=(3, 3))
        energy, forces, _ = toy.energy_forces_virial(atoms.positions)
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
        frames.append(atoms)
    ase.io.write(path, frames, format="extxyz")


def train_potential(directory: Path, saved_every: float = 0.0) -> None:
    """Train, or resume; nothing is left to do where the state is gone and the potential there."""
    job = potential(directory)
    state = job.out.with_name("p.json.state")
    if job.out.exists() and not state.exists():
        return
    with patch.object(potential_job, "SAVED_EVERY", saved_every):
        run_potential_training(job, restart=state.exists())


def potential_content(directory: Path) -> Content:
    """Configurations and weights of the members."""
    return {
        name: plain(list(read_potential(directory / name)[:2])) for name in ("p-1.json", "p-2.json")
    }


CAMPAIGN_SHORT_RUNS = {
    "runs": ShortRun(make_some_runs, runs_content, whole=("runs/ensemble.json",)),
    "replicas": ShortRun(replicas_of, replicas_of),
}
"""Killed at each of their file operations, as those of ``helpers.short_runs``."""

if importlib.util.find_spec("mace") is not None:
    CAMPAIGN_SHORT_RUNS["train potential"] = ShortRun(
        train_potential, potential_content, prepare_potential
    )
