"""The one way to evaluate a model file: :class:`Predictor`.

Every engine and command goes through it, so all of them give the same numbers.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.atoms.neighbours import Graph, batches
from aptnn_md.domain import Domain
from aptnn_md.errors import InputError
from aptnn_md.models.densities import ACEConfig
from aptnn_md.models.devices import enough_memory, keep_freed_memory, torch_device
from aptnn_md.models.dipole_geometry import DipoleGeometry
from aptnn_md.models.neighbour_lists import NeighbourLists
from aptnn_md.models.resident import stays_on
from aptnn_md.models.tensor_network import TensorNetwork, load_weights
from aptnn_md.prediction.calls import DirectCalls
from aptnn_md.prediction.charge_checks import ChargeOfStructures
from aptnn_md.prediction.dipole_calls import BATCH_ATOMS, DipoleCalls
from aptnn_md.prediction.interface import check_elements, check_finite
from aptnn_md.prediction.model_file import ModelFile, read_model_file
from aptnn_md.prediction.polarizability_calls import PolarizabilityCalls
from aptnn_md.prediction.resident import (
    ResidentSystem,
    ResidentSystems,
    is_projected_by_residue,
    resident_config,
)
from aptnn_md.targets import TARGETS, Tensors

_LESS_MEMORY = "give it fewer atoms or beads at once, dtype float32, or the device cpu"

LARGE_BATCH_ATOMS = 32768
"""Atoms of a batch where structures stay on the device; a quarter of it for derivatives."""

DTYPES = {"float32": torch.float32, "float64": torch.float64}


class Predictor(DirectCalls, DipoleCalls, PolarizabilityCalls):
    """A trained model as a function of structures.

    ``predictor(atoms)`` gives the APTs (n_atoms, 3, 3) in e, ``[i, dipole, displacement]``; a list
    of structures gives a list, evaluated in batches. A committee gives its mean. A model of PGTs
    gives (n_atoms, 3, 3, 3) in Å², ``[i, dipole, dipole, displacement]``; of a model of both,
    calls give the APTs and :meth:`evaluate` gives both from one evaluation. A model of the network
    ``dipole`` also gives dipoles, dipole rates and charges
    (:class:`aptnn_md.prediction.dipole_calls.DipoleCalls`), one of the network ``polarizability``
    polarizabilities and their rates
    (:class:`aptnn_md.prediction.polarizability_calls.PolarizabilityCalls`).

    Parameters
    ----------
    model_file : the model
    name : how the model is called in headers and messages
    device : torch device, e.g. ``"cuda"``, where structures stay from call to call
        (:mod:`aptnn_md.prediction.resident`)
    dtype : ``"float32"`` (default) or ``"float64"``. Single precision is full single precision;
        TF32 is used only where the process allows it (``torch.set_float32_matmul_precision``)
    total_charge : Q, e, of structures that do not say their own
        (:func:`aptnn_md.structures.charge_of`); None: 0
    neutral : take the mean out of the tensors so that Σᵢ Pᵢ = Q·1 and Σᵢ PGTᵢ = 0; switch it off
        to see what the network itself says, or for a fragment whose other atoms are not there

    Attributes
    ----------
    elements : atomic numbers that the model knows
    cutoff : Å
    target : ``"apt"``, ``"pgt"`` or ``"apt+pgt"``
    targets : its names; calls give the first
    name, sha256 : of the model file
    n_members : 1, or the size of the committee
    committee_sizes : the same for each target
    card : model card
    domain : limits of the committee's spread, where the card has them (:mod:`aptnn_md.domain`)
    """

    def __init__(
        self,
        model_file: ModelFile,
        *,
        name: str = "model",
        device: str = "cpu",
        dtype: str | None = None,
        total_charge: float | None = None,
        neutral: bool = True,
    ) -> None:
        if dtype is not None and dtype not in DTYPES:
            raise InputError("predictor", "dtype", repr(dtype), f"one of {', '.join(DTYPES)}")
        self.model_file, self.name = model_file, name
        self.target, self.sha256, self.card = model_file.target, model_file.sha256, model_file.card
        self.domain = Domain.of_card(name, self.card)
        self.total_charge, self.neutral = total_charge, neutral
        self._charge = ChargeOfStructures(
            self.name, self.total_charge, self.card.get("charges") or ()
        )
        place = torch_device(device)
        keep_freed_memory()
        self.networks = [
            _network(model_file, weights).to(place, DTYPES[dtype or "float32"])
            for weights in model_file.members
        ]
        self.elements: tuple[int, ...] = self.networks[0].config.elements
        self.targets: tuple[str, ...] = self.networks[0].targets
        self.cutoff: float = self.networks[0].config.cutoff
        self._neighbours = NeighbourLists(self.cutoff)
        self._tables_of: ACEConfig | None = None
        if stays_on(place) and self.networks:
            targets = {target: TARGETS[target] for target in self.targets}
            if is_projected_by_residue(targets):
                self._tables_of = resident_config(self.networks[0])
        self._resident = ResidentSystems(self.networks, neutral)

    @property
    def gives_dipoles(self) -> bool:
        """Whether the model gives dipoles, of which its APTs are the derivatives."""
        return self.model_file.network == "dipole"

    @property
    def gives_polarizabilities(self) -> bool:
        """Whether the model gives polarizabilities, of which its PGTs are the derivatives."""
        return self.model_file.network == "polarizability"

    @property
    def committee_sizes(self) -> Mapping[str, int]:
        """Number of networks for each target."""
        return dict.fromkeys(self.targets, len(self.networks))

    @classmethod
    def from_file(
        cls,
        source: str | PathLike[str],
        *,
        device: str = "cpu",
        dtype: str | None = None,
        total_charge: float | None = None,
        neutral: bool = True,
    ) -> Predictor:
        """Load a model file or a bundled model (``"water-apt"``, ``"organic-apt"``).

        Raises
        ------
        InputError
            No such file, or not a model file that this version reads.
        """
        return cls(
            read_model_file(source),
            name=Path(source).stem,
            device=device,
            dtype=dtype,
            total_charge=total_charge,
            neutral=neutral,
        )

    def evaluate(self, structures: Sequence[Atoms]) -> list[Tensors]:
        """All targets of each structure by each committee member, evaluated in batches.

        Returns
        -------
        for each structure ``{"apt": (n_members, n_atoms, 3, 3), "pgt": (n_members, n_atoms, 3, 3,
        3)}``, of these the model's :attr:`targets`

        Raises
        ------
        InputError
            An element that the model does not know, positions that are not finite, or a periodic
            direction without a cell vector.
        RunError
            Tensors that are not finite, or too little memory.
        """
        found: list[Tensors] = []
        for batch in batches(structures, self._batch_atoms):
            found += self._evaluate_batch(batch, first=len(found))
        return found

    def select(self, members: slice) -> Predictor:
        """A predictor of only these members of the committee; networks are not copied."""
        part = copy.copy(self)
        part.networks = self.networks[members]
        part._resident = ResidentSystems(part.networks, self.neutral)
        return part

    def for_targets(self, targets: Sequence[str]) -> Predictor:
        """Itself: a network gives all its targets at once."""
        return self

    def _evaluate_batch(self, structures: Sequence[Atoms], first: int) -> list[Tensors]:
        """All targets of each structure, each (n_members, n_atoms, 3, 3, ...).

        ``first`` is the number of the first structure among all that are evaluated.
        """
        if not self.networks or not any(len(atoms) for atoms in structures):
            return [
                {t: np.zeros((len(self.networks), len(a), *TARGETS[t].shape)) for t in self.targets}
                for a in structures
            ]
        if self._tables_of is not None:
            return self._evaluate_resident(structures, self._tables_of, first)
        graph = self._graph(structures, first)
        network = self.networks[0]
        with self._evaluation(graph, differentiated=network.gives_derivatives):
            geometry, species = network.geometry(graph), network.species(graph)
            found = [member(geometry, species) for member in self.networks]
            stacked = {t: torch.stack([tensors[t] for tensors in found]) for t in self.targets}
        ends = np.cumsum(graph.structure_sizes)[:-1]
        parts = {
            target: np.split(tensors.cpu().numpy().astype(np.float64), ends, axis=1)
            for target, tensors in stacked.items()
        }
        for target, tensors in stacked.items():
            if not bool(torch.isfinite(tensors).all()):
                for atoms, members in zip(structures, parts[target], strict=True):
                    check_finite(f"model {self.name}", atoms, {target: members})
        return [
            {target: self._projected(target, parts[target][k], atoms) for target in self.targets}
            for k, atoms in enumerate(structures)
        ]

    def _evaluate_resident(
        self, structures: Sequence[Atoms], config: ACEConfig, first: int
    ) -> list[Tensors]:
        """The same by structures that stay on the device."""
        with self._on_device(
            structures, config, first, self.networks[0].gives_derivatives
        ) as system:
            found = system.evaluate()
        ends = np.cumsum(system.sizes)[:-1]
        parts = {target: np.split(tensors, ends, axis=1) for target, tensors in found.items()}
        finite = all(np.isfinite(tensors).all() for tensors in found.values())
        results = []
        for k, atoms in enumerate(structures):
            results.append({target: parts[target][k] for target in self.targets})
            if not finite:
                check_finite(f"model {self.name}", atoms, results[-1])
        return results

    @contextmanager
    def _on_device(
        self, structures: Sequence[Atoms], config: ACEConfig, first: int, differentiated: bool
    ) -> Iterator[ResidentSystem]:
        """Structures whose positions are on the device, for evaluation; see :meth:`_evaluation`."""
        charges = [self._charge(atoms) for atoms in structures]
        what = f"model {self.name}, {sum(map(len, structures))} atoms"
        with enough_memory(what, _LESS_MEMORY):
            system = self._resident.kept(structures, first)
            if system is None:
                for atoms in structures:
                    check_elements(self, atoms)
                system = self._resident.new(structures, config, first)
            system.update(structures, charges)
            self._resident.keep(system, first)
            with torch.inference_mode(not differentiated), torch.no_grad():
                yield system

    @contextmanager
    def _dipole_geometry(
        self, structures: Sequence[Atoms], first: int, differentiated: bool
    ) -> Iterator[DipoleGeometry]:
        """What networks that give dipoles read, for evaluation; see :meth:`_evaluation`."""
        if self._tables_of is not None:
            with self._on_device(structures, self._tables_of, first, differentiated) as system:
                yield system.geometry()
            return
        graph = self._graph(structures, first)
        with self._evaluation(graph, differentiated):
            yield self.networks[0].geometry(graph)

    @property
    def _batch_atoms(self) -> int:
        """Structures are joined to batches of about this many atoms."""
        if self._tables_of is None:
            return BATCH_ATOMS
        return LARGE_BATCH_ATOMS // (4 if self.gives_dipoles else 1)

    def _graph(self, structures: Sequence[Atoms], first: int = 0) -> Graph:
        """The structures as the networks read them, with charges where these are read."""
        for atoms in structures:
            check_elements(self, atoms)
        graph = self._neighbours.graph(structures, first)
        if not self.gives_dipoles:
            return graph
        return replace(graph, charges=tuple(self._charge(atoms) for atoms in structures))

    @contextmanager
    def _evaluation(self, graph: Graph, differentiated: bool) -> Iterator[None]:
        """Evaluation of networks without gradients of weights.

        ``differentiated`` says whether derivatives with respect to positions are taken.
        """
        what = f"model {self.name}, {graph.n_atoms} atoms, {len(graph.centres)} pairs"
        # tensors of inference mode take no part in derivatives with respect to positions
        inference = torch.inference_mode(not differentiated)
        with inference, torch.no_grad(), enough_memory(what, _LESS_MEMORY):
            yield

    def _projected(self, target: str, members: FloatArray, atoms: Atoms) -> FloatArray:
        if not self.neutral or members.shape[1] == 0:
            return members
        charge, project = self._charge(atoms), TARGETS[target].project
        return np.stack([project(tensors, charge) for tensors in members])


def _network(model_file: ModelFile, weights: Any) -> TensorNetwork:
    settings = {
        key: value
        for key, value in model_file.config.items()
        if key not in {"elements", "target_irreps"}
    }
    network = TensorNetwork(
        model_file.network, model_file.config["elements"], model_file.target, settings
    )
    load_weights(network, weights, model_file.path or "model")
    # derivatives with respect to positions need none with respect to weights
    return network.eval().requires_grad_(not network.gives_derivatives)
