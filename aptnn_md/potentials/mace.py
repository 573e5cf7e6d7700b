"""The small MACE potential that comes with the package: two files and an ASE calculator.

``NAME.json`` holds the configuration (the arguments of ``mace.modules.ScaleShiftMACE``), repulsive
walls at distances outside the training data, the model card and the SHA-256 of the weights;
``NAME.pt`` holds the weights (a ``state_dict``, read with ``weights_only=True``: no code is in it).

The network itself is mace-torch's. The calculator differs from mace-torch's own in that it takes
vesin's neighbour lists, evaluates several structures (the beads of a path integral) in one call,
leaves torch's default dtype alone, and adds the walls.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.data import atomic_numbers, chemical_symbols

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.atoms.neighbours import Graph, batches, build_graph
from aptnn_md.errors import InputError, RunError
from aptnn_md.files import write_output
from aptnn_md.potentials.quiet_mace import quiet_mace

FORMAT = "aptnn_md.mace"
VERSION = 1

# on a processor larger batches only leave its cache
BATCH_ATOMS = {"cpu": 192}
LARGE_BATCH_ATOMS = 12288


@dataclass(frozen=True)
class Walls:
    """Repulsion that keeps atoms out of distances that a network was never trained on.

    There a network may well be attractive. For each pair of elements the energy is
    k (r₀ - r)³ for r < r₀, and exactly zero beyond.

    Attributes
    ----------
    distance : (n_elements, n_elements), r₀ in Å; zero: no wall
    strength : (n_elements, n_elements), k in eV/Å³
    """

    distance: FloatArray
    strength: FloatArray

    @classmethod
    def from_list(cls, walls: Sequence[Mapping[str, Any]], elements: Sequence[int]) -> Walls:
        """From ``{"elements": ["O", "H"], "below": r₀, "strength": k}`` for each pair."""
        distance = np.zeros((len(elements), len(elements)))
        strength = np.zeros_like(distance)
        for wall in walls:
            first, second = (elements.index(atomic_numbers[name]) for name in wall["elements"])
            for pair in ((first, second), (second, first)):
                distance[pair], strength[pair] = wall["below"], wall["strength"]
        return cls(distance, strength)

    def of(self, graph: Graph, species: IntArray) -> tuple[FloatArray, FloatArray]:
        """Energies (n_edges,) and their gradients with respect to the edge vectors (n_edges, 3).

        Every pair has two edges; each has half of its energy.
        """
        pair = species[graph.centres], species[graph.neighbours]
        length = np.linalg.norm(graph.edge_vectors, axis=1)
        inside = np.maximum(self.distance[pair] - length, 0.0)
        strength = 0.5 * self.strength[pair]
        slope = np.where(inside > 0.0, -3.0 * strength * inside**2 / np.fmax(length, 1e-12), 0.0)
        return strength * inside**3, slope[:, None] * graph.edge_vectors


class MACEPotential(Calculator):
    """Energy, forces and stress of a MACE network with walls.

    Parameters
    ----------
    network : ``mace.modules.ScaleShiftMACE``
    walls : see :class:`Walls`
    name : shown in messages
    card : model card
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
        device: str = "cpu",
        dtype: str = "float32",
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        if dtype not in ("float32", "float64"):
            raise InputError(name, "dtype", repr(dtype), "'float32' or 'float64'")
        self.device, self.dtype = torch.device(device), getattr(torch, dtype)
        self.network = network.to(self.device, self.dtype).requires_grad_(False)
        self.name, self.card = name, dict(card or {})
        self.cutoff = float(network.r_max)
        self.elements = tuple(int(z) for z in network.atomic_numbers)
        self.walls = Walls.from_list(walls, self.elements)

    @classmethod
    def from_file(
        cls, path: str | os.PathLike[str], *, device: str = "cpu", dtype: str = "float32"
    ) -> MACEPotential:
        """Read ``NAME.json`` and the weights next to it."""
        header, weights = read_potential(path)
        network = build_network(path, header["configuration"], weights)
        name = str(header.get("name", Path(path).stem))
        return cls(
            network,
            header.get("walls", ()),
            name=name,
            card=header.get("card"),
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
        """
        size = BATCH_ATOMS.get(self.device.type, LARGE_BATCH_ATOMS)
        return [
            result for batch in batches(structures, size) for result in self._evaluate_batch(batch)
        ]

    def _evaluate_batch(self, structures: Sequence[Atoms]) -> list[dict[str, Any]]:
        graph = build_graph(structures, self.cutoff)
        species = self._species(graph)
        # the gradient with respect to edges gives both forces and virial
        out = self.network(
            self._batch(graph, species), compute_force=False, compute_edge_forces=True
        )
        energies = out["node_energy"].detach().double().cpu().numpy()
        wall_energies, gradients = self.walls.of(graph, species)
        energies = energies + np.bincount(
            graph.centres, weights=wall_energies, minlength=graph.n_atoms
        )
        gradients += out["edge_forces"].double().cpu().numpy()
        return _by_structure(structures, graph, energies, gradients)

    def _batch(self, graph: Graph, species: IntArray) -> dict[str, torch.Tensor]:
        """The graph as mace-torch takes it; vectors stand in the shifts, so all atoms are at 0."""
        like = {"dtype": self.dtype, "device": self.device}
        n_structures, ends = len(graph.structure_sizes), np.cumsum((0, *graph.structure_sizes))
        owner = np.repeat(np.arange(n_structures), graph.structure_sizes)
        return {
            "positions": torch.zeros(graph.n_atoms, 3, **like),
            "shifts": torch.as_tensor(graph.edge_vectors, **like),
            "node_attrs": torch.as_tensor(np.eye(len(self.elements))[species], **like),
            "edge_index": torch.as_tensor(
                np.stack([graph.centres, graph.neighbours]), device=self.device
            ),
            "cell": torch.zeros(3 * n_structures, 3, **like),
            "batch": torch.as_tensor(owner, device=self.device),
            "ptr": torch.as_tensor(ends, device=self.device),
        }

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """ASE's entry: everything is computed at once, the stress costs nothing extra."""
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        self.results = self.evaluate([self.atoms])[0]  # type: ignore[list-item]

    def _species(self, graph: Graph) -> IntArray:
        unknown = sorted(set(graph.atomic_numbers.tolist()) - set(self.elements))
        if unknown:
            raise InputError(
                f"potential {self.name}",
                "element",
                ", ".join(chemical_symbols[z] for z in unknown),
                ", ".join(chemical_symbols[z] for z in self.elements),
            )
        return np.searchsorted(np.asarray(self.elements), graph.atomic_numbers)


def _by_structure(
    structures: Sequence[Atoms], graph: Graph, energies: FloatArray, gradients: FloatArray
) -> list[dict[str, Any]]:
    """Results from the energies of atoms and their gradients with respect to edge vectors."""
    forces = np.zeros((graph.n_atoms, 3))
    np.add.at(forces, graph.centres, gradients)
    np.add.at(forces, graph.neighbours, -gradients)
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


def build_network(
    where: str | os.PathLike[str],
    configuration: Mapping[str, Any],
    weights: Mapping[str, torch.Tensor],
) -> Any:
    """mace-torch's ``ScaleShiftMACE`` in single precision; ``where`` is named in errors.

    Raises
    ------
    InputError
        A configuration that mace-torch refuses, or weights that do not belong to it.
    RunError
        mace-torch is not installed.
    """
    with quiet_mace():
        try:
            from e3nn import o3
            from mace import modules
        except ImportError as error:
            raise RunError(
                f'{where}: this potential needs mace-torch: pip install "aptnn_md[mace]" ({error})'
            ) from error
        arguments = dict(configuration)
        try:
            for name in ("interaction_cls", "interaction_cls_first"):
                arguments[name] = modules.interaction_classes[arguments[name]]
            for name in ("hidden_irreps", "MLP_irreps"):
                arguments[name] = o3.Irreps(arguments[name])
            arguments["readout_cls"] = getattr(modules.blocks, arguments["readout_cls"])
            arguments["gate"] = getattr(torch.nn.functional, arguments["gate"])
            network = modules.ScaleShiftMACE(**arguments)
            network.load_state_dict(weights)
        except Exception as error:
            # whatever a wrong configuration makes mace-torch run into
            message = " ".join(str(error).split())[:300]
            raise InputError(
                where, "configuration and weights", message, "a MACE network"
            ) from error
    return network


def read_potential(
    path: str | os.PathLike[str],
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Header (configuration, card) and weights (``state_dict``) of a stored potential."""
    path = Path(path)
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(path, "file", error, f"a JSON file of format {FORMAT!r}") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        found = header.get("format") if isinstance(header, dict) else type(header).__name__
        raise InputError(path, "format", found, FORMAT)
    if header.get("version") != VERSION:
        raise InputError(path, "version", header.get("version"), f"{VERSION}")
    weights_path = path.with_suffix(".pt")
    try:
        content = weights_path.read_bytes()
    except OSError as error:
        raise InputError(weights_path, "file", error, "the weights that belong to it") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != header.get("weights_sha256"):
        raise InputError(weights_path, "SHA-256", digest, header.get("weights_sha256"))
    try:
        weights = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise InputError(weights_path, "weights", error, "a state_dict of tensors") from error
    return header, weights


def write_potential(
    path: str | os.PathLike[str],
    configuration: Mapping[str, Any],
    weights: Mapping[str, torch.Tensor],
    card: Mapping[str, Any],
    walls: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write ``NAME.json`` and ``NAME.pt``; the inverse of :func:`read_potential`."""
    path = Path(path).with_suffix(".json")
    buffer = io.BytesIO()
    torch.save(dict(weights), buffer)
    header = {
        "format": FORMAT,
        "version": VERSION,
        "name": path.stem,
        "configuration": dict(configuration),
        "walls": [dict(wall) for wall in walls],
        "card": dict(card),
        "weights_sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
    }
    text = json.dumps(header, indent=1, ensure_ascii=False) + "\n"
    write_output(path.with_suffix(".pt"), buffer.getvalue())
    write_output(path, text.encode())
