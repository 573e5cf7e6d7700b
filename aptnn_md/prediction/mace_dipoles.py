"""MACE networks of dipoles as models: APTs are the gradients of their dipole, P = ∂M/∂r.

``AtomicDipolesMACE`` and ``EnergyDipolesMACE`` give M = Σᵢ (μᵢ + qᵢrᵢ) in debye, with the fixed
charges qᵢ of the structure if it has any; ``AtomicDielectricMACE`` gives it in e Å, with charges
that it predicts. So Σᵢ Pᵢ is Σᵢ qᵢ·1 by construction, which is 0 where a structure has no fixed
charges, and Q·1 for ``AtomicDielectricMACE``.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms, units
from ase.data import chemical_symbols

from aptnn_md.arrays import FloatArray
from aptnn_md.atoms.neighbours import Graph, batches, build_graph
from aptnn_md.errors import InputError, raised_by
from aptnn_md.models.devices import enough_memory, torch_device
from aptnn_md.models.quiet_mace import quiet_mace
from aptnn_md.prediction.calls import DirectCalls
from aptnn_md.prediction.interface import check_elements, checked_tensors
from aptnn_md.prediction.mace_file import read_mace_file
from aptnn_md.prediction.mace_kinds import DIPOLE_UNITS, UNIT_OF_CLASS, common_kind, described
from aptnn_md.prediction.sum_rule import with_charge
from aptnn_md.progress import log
from aptnn_md.structures import total_charge as charge_of_structure
from aptnn_md.targets import APT, Tensors

NO_LICENCE = "of the weights not in the file: ask those who trained them"
"""mace-torch's files have no place for it, and many published weights are not free for all uses."""

BATCH_ATOMS = 256
"""Structures are joined to batches of about this many atoms."""

DTYPES = {"float32": torch.float32, "float64": torch.float64}


class MACEDipoles(DirectCalls):
    """APTs of MACE networks that give dipoles, one or a committee.

    Parameters
    ----------
    networks : of one class in :data:`aptnn_md.prediction.mace_kinds.UNIT_OF_CLASS`, all with the
        same elements and cutoff
    name, sha256 : of the model
    device : torch device
    dtype : ``"float32"`` or ``"float64"``; None: the networks' own
    total_charge : Q, e, of structures that do not say their own; None: 0
    neutral : take what is left of Σᵢ Pᵢ - Q·1, which is rounding, out of the APTs, and refuse a
        structure where it is more (:func:`aptnn_md.prediction.sum_rule.with_charge`)
    dipole_unit : of what the networks were trained on, ``"debye"`` or ``"e*angstrom"``; None: the
        unit that mace-torch means
    charges_key : array of the structures with the fixed charges qᵢ, e, which ``AtomicDipolesMACE``
        and ``EnergyDipolesMACE`` add to their dipole; a network that was trained with them needs
        them. Structures without it have none. (The argument ``charges_key`` of mace-torch 0.3.16's
        own calculator has no effect: its dipoles lack them.)

    Raises
    ------
    InputError
        A network without a dipole, networks that differ, or an option that is none of its choices.
    """

    def __init__(
        self,
        networks: Sequence[Any],
        *,
        name: str = "MACE",
        sha256: str = "",
        device: str = "cpu",
        dtype: str | None = None,
        total_charge: float | None = None,
        neutral: bool = True,
        dipole_unit: str | None = None,
        charges_key: str = "Qs",
    ) -> None:
        self.name, self.sha256 = name, sha256
        self.kind = common_kind(name, networks)
        self.dipole_unit = dipole_unit or UNIT_OF_CLASS[self.kind]
        for field, value, choices in (
            ("dipole_unit", self.dipole_unit, DIPOLE_UNITS),
            ("dtype", dtype or "float32", DTYPES),
        ):
            if value not in choices:
                raise InputError(
                    f"model {name}", field, repr(value), f"one of {', '.join(choices)}"
                )
        own = next(networks[0].parameters()).dtype
        self.device = torch_device(device)
        self.dtype: torch.dtype = DTYPES[dtype] if dtype else own
        with quiet_mace():  # e3nn copies what it compiled by loading it
            self.networks = [
                copy.deepcopy(network).to(self.device, self.dtype).requires_grad_(False).eval()
                for network in networks
            ]
        self.total_charge, self.neutral, self.charges_key = total_charge, neutral, charges_key
        self.targets = (APT.name,)
        self.elements: tuple[int, ...] = described(networks[0])[0]
        self.cutoff: float = described(networks[0])[1]

    @classmethod
    def from_file(cls, path: str | PathLike[str], **options: Any) -> MACEDipoles:
        """The model of a file ``NAME.model`` of mace-torch; options are those of the class.

        Reading it runs what is in it: take it from those you trust.

        Raises
        ------
        InputError
            No such file, or not a MACE network with a dipole.
        RunError
            mace-torch is not installed.
        """
        path = Path(path)
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise InputError(path, "file", error.strerror or error, "a MACE model") from error
        network = read_mace_file(path, str(options.get("device", "cpu")))
        model = cls([network], name=path.stem, sha256=digest, **options)
        log.info(
            "model %s: %s, dipole in %s; licence %s",
            *(model.name, model.kind, model.dipole_unit, NO_LICENCE),
        )
        return model

    def facts(self) -> dict[str, Any]:
        """What is known of the model, by name."""
        charges = f"what the array {self.charges_key!r} of a structure sums to, 0 without it"
        if self.kind == "AtomicDielectricMACE":
            charges = "the structure's total charge"
        return {
            "sha256": self.sha256,
            "target": "+".join(self.targets),
            "units": {APT.name: APT.unit},
            "network": f"{self.kind} of mace-torch; APTs are the gradients of its dipole",
            "dipole_unit": self.dipole_unit,
            "sum_rule": f"by construction the charge is {charges}",
            "licence": NO_LICENCE,
            "elements": [chemical_symbols[z] for z in self.elements],
            "cutoff": self.cutoff,
            "members": len(self.networks),
        }

    @property
    def committee_sizes(self) -> dict[str, int]:
        """Number of networks."""
        return {APT.name: len(self.networks)}

    def select(self, members: slice) -> MACEDipoles:
        """The model with only these members of the committee; networks are not copied."""
        part = copy.copy(self)
        part.networks = self.networks[members]
        return part

    def for_targets(self, targets: Sequence[str]) -> MACEDipoles:
        """Itself."""
        return self

    def evaluate(self, structures: Sequence[Atoms]) -> list[Tensors]:
        """APTs of each structure by each member, (n_members, n_atoms, 3, 3).

        Raises
        ------
        InputError
            An element that the networks do not know; a charge that their dipole does not have; of
            ``AtomicDielectricMACE``, a periodic structure, whose atoms' positions enter its dipole.
        RunError
            Tensors that are not finite, too little memory, or an error of mace-torch.
        """
        return [
            tensors
            for batch in batches(structures, BATCH_ATOMS)
            for tensors in self._evaluate_batch(batch)
        ]

    def _evaluate_batch(self, structures: Sequence[Atoms]) -> list[Tensors]:
        for atoms in structures:
            self._check(atoms)
        graph = build_graph(structures, self.cutoff)
        charges = np.concatenate([self._fixed_charges(atoms) for atoms in structures])
        found = np.zeros((len(self.networks), graph.n_atoms, 3, 3))
        if graph.n_atoms:
            what = f"model {self.name}, {graph.n_atoms} atoms, {len(graph.centres)} pairs"
            with (
                raised_by(f"model {self.name}"),
                enough_memory(what, "give it fewer atoms at once, or the device cpu"),
            ):
                for member, network in enumerate(self.networks):
                    found[member] = self._gradients(network, structures, graph)
        if self.kind != "AtomicDielectricMACE":
            # exact, and in double precision: the networks are evaluated without them
            found += charges[:, None, None] / units.Debye * np.eye(3)
        found *= DIPOLE_UNITS[self.dipole_unit]
        parts = np.split(found, np.cumsum(graph.structure_sizes)[:-1], axis=1)
        return [self._complete(atoms, part) for atoms, part in zip(structures, parts, strict=True)]

    def _complete(self, atoms: Atoms, members: FloatArray) -> Tensors:
        tensors = checked_tensors(self, atoms, {APT.name: members})
        if self.neutral:
            charge = charge_of_structure(atoms, self.total_charge)
            if self.kind == "AtomicDielectricMACE":
                way_out = "neutral=False"
            else:
                way_out = f"fixed charges with this sum in the array {self.charges_key!r}"
                way_out += ", if the network was trained with such, or neutral=False"
            where = f"model {self.name}, {atoms.get_chemical_formula()}"
            members = tensors[APT.name]
            tensors[APT.name] = np.array(
                [with_charge(member, charge, where, way_out) for member in members]
            ).reshape(members.shape)
        return tensors

    def _gradients(self, network: Any, structures: Sequence[Atoms], graph: Graph) -> FloatArray:
        """∂M_α/∂r_iβ (n_atoms, 3, 3) in the networks' unit, without fixed charges."""
        data = self._batch(structures, graph)
        with torch.enable_grad():
            dipole = network(data, compute_force=False)["dipole"]
        rows = [
            torch.autograd.grad(
                dipole[:, axis].sum(), data["positions"], retain_graph=True, allow_unused=True
            )[0]
            for axis in range(3)
        ]
        if any(row is None for row in rows):  # no pairs at all
            return np.zeros((graph.n_atoms, 3, 3))
        gradients: FloatArray = torch.stack(rows, dim=1).double().cpu().numpy()
        return gradients

    def _batch(self, structures: Sequence[Atoms], graph: Graph) -> dict[str, torch.Tensor]:
        """The graph as mace-torch takes it.

        Vectors stand in the shifts, as positions far from the origin would be rounded; where
        positions enter the dipole, they count from the mean of each molecule.
        """
        like: dict[str, Any] = {"dtype": self.dtype, "device": self.device}
        sizes = graph.structure_sizes
        owner = np.repeat(np.arange(len(sizes)), sizes)
        positions = np.zeros((graph.n_atoms, 3))
        if self.kind == "AtomicDielectricMACE":
            positions = np.concatenate([_centred(atoms.positions) for atoms in structures])
        shifts = graph.edge_vectors - (positions[graph.neighbours] - positions[graph.centres])
        species = np.array([self.elements.index(z) for z in graph.atomic_numbers], dtype=np.int64)
        charges = [charge_of_structure(atoms, self.total_charge) for atoms in structures]
        pairs = np.stack([graph.centres, graph.neighbours])
        return {
            "positions": torch.as_tensor(positions, **like).requires_grad_(True),
            "shifts": torch.as_tensor(shifts, **like),
            "node_attrs": torch.as_tensor(np.eye(len(self.elements))[species], **like),
            "edge_index": torch.as_tensor(pairs, device=self.device),
            "cell": torch.zeros(3 * len(sizes), 3, **like),
            "charges": torch.zeros(graph.n_atoms, **like),
            "total_charge": torch.as_tensor(charges, **like),
            "head": torch.zeros(len(sizes), dtype=torch.int64, device=self.device),
            "batch": torch.as_tensor(owner, device=self.device),
            "ptr": torch.as_tensor(np.cumsum((0, *sizes)), device=self.device),
        }

    def _fixed_charges(self, atoms: Atoms) -> FloatArray:
        charges: FloatArray = np.asarray(
            atoms.arrays.get(self.charges_key, np.zeros(len(atoms))), dtype=np.float64
        )
        if charges.shape != (len(atoms),) or not np.isfinite(charges).all():
            found, expected = f"shape {charges.shape}", f"({len(atoms)},) finite charges, e"
            raise InputError(atoms.get_chemical_formula(), self.charges_key, found, expected)
        return charges

    def _check(self, atoms: Atoms) -> None:
        check_elements(self, atoms)
        if self.kind == "AtomicDielectricMACE" and np.any(atoms.pbc):
            found = f"{atoms.get_chemical_formula()}, which is periodic"
            expected = f"open space: the dipole of {self.kind} depends on which image an atom is"
            raise InputError(f"model {self.name}", "structure", found, expected)


def _centred(positions: FloatArray) -> FloatArray:
    """Positions (n_atoms, 3) from their mean."""
    centred: FloatArray = positions - positions.sum(axis=0) / max(len(positions), 1)
    return centred
