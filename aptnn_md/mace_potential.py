"""A MACE potential as an ASE calculator, and the two files that keep it.

``NAME.json`` holds the configuration (the arguments of ``mace.modules.ScaleShiftMACE``), repulsive
walls at distances outside of the training data, the model card and the SHA-256 of the weights;
``NAME.pt`` holds the weights (a ``state_dict``, read with ``weights_only=True``: no code is in it).
mace-torch can build its own module from them, see ``examples/water_mace``; to evaluate them it is
not needed.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.data import chemical_symbols

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.graph import Graph, build_graph
from aptnn_md.mace_network import MACENetwork
from aptnn_md.mace_sums import Pairs

FORMAT = "aptnn_md.mace"
VERSION = 1


class MACEPotential(Calculator):
    """Energy, forces and stress of a small MACE network.

    Parameters
    ----------
    network : the network
    name : shown in messages
    card : model card
    device, dtype : where and in which precision ("float32" or "float64") the network runs. The
        neighbour list and the sums over atoms are made in double precision in any case.

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
        network: MACENetwork,
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
        self.network = network.to(self.device, self.dtype)
        self.name, self.card = name, dict(card or {})
        self.cutoff, self.elements = network.cutoff, network.atomic_numbers

    @classmethod
    def from_file(
        cls, path: str | os.PathLike[str], *, device: str = "cpu", dtype: str = "float32"
    ) -> MACEPotential:
        """Read ``NAME.json`` and the weights beside it."""
        header, weights = read_potential(path)
        network = MACENetwork(header["configuration"], weights, header.get("walls", ()))
        name = str(header.get("name", Path(path).stem))
        return cls(network, name=name, card=header.get("card"), device=device, dtype=dtype)

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
            An element that the network does not know, or a structure without neighbour list.
        """
        graph = build_graph(structures, self.cutoff)
        species = self._species(graph)
        pairs = Pairs.from_graph(graph, self.dtype, self.device)
        pairs.vectors.requires_grad_(True)
        interaction = self.network(pairs, torch.as_tensor(species, device=self.device))
        (gradient,) = torch.autograd.grad(interaction.sum(), pairs.vectors)
        gradient = gradient.double()
        forces = torch.zeros(graph.n_atoms, 3, dtype=torch.float64, device=self.device)
        forces.index_add_(0, pairs.first, gradient)
        forces.index_add_(0, pairs.second, gradient, alpha=-1.0)
        virial = pairs.vectors.detach().double()[:, :, None] * gradient[:, None, :]
        energies = interaction.detach().double().cpu().numpy()
        energies = energies + np.asarray(self.network.atomic_energies)[species]
        return _by_structure(structures, graph, energies, forces.cpu().numpy(), virial, pairs.first)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """ASE's entry: everything is computed at once, the stress costs nothing extra."""
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        self.results = self.evaluate([self.atoms])[0]  # type: ignore[list-item]

    def _species(self, graph: Graph) -> Any:
        known = np.asarray(self.elements)
        unknown = sorted(set(graph.atomic_numbers.tolist()) - set(self.elements))
        if unknown:
            raise InputError(
                f"potential {self.name}",
                "element",
                ", ".join(chemical_symbols[z] for z in unknown),
                ", ".join(chemical_symbols[z] for z in self.elements),
            )
        return np.searchsorted(known, graph.atomic_numbers)


def _by_structure(
    structures: Sequence[Atoms],
    graph: Graph,
    energies: FloatArray,
    forces: FloatArray,
    virial: torch.Tensor,
    first: torch.Tensor,
) -> list[dict[str, Any]]:
    ends = np.cumsum(graph.structure_sizes)
    owner = np.searchsorted(ends, first.cpu().numpy(), side="right")
    virials = torch.zeros(len(ends), 3, 3, dtype=torch.float64, device=virial.device)
    virials.index_add_(0, torch.as_tensor(owner, device=virial.device), virial)
    results = []
    for atoms, size, end, strain in zip(
        structures, graph.structure_sizes, ends, virials.cpu().numpy(), strict=True
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
            stress = (strain + strain.T) / (2.0 * abs(np.linalg.det(atoms.cell.array)))
            result["stress"] = stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        results.append(result)
    return results


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
    _replace(path.with_suffix(".pt"), buffer.getvalue())
    _replace(path, text.encode())


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(content)
    os.replace(temporary, path)
