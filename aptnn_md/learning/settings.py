"""Settings of a campaign: :class:`CampaignSettings`, and its tables in a TOML file.

Defaults, types and ranges are stated and checked here, for Python, files and the command line
alike. The amounts of work are numbers of steps, not times, so that a campaign that was killed and
resumed gives what an unbroken one gives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from aptnn_md.errors import InputError
from aptnn_md.executors import PROCESSES, check_executor
from aptnn_md.settings import (
    AtLeastZero,
    Count,
    NewPath,
    Positive,
    Range,
    Seed,
    Text,
    check_settings,
    settings_from,
)
from aptnn_md.stream.ring_polymers import LONGEST_STEP
from aptnn_md.targets import APT, PGT, targets_of
from aptnn_md.training.potential.settings import PotentialSettings
from aptnn_md.training.settings import TrainingSettings

LEARNED = "learn"
"""Name of the potential that is a committee trained on the engine's forces."""

Ratio: TypeAlias = Annotated[float, Range(at_least=1.0)]
Share: TypeAlias = Annotated[float, Range(at_least=0.0, at_most=1.0)]


@dataclass(frozen=True)
class SamplingSettings:
    """Where frames come from, and which of them are labelled.

    Attributes
    ----------
    first_frames : frames of the engine's own dynamics that begin the training set
    first_picoseconds : length of that dynamics for each frame, ps
    labels : frames labelled in each cycle, the least
    label_share : time for the labels of a cycle, relative to that of its training: as many frames
        more than ``labels`` are labelled as were measured to fit
        (:mod:`aptnn_md.learning.balance`). 0: ``labels`` frames, so that campaigns with the same
        seed are the same on machines of any speed
    most_labels : of a cycle, whatever the share allows
    random_share : part of them that is drawn at random from the dynamics at the temperature of the
        campaign: the honest test of the models before it, and training data after it
    replicas : trajectories on the models in each cycle, half of them hot
    picoseconds : length of each, ps
    hot : temperature of the first frames and of the hot replicas, relative to the campaign's
    every : steps between the frames that may be selected
    threshold : a frame is worth a label where the spread of forces or tensors on an atom exceeds
        its moving average by this factor
    bound, bound_ratio : no frame is labelled where the spread of forces on an atom exceeds both
        ``bound`` (eV/Å) and its moving average by the factor ``bound_ratio``
    timestep : fs
    friction : of the replicas' Langevin dynamics, 1/ps
    """

    first_frames: Count = 40
    first_picoseconds: Positive = 0.1
    labels: Count = 20
    label_share: AtLeastZero = 0.5
    most_labels: Count = 200
    random_share: Share = 0.25
    replicas: Annotated[int, Range(at_least=2)] = 16
    picoseconds: Positive = 0.5
    hot: Ratio = 5.0 / 3.0
    every: Count = 20
    threshold: Ratio = 1.5
    bound: Positive = 0.5
    bound_ratio: Ratio = 5.0
    timestep: Positive = 0.5
    friction: Positive = 10.0

    def __post_init__(self) -> None:
        check_settings(self, "[sampling]")

    def n_random(self, n_labels: int) -> int:
        """Random frames among those of a cycle; at least one: there is no other honest test."""
        return max(1, round(self.random_share * n_labels))


@dataclass(frozen=True)
class TensorSettings:
    """How the networks of the tensors are trained.

    Attributes
    ----------
    committee : number of networks
    steps : optimiser steps of a cycle, from the weights of the last one
    final_steps : optimiser steps of the final training, from random weights
    network, network_settings : see :class:`aptnn_md.models.tensor_network.TensorNetwork`; without
        settings a small network ``ace``, which is trained in a minute
    training : other settings of :class:`aptnn_md.training.settings.TrainingSettings`
    """

    committee: Annotated[int, Range(at_least=2)] = 3
    steps: Count = 400
    final_steps: Count = 1000
    network: str = "ace"
    network_settings: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_settings(self, "[tensors]")
        self.training_settings(seed=0)

    def training_settings(self, seed: int) -> TrainingSettings:
        """How a network is trained; without ``epochs`` for as many as ``steps`` are."""
        given = {"seed": seed}
        values = dict(self.training)
        return settings_from(TrainingSettings, values, "[tensors]", "training", given)

    def settings_of_network(self, properties: Sequence[str]) -> dict[str, Any]:
        """Settings of the network for these targets; PGTs have parts up to l = 3."""
        if self.network_settings or self.network != "ace":
            return dict(self.network_settings)
        return {"n_channels": 16, "lmax": 3 if PGT.name in properties else 2}


@dataclass(frozen=True)
class ForceSettings:
    """How the committee of the potential is trained.

    Attributes
    ----------
    committee : number of networks
    steps : optimiser steps of a cycle, from the weights of the last one
    final_steps : optimiser steps of the final training, from random weights
    settings : other settings of :class:`aptnn_md.training.potential.PotentialSettings`
    """

    committee: Annotated[int, Range(at_least=2)] = 2
    steps: Count = 700
    final_steps: Count = 3500
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_settings(self, "[forces]")
        self.potential_settings(self.steps, "cpu")

    def potential_settings(self, steps: int, device: str) -> PotentialSettings:
        """The network of a member, and how it is trained."""
        given = {"steps": steps, "device": device}
        values = dict(self.settings)
        return settings_from(PotentialSettings, values, "[forces]", "settings", given)


@dataclass(frozen=True)
class DynamicsSettings:
    """The dynamics whose spectrum is judged.

    Attributes
    ----------
    runs : trajectories of constant energy in each cycle, from where its replicas ended
    final_runs : at the end
    resolution : of spectra, cm⁻¹; it says how long a run is
    equilibrate : Langevin dynamics before the runs of the end, ps
    timestep : fs
    stride : steps between frames of the streams
    friction : of the equilibration, 1/ps
    beads : of ring polymers that i-PI moves by TRPMD; 1: classical atoms
    """

    runs: Annotated[int, Range(at_least=8)] = 8
    final_runs: Annotated[int, Range(at_least=8)] = 48
    resolution: Positive = 40.0
    equilibrate: Positive = 0.5
    timestep: Positive = 0.5
    stride: Count = 4
    friction: Positive = 10.0
    beads: Count = 1

    def __post_init__(self) -> None:
        check_settings(self, "[dynamics]")
        if self.beads > 1 and self.timestep > LONGEST_STEP:
            expected = f"at most {LONGEST_STEP:g} of ring polymers (0.25, and stride = 8)"
            raise InputError("[dynamics]", "timestep", self.timestep, expected)


@dataclass(frozen=True)
class JudgingSettings:
    """When the models are good enough.

    Attributes
    ----------
    tolerance : of the spectrum over the range, relative to its integral: statistical error, error
        of the tensors and error of the potential together
    wavenumbers : the range, cm⁻¹
    force_rmse : of the honest test, eV/Å
    tensor_error : of the honest test, relative to the spread of the reference
    harmonic : what the harmonic spectrum of the models is compared with: the engine's own, which
        costs 6 N + 1 force calculations once, or that of the single members. Those of periodic
        systems of more atoms than there are first frames are compared among each other only
    """

    tolerance: Positive = 0.1
    wavenumbers: tuple[float, float] = (0.0, 4000.0)
    force_rmse: Positive = 0.03
    tensor_error: Positive = 0.1
    harmonic: Literal["engine", "members"] = "engine"

    def __post_init__(self) -> None:
        check_settings(self, "[judging]")
        low, high = self.wavenumbers
        if not 0.0 <= low < high:
            raise InputError("[judging]", "wavenumbers", f"{low:g} to {high:g}", "0 <= low < high")


@dataclass(frozen=True)
class CampaignSettings:
    """A campaign.

    Attributes
    ----------
    structures : start structures, each a system of its own; all are learned by the same models
    engine : reference, see :func:`aptnn_md.labels.engines.interface.load_engine`
    out : directory of the campaign
    potential : :data:`LEARNED`, or a potential that is used as it is
        (:func:`aptnn_md.potentials.loading.load_potential`); then only tensors are learned
    temperature : K
    charge : of structures that do not say their own, e
    properties : targets that are learned: ``apt``, or ``apt`` and ``pgt``
    sampler : engine of the dynamics that gives the first frames, where the reference is too
        expensive for it; empty: the reference
    start_from : model of tensors whose weights the first training begins with; empty: random
    cycles : the most
    seed : of everything random
    executor, jobs : where labels and trainings are made: :func:`aptnn_md.executors.workers`
    device : torch device

    Raises
    ------
    InputError
        A value of another type or out of its range.
    """

    structures: tuple[Path, ...]
    engine: Text
    out: NewPath
    potential: Text = LEARNED
    temperature: Positive = 300.0
    charge: float | None = None
    properties: tuple[str, ...] = (APT.name,)
    sampler: str = ""
    start_from: str = ""
    cycles: Count = 2
    seed: Seed = 0
    executor: Text = PROCESSES
    jobs: Count = 1
    device: str = "cpu"
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    tensors: TensorSettings = field(default_factory=TensorSettings)
    forces: ForceSettings = field(default_factory=ForceSettings)
    dynamics: DynamicsSettings = field(default_factory=DynamicsSettings)
    judging: JudgingSettings = field(default_factory=JudgingSettings)

    def __post_init__(self) -> None:
        check_settings(self, "campaign")
        check_executor("campaign", self.executor, self.jobs)
        targets_of(self.properties, "--property")
        if self.properties[0] != APT.name:
            found = ",".join(self.properties)
            raise InputError("campaign", "--property", found, f"{APT.name} first")
        if not self.structures:
            raise InputError("campaign", "structures", "none", "one or more files")

    @property
    def learns_potential(self) -> bool:
        """Whether the potential is trained, too."""
        return self.potential == LEARNED

    @property
    def target(self) -> str:
        """What the networks of the tensors learn, e.g. ``"apt+pgt"``."""
        return "+".join(self.properties)
