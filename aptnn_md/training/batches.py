"""Batches: frames joined into one graph, so that one evaluation of a network serves them all.

For 32 molecules of six atoms that takes a tenth of the time of 32 evaluations. What a network
reads of a graph holds no weight, so that of a frame that makes a batch of its own is kept, within
:data:`KEPT_BYTES`; so are the neighbour pairs of all frames.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from aptnn_md.arrays import FloatArray
from aptnn_md.atoms.neighbours import Graph, build_graph, join_graphs
from aptnn_md.models.tensor_network import TensorNetwork
from aptnn_md.structures import total_charge
from aptnn_md.training.dataset import LabelledFrame
from aptnn_md.training.frame_labels import (
    DipoleLabels,
    PolarizabilityLabels,
    about_centroid,
    dipole_labels,
    polarizability_labels,
)
from aptnn_md.training.learned import OF_FRAMES
from aptnn_md.training.samples import FrameLabels, labels_of
from aptnn_md.training.settings import divided

KEPT_BYTES = 2**30
"""Memory for graphs of frames, and as much for what the network reads of them."""

EVALUATED_ATOMS = 2048
"""Atoms of a batch where no gradients are needed."""

SAMPLE_ATOMS = 100_000
"""Atoms that are enough for means and scales of what enters a network."""

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Labels:
    """Labels of one target in a batch; only labelled atoms count.

    Attributes
    ----------
    atoms : (n_labelled,) indices in the batch
    species : (n_labelled,) indices of elements
    tensors : (n_labelled, 3, 3, ...)
    """

    atoms: Tensor
    species: Tensor
    tensors: Tensor


@dataclass(frozen=True)
class Batch:
    """Frames as the network reads them, joined.

    Attributes
    ----------
    frames : their numbers in the set
    sizes : atoms of each
    geometry, species : see :class:`~aptnn_md.models.tensor_network.TensorNetwork`
    labels : target -> labels of all frames, of targets that have any
    dipoles : total dipoles of the frames; None where no frame has one
    polarizabilities : likewise
    """

    frames: tuple[int, ...]
    sizes: tuple[int, ...]
    geometry: Any
    species: Tensor
    labels: Mapping[str, Labels]
    dipoles: DipoleLabels | None = None
    polarizabilities: PolarizabilityLabels | None = None


class FrameSet:
    """Labelled frames from which batches are made, on a model's device and in its precision.

    Parameters
    ----------
    frames : those without any label are left out
    model : that will read the batches
    kept_bytes : memory for graphs, and for geometries; what is not kept is made again
    """

    def __init__(
        self,
        frames: Sequence[LabelledFrame],
        model: TensorNetwork,
        kept_bytes: int = KEPT_BYTES,
    ) -> None:
        self.frames = [frame for frame in frames if frame.any_label]
        self.sizes = [len(frame.atoms) for frame in self.frames]
        self._model = model
        self._labels = labels_of(self.frames, model.targets)
        self._graphs = _Kept[int, Graph](kept_bytes)
        self._batches = _Kept[tuple[int, ...], Batch](kept_bytes)

    def __len__(self) -> int:
        return len(self.frames)

    def batch(self, frames: Sequence[int], keep: bool = False) -> Batch:
        """Frames by their numbers as one batch; with ``keep`` the same will be asked for again."""
        key = tuple(frames)
        found = self._batches.get(key)
        if found is None:
            found = self._joined(key)
            if keep or len(key) == 1:
                self._batches.keep(key, found)
        return found

    def in_order(self) -> Iterator[Batch]:
        """All frames, in batches that are kept, for evaluation."""
        for frames in divided(range(len(self)), self.sizes, EVALUATED_ATOMS):
            yield self.batch(frames, keep=True)

    def sample(self, n_atoms: int) -> Iterator[Batch]:
        """Frames from all over the set, for statistics: at most :data:`SAMPLE_ATOMS` atoms.

        ``n_atoms`` are those of a batch: a frame that makes one in training is kept.
        """
        every = math.ceil(sum(self.sizes) / SAMPLE_ATOMS)
        for frames in divided(range(0, len(self), every), self.sizes, n_atoms):
            yield self.batch(frames)

    @property
    def learned(self) -> tuple[str, ...]:
        """What there are labels of: targets of the model, ``dipole`` and ``polarizability``."""
        names = (*self._model.targets, *OF_FRAMES)
        return tuple(name for name in names if any(frame.has(name) for frame in self.frames))

    def all_labels(self, target: str) -> tuple[Tensor, Tensor]:
        """Indices of elements (n,) and tensors (n, 3, 3, ...) of all labels of one target."""
        frames = [number for number, labels in enumerate(self._labels) if target in labels]
        found = self._labels_of(frames, target, self._species(frames))
        return found.species, found.tensors

    def all_dipoles(self) -> FloatArray:
        """All total dipoles, (n, 3), e Å, each about the centroid of its frame."""
        found = [about_centroid(frame) for frame in self.frames if frame.dipole is not None]
        return np.array(found).reshape(-1, 3)

    def all_polarizabilities(self) -> tuple[FloatArray, FloatArray]:
        """Atoms of each element (n, n_elements) and all polarizabilities (n, 3, 3), Å³."""
        labelled = [frame for frame in self.frames if frame.polarizability is not None]
        elements = np.array(self._model.config.elements)
        counts = [(f.atoms.numbers[:, None] == elements).sum(axis=0) for f in labelled]
        found = [f.polarizability for f in labelled]
        return (
            np.array(counts, dtype=np.float64).reshape(-1, len(elements)),
            np.array(found, dtype=np.float64).reshape(-1, 3, 3),
        )

    def _joined(self, frames: tuple[int, ...]) -> Batch:
        graph = join_graphs([self._graph(number) for number in frames])
        species = self._species(frames)
        targets = {target for number in frames for target in self._labels[number]}
        return Batch(
            frames=frames,
            sizes=graph.structure_sizes,
            geometry=self._model.geometry(graph),
            species=species,
            # in the model's order, not the set's, which differs from process to process
            labels={
                target: self._labels_of(frames, target, species)
                for target in self._model.targets
                if target in targets
            },
            dipoles=dipole_labels([self.frames[number] for number in frames], self._model.mean),
            polarizabilities=polarizability_labels(
                [self.frames[number] for number in frames], self._model.mean
            ),
        )

    def _graph(self, number: int) -> Graph:
        graph = self._graphs.get(number)
        if graph is None:
            atoms = self.frames[number].atoms
            charges = [] if self._model.dipole_network is None else [total_charge(atoms)]
            graph = build_graph(atoms, self._model.config.cutoff, charges)
            self._graphs.keep(number, graph)
        return graph

    def _species(self, frames: Sequence[int]) -> Tensor:
        numbers = np.concatenate([self.frames[number].atoms.numbers for number in frames])
        return torch.from_numpy(np.searchsorted(self._model.config.elements, numbers)).to(
            self._model.mean.device
        )

    def _labels_of(self, frames: Sequence[int], target: str, species: Tensor) -> Labels:
        atoms, tensors, first_atom = [], [], 0
        for number in frames:
            found: FrameLabels | None = self._labels[number].get(target)
            if found is not None:
                atoms.append(found.atoms + first_atom)
                tensors.append(found.tensors)
            first_atom += self.sizes[number]
        where = torch.from_numpy(np.concatenate(atoms)).to(species.device)
        values = torch.from_numpy(np.concatenate(tensors)).to(self._model.mean)
        return Labels(where, species[where], values)


class _Kept(Generic[Key, Value]):
    """Values by key, as many of the first as a memory holds."""

    def __init__(self, n_bytes: int) -> None:
        self._left = n_bytes
        self._values: dict[Key, Value] = {}

    def get(self, key: Key) -> Value | None:
        return self._values.get(key)

    def keep(self, key: Key, value: Value) -> None:
        size = _n_bytes(value)
        if size <= self._left:
            self._left -= size
            self._values[key] = value


def _n_bytes(value: Any) -> int:
    """Memory of the arrays and tensors in a value."""
    if isinstance(value, Tensor | np.ndarray):
        return int(value.nbytes)
    if dataclasses.is_dataclass(value):
        return sum(_n_bytes(getattr(value, field.name)) for field in dataclasses.fields(value))
    if isinstance(value, Mapping):
        return sum(map(_n_bytes, value.values()))
    return sum(map(_n_bytes, value)) if isinstance(value, list | tuple) else 0
