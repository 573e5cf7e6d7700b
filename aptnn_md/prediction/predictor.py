"""The one way to evaluate a model file: :class:`Predictor`.

Every adapter (ASE, i-PI, command line) goes through it, so all of them give the same numbers.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols

from aptnn_md.arrays import FloatArray
from aptnn_md.atoms.neighbours import batches, build_graph
from aptnn_md.errors import InputError
from aptnn_md.models.tensor_network import TensorNetwork
from aptnn_md.prediction.model_file import Checkpoint, load_checkpoint
from aptnn_md.progress import log
from aptnn_md.structures import total_charge
from aptnn_md.targets import TARGETS
from aptnn_md.tensors import project_total_charge, project_translation

# structures are joined to batches of about this many atoms
BATCH_ATOMS = 2048

DTYPES = {"float32": torch.float32, "float64": torch.float64}


class Predictor:
    """A trained model as a function of structures.

    ``predictor(atoms)`` gives the APTs (n_atoms, 3, 3) in e, ``[i, dipole, displacement]``; a list
    of structures gives a list, evaluated in batches. A committee gives its mean. A model of PGTs
    gives (n_atoms, 3, 3, 3) in Å², ``[i, dipole, dipole, displacement]``; of a model of both,
    calls give the APTs and :meth:`tensors` gives both from one evaluation.

    Parameters
    ----------
    checkpoint : the model
    name : how the model is called in headers and messages
    device : torch device, e.g. ``"cuda"``
    dtype : ``"float32"`` (default) or ``"float64"``
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
    card : model card
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        name: str = "model",
        device: str = "cpu",
        dtype: str | None = None,
        total_charge: float | None = None,
        neutral: bool = True,
    ) -> None:
        if dtype is not None and dtype not in DTYPES:
            raise InputError("predictor", "dtype", repr(dtype), f"one of {', '.join(DTYPES)}")
        self.checkpoint, self.name = checkpoint, name
        self.target, self.sha256, self.card = checkpoint.target, checkpoint.sha256, checkpoint.card
        self.total_charge, self.neutral = total_charge, neutral
        self._warned: set[float] = set()
        self.models = [
            _model(checkpoint, weights).to(device, DTYPES[dtype or "float32"])
            for weights in checkpoint.members
        ]
        self.elements: tuple[int, ...] = self.models[0].config.elements
        self.targets: tuple[str, ...] = self.models[0].targets
        self.cutoff: float = self.models[0].config.cutoff
        self.n_members = len(self.models)

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
        """Load a model file or a bundled model (``"water-apt"``, ``"water-pgt"``).

        Raises
        ------
        InputError
            No such file, or not a model file that this version reads.
        """
        return cls(
            load_checkpoint(source),
            name=Path(source).stem,
            device=device,
            dtype=dtype,
            total_charge=total_charge,
            neutral=neutral,
        )

    @overload
    def __call__(self, structures: Atoms) -> FloatArray: ...

    @overload
    def __call__(self, structures: Sequence[Atoms]) -> list[FloatArray]: ...

    def __call__(self, structures: Atoms | Sequence[Atoms]) -> FloatArray | list[FloatArray]:
        """First target of one structure, APTs (n_atoms, 3, 3), or of each structure of a list.

        Raises
        ------
        InputError
            An element that the model does not know, positions that are not finite, or a periodic
            direction without a cell vector.
        """
        if isinstance(structures, Atoms):
            mean: FloatArray = self.members(structures).mean(axis=0)
            return mean
        return [tensors.mean(axis=0) for tensors in self.batch_members(structures)]

    def members(self, atoms: Atoms) -> FloatArray:
        """First target by each committee member, APTs (n_members, n_atoms, 3, 3)."""
        return self._evaluate([atoms])[0][self.targets[0]]

    def batch_members(self, structures: Sequence[Atoms]) -> list[FloatArray]:
        """Like :meth:`members` for each of several structures, evaluated in batches."""
        return [tensors[self.targets[0]] for tensors in self.tensors(structures)]

    def tensors(self, structures: Sequence[Atoms]) -> list[dict[str, FloatArray]]:
        """All targets of each structure by each committee member, evaluated in batches.

        Returns
        -------
        for each structure ``{"apt": (n_members, n_atoms, 3, 3), "pgt": (n_members, n_atoms, 3, 3,
        3)}``, of these the model's :attr:`targets`
        """
        return [
            tensors
            for batch in batches(structures, BATCH_ATOMS)
            for tensors in self._evaluate(batch)
        ]

    def with_members(self, members: slice) -> Predictor:
        """A predictor of only these members of the committee; networks are not copied."""
        part = copy.copy(self)
        part.models = self.models[members]
        part.n_members = len(part.models)
        return part

    def with_std(self, atoms: Atoms) -> tuple[FloatArray, FloatArray | None]:
        """Mean and standard deviation of the committee's first target, each (n_atoms, 3, 3).

        The deviation is the sample's (n_members - 1), and None for a single model.
        """
        members = self.members(atoms)
        return members.mean(axis=0), members.std(axis=0, ddof=1) if self.n_members > 1 else None

    def _evaluate(self, structures: Sequence[Atoms]) -> list[dict[str, FloatArray]]:
        """All targets of each structure, each (n_members, n_atoms, 3, 3, ...)."""
        for atoms in structures:
            self._check_elements(atoms)
        graph = build_graph(structures, self.cutoff)
        if graph.n_atoms == 0 or not self.models:
            return [
                {t: np.zeros((len(self.models), len(a), *TARGETS[t].shape)) for t in self.targets}
                for a in structures
            ]
        first = self.models[0]
        with torch.inference_mode():
            geometry, species = first.geometry(graph), first.species(graph)
            found = [model(geometry, species) for model in self.models]
            stacked = {t: torch.stack([tensors[t] for tensors in found]) for t in self.targets}
        ends = np.cumsum(graph.structure_sizes)[:-1]
        parts = {
            target: np.split(tensors.cpu().numpy().astype(np.float64), ends, axis=1)
            for target, tensors in stacked.items()
        }
        return [
            {target: self._projected(target, parts[target][k], atoms) for target in self.targets}
            for k, atoms in enumerate(structures)
        ]

    def _projected(self, target: str, members: FloatArray, atoms: Atoms) -> FloatArray:
        if not self.neutral or members.shape[1] == 0:
            return members
        if target == "pgt":
            return np.stack([project_translation(pgt) for pgt in members])
        charge = self._charge(atoms)
        return np.stack([project_total_charge(apt, charge) for apt in members])

    def _charge(self, atoms: Atoms) -> float:
        """Charge of a structure, e; the first of its kind that the model was not trained on warns.

        Raises
        ------
        InputError
            The structure says another charge than the predictor.
        """
        charge = total_charge(atoms, self.total_charge)
        trained = self.card.get("charges")
        if trained and charge not in {*trained, *self._warned}:
            self._warned.add(charge)
            log.warning(
                "model %s: a structure of charge %g e (%s); it was trained on charges %s",
                *(self.name, charge, atoms.get_chemical_formula()),
                ", ".join(f"{q:g}" for q in trained),
            )
        return charge

    def _check_elements(self, atoms: Atoms) -> None:
        unknown = sorted(set(atoms.numbers.tolist()) - set(self.elements))
        if unknown:
            raise InputError(
                atoms.get_chemical_formula(),
                "element",
                ", ".join(chemical_symbols[z] for z in unknown),
                f"{', '.join(chemical_symbols[z] for z in self.elements)} (model {self.name})",
            )


def _model(checkpoint: Checkpoint, weights: Any) -> TensorNetwork:
    settings = {
        key: value
        for key, value in checkpoint.config.items()
        if key not in {"elements", "target_irreps"}
    }
    model = TensorNetwork(
        checkpoint.network, checkpoint.config["elements"], checkpoint.target, settings
    )
    model.load_state_dict(weights)
    return model.eval()
