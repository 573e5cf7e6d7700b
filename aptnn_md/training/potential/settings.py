"""How potentials are trained: :class:`PotentialSettings` and :class:`PotentialJob`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from ase.data import atomic_numbers

from aptnn_md.errors import InputError
from aptnn_md.settings import AtLeastZero, Count, NewPath, Positive, Range, Seed, check_settings

LARGEST_WITH_ONE_LAYER = 10
"""Atoms of the largest structure that a network with one layer of messages describes as well as one
with two, at less than half the time: within one cutoff every atom sees all others there."""


@dataclass(frozen=True)
class PotentialSettings:
    """A MACE network and how it is trained.

    Attributes
    ----------
    layers : of messages; 0: one for structures of at most :data:`LARGEST_WITH_ONE_LAYER` atoms in
        open space, else two
    channels : features of each kind
    max_ell : highest degree of the harmonics; 0: three with one layer, two with two
    correlation : body order of the products of features, less one
    cutoff : Å
    n_radial, radial_width : radial functions, and width of the network after them
    atomic_energies : element -> energy of its atom, eV; of elements that are not named it is found
        from the frames (:mod:`aptnn_md.training.potential.reference`)
    steps : of the optimiser, in the whole schedule
    epochs : passes over the frames in the place of ``steps``; 0: ``steps`` counts
    batch_atoms : most atoms of a batch of more than one frame
    learning_rate : at the start of the schedule, which falls to zero as a cosine
    warmup_steps : of linear warm-up
    ema_decay : of the averaged weights, per step, which are validated and kept
    energy_weight : of the squared error of the energy of an atom, (eV)², relative to that of a
        component of a force, (eV/Å)²
    gradient_clip : of the gradient of the loss, which is measured by the spread of the forces
    dtype : in which the network is trained and stored
    device : torch device

    Raises
    ------
    InputError
        A value of another type or out of its range.
    """

    layers: Annotated[int, Range(at_least=0, at_most=4)] = 0
    channels: Annotated[int, Range(at_least=1, at_most=1024)] = 32
    max_ell: Annotated[int, Range(at_least=0, at_most=6)] = 0
    correlation: Annotated[int, Range(at_least=1, at_most=4)] = 3
    cutoff: Annotated[float, Range(more_than=0.0, at_most=100.0)] = 5.0
    n_radial: Annotated[int, Range(at_least=1, at_most=1024)] = 8
    radial_width: Annotated[int, Range(at_least=1, at_most=1024)] = 32
    atomic_energies: Mapping[str, float] = field(default_factory=dict)
    steps: Count = 2000
    epochs: Annotated[int, Range(at_least=0)] = 0
    batch_atoms: Count = 64
    learning_rate: Positive = 0.01
    warmup_steps: Annotated[int, Range(at_least=0)] = 20
    ema_decay: Annotated[float, Range(at_least=0.0, less_than=1.0)] = 0.99
    energy_weight: AtLeastZero = 0.01
    gradient_clip: Annotated[float, Range(more_than=0.0, infinite=True)] = 10.0
    dtype: Literal["float32", "float64"] = "float32"
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_settings(self)
        unknown = sorted(set(self.atomic_energies) - set(atomic_numbers))
        if unknown:
            found = ", ".join(unknown)
            raise InputError(type(self).__name__, "atomic_energies", found, "symbols of elements")


@dataclass(frozen=True)
class PotentialJob:
    """What to train on which data, and where the potential goes.

    Attributes
    ----------
    data : frames with energies and forces, extxyz or what else ASE reads
    out : ``NAME.json``; weights go to ``NAME.pt``. Of several networks it names the members,
        ``NAME-1.json``, ``NAME-2.json``, ... Log (.csv), learning curve (.png) and state are
        written next to it
    valid : frames for validation; without it ``valid_fraction`` of the frames of ``data``, and with
        a fraction of 0 nothing is held out and the last weights are kept
    keys : ``energy`` or ``forces`` -> its name in the files
    start_from : stored potential whose weights, atomic energies and scales the training begins
        with; of a committee the networks begin with its members in turn
    committee : networks to train, with seeds ``seed``, ``seed + 1``, ...
    seed : of initial weights, order of frames and those that are held out
    max_minutes : the schedule ends after this time of work, for all networks together
    settings : of each network
    card : further entries of the model card

    Raises
    ------
    InputError
        A value of another type or out of its range.
    """

    data: Path
    out: NewPath
    valid: Path | None = None
    valid_fraction: Annotated[float, Range(at_least=0.0, less_than=1.0)] = 0.1
    keys: Mapping[str, str] = field(default_factory=dict)
    start_from: str = ""
    committee: Count = 1
    seed: Seed = 0
    max_minutes: Annotated[float, Range(more_than=0.0, infinite=True)] = math.inf
    settings: PotentialSettings = field(default_factory=PotentialSettings)
    card: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        where = type(self).__name__
        check_settings(self, where)
        if self.out.suffix != ".json":
            expected = "NAME.json, e.g. potential.json; its weights go to NAME.pt"
            raise InputError(where, "out", self.out, expected)
        unknown = sorted(set(self.keys) - {"energy", "forces"})
        if unknown:
            raise InputError(where, "key", ", ".join(unknown), "energy=NAME or forces=NAME")
