"""The small MACE potential that comes with the package, and others like it: an ASE calculator.

The network itself is mace-torch's; its files are described in :mod:`aptnn_md.potentials.stored`.
The calculator differs from mace-torch's own in that it takes vesin's neighbour lists, evaluates
several structures (the beads of a path integral) in one call, sums messages faster
(:mod:`aptnn_md.potentials.dense_mace`), leaves torch's default dtype alone, and adds repulsive
walls at distances outside the training data.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.atoms.neighbours import Graph, batches, build_graph
from aptnn_md.errors import InputError
from aptnn_md.models.devices import enough_memory, torch_device
from aptnn_md.models.resident import composition, stays_on
from aptnn_md.potentials.dense_mace import DenseMACE
from aptnn_md.potentials.interface import BatchedCalculator, check_finite_results
from aptnn_md.potentials.mace_network import build_network, network_input, species_in
from aptnn_md.potentials.resident import ResidentMACE
from aptnn_md.potentials.stored import digest_of, read_potential
from aptnn_md.potentials.walls import Walls

# on a processor larger batches only leave its cache
_LESS_MEMORY = "give it fewer atoms or beads at once, or the device cpu"

BATCH_ATOMS = {"cpu": 192}
LARGE_BATCH_ATOMS = 12288

MOST_KEPT = 16
"""Batches of structures that stay on a device from call to call."""


class MACEPotential(BatchedCalculator):
    """Energy, forces and stress of a MACE network with walls.

    Parameters
    ----------
    network : ``mace.modules.ScaleShiftMACE``
    walls : see :class:`Walls`
    name : shown in messages
    card : model card
    sha256 : digest of what its results depend on
        (:func:`aptnn_md.potentials.stored.digest_of`); empty where it comes from no file
    device, dtype : where and in which precision ("float32" or "float64") the network runs;
        neighbour list and sums over atoms are always in double precision

    Attributes
    ----------
    cutoff : Å
    elements : atomic numbers that the network knows
    """

    name = "MACE"
    implemented_properties = [  # noqa: RUF012
        "energy",
        "free_energy",
        "energies",
        "forces",
        "stress",
    ]

    def __init__(
        self,
        network: Any,
        walls: Sequence[Mapping[str, Any]] = (),
        *,
        name: str = "MACE",
        card: Mapping[str, Any] | None = None,
        sha256: str = "",
        device: str = "cpu",
        dtype: str = "float32",
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        if dtype not in ("float32", "float64"):
            raise InputError(name, "dtype", repr(dtype), "'float32' or 'float64'")
        self.device, self.dtype = torch_device(device), getattr(torch, dtype)
        self.network = network.to(self.device, self.dtype).requires_grad_(False)
        self.name, self.card, self.sha256 = name, dict(card or {}), sha256
        self.cutoff = float(network.r_max)
        self.elements = tuple(int(z) for z in network.atomic_numbers)
        self.walls = Walls.from_list(walls, self.elements)
        self._dense = DenseMACE.of(self.network)
        self._resident: dict[int, ResidentMACE] = {}

    @classmethod
    def from_file(
        cls, path: str | os.PathLike[str], *, device: str = "cpu", dtype: str = "float32"
    ) -> MACEPotential:
        """Read ``NAME.json`` and the weights next to it."""
        torch_device(device)  # one that is not there is said before the long work
        header, weights = read_potential(path)
        network = build_network(path, header["configuration"], weights)
        name = str(header.get("name", Path(path).stem))
        return cls(
            network,
            header.get("walls", ()),
            name=name,
            card=header.get("card"),
            sha256=digest_of(header),
            device=device,
            dtype=dtype,
        )

    def evaluate(self, structures: Sequence[Atoms]) -> list[dict[str, Any]]:
        """Results of several structures (e.g. the beads of a path integral) in one call.

        Returns
        -------
        For each structure ``energy`` and ``free_energy`` (eV), ``energies`` (n_atoms,), ``forces``
        (n_atoms, 3) in eV/Å and, where the cell has a volume, ``stress`` (6,) in eV/Å³ in the
        order xx, yy, zz, yz, xz, xy.

        Raises
        ------
        InputError
            An element that the network does not know, or a structure without a neighbour list.
        RunError
            Results that are not finite, or too little memory.
        """
        size = BATCH_ATOMS.get(self.device.type, LARGE_BATCH_ATOMS)
        results: list[dict[str, Any]] = []
        for batch in batches(structures, size):
            if stays_on(self.device) and any(len(atoms) for atoms in batch):
                results += self._evaluate_resident(batch, first=len(results))
            else:
                results += self.evaluate_graph(batch, build_graph(batch, self.cutoff))
        return results

    def _evaluate_resident(self, structures: Sequence[Atoms], first: int) -> list[dict[str, Any]]:
        """By structures that stay on the device; ``first`` is the number of the first one."""
        what = f"potential {self.name}, {sum(map(len, structures))} atoms"
        with enough_memory(what, _LESS_MEMORY):
            system = self._resident.get(first)
            if system is None or system.composition != composition(structures):
                numbers = np.concatenate([atoms.numbers for atoms in structures])
                species = species_in(numbers, self.elements, f"potential {self.name}")
                system = ResidentMACE(structures, species, self.network, self.walls)
            results = system.evaluate(structures)
        self._resident[first] = system
        while len(self._resident) > MOST_KEPT:
            self._resident.pop(max(self._resident))
        for atoms, result in zip(structures, results, strict=True):
            check_finite_results(f"potential {self.name}", atoms, result)
        return results

    def evaluate_graph(self, structures: Sequence[Atoms], graph: Graph) -> list[dict[str, Any]]:
        """Results of structures whose neighbour pairs within :attr:`cutoff` are known."""
        species = species_in(graph.atomic_numbers, self.elements, f"potential {self.name}")
        # the gradient with respect to edges gives both forces and virial
        what = f"potential {self.name}, {graph.n_atoms} atoms, {len(graph.centres)} pairs"
        with enough_memory(what, _LESS_MEMORY):
            if not graph.n_atoms:
                energies, gradients = np.zeros(0), np.zeros((0, 3))
            elif self._dense is not None:
                energies, gradients = self._dense.energies_and_gradients(graph, species)
            else:
                energies, gradients = self._by_mace_torch(graph, species)
        wall_energies, wall_gradients = self.walls.of(graph, species)
        energies = energies + np.bincount(
            graph.centres, weights=wall_energies, minlength=graph.n_atoms
        )
        results = _by_structure(structures, graph, energies, gradients + wall_gradients)
        for atoms, result in zip(structures, results, strict=True):
            check_finite_results(f"potential {self.name}", atoms, result)
        return results

    def _by_mace_torch(self, graph: Graph, species: IntArray) -> tuple[FloatArray, FloatArray]:
        """See :meth:`aptnn_md.potentials.dense_mace.DenseMACE.energies_and_gradients`."""
        out = self.network(
            network_input(graph, species, len(self.elements), self.dtype, self.device),
            compute_force=False,
            compute_edge_forces=True,
        )
        energies: FloatArray = out["node_energy"].detach().double().cpu().numpy()
        return energies, out["edge_forces"].double().cpu().numpy()


def _by_structure(
    structures: Sequence[Atoms], graph: Graph, energies: FloatArray, gradients: FloatArray
) -> list[dict[str, Any]]:
    """Results from the energies of atoms and their gradients with respect to edge vectors."""
    forces = _sums(gradients, graph.centres, graph.n_atoms)
    forces -= _sums(gradients, graph.neighbours, graph.n_atoms)
    ends = np.cumsum(graph.structure_sizes)
    edge_ends = np.searchsorted(graph.centres, ends)
    results = []
    first = 0
    for atoms, size, end, last in zip(
        structures, graph.structure_sizes, ends, edge_ends, strict=True
    ):
        part = slice(end - size, end)
        energy = float(energies[part].sum())
        result = {
            "energy": energy,
            "free_energy": energy,
            "energies": energies[part],
            "forces": forces[part],
        }
        if atoms.pbc.all():
            strain = graph.edge_vectors[first:last].T @ gradients[first:last]
            stress = (strain + strain.T) / (2.0 * abs(np.linalg.det(atoms.cell.array)))
            result["stress"] = stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        results.append(result)
        first = last
    return results


def _sums(vectors: FloatArray, owners: IntArray, n_atoms: int) -> FloatArray:
    """Sums (n_atoms, 3) of the vectors (n, 3) that belong to each atom."""
    # five times as fast as np.add.at
    columns = [np.bincount(owners, weights=column, minlength=n_atoms) for column in vectors.T]
    return np.stack(columns, axis=1)
