"""Models as programs of ``torch.export``, which run without this package.

The program takes a list of edges, made by whatever neighbour list the other program has, and gives
what :class:`aptnn_md.prediction.predictor.Predictor` gives, sum rule included. :data:`README` says
how it is called; that, and a table of facts, lie in the file beside the program.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase.data import chemical_symbols
from torch import Tensor, nn

from aptnn_md._version import __version__
from aptnn_md.errors import InputError
from aptnn_md.files import write_output
from aptnn_md.models.cartesian import cartesian_basis
from aptnn_md.models.densities import ACEConfig
from aptnn_md.models.plain_ace import PlainACE
from aptnn_md.models.tensor_network import TensorNetwork
from aptnn_md.prediction.model_file import ModelFile
from aptnn_md.prediction.predictor import DTYPES, Predictor
from aptnn_md.targets import TARGETS, targets_of

FORMAT, VERSION = "aptnn_md.torch-export", 1

INPUTS = {
    "atomic_numbers": "(n_atoms,) int64, in any order",
    "edge_index": "(2, n_edges) int64: row 0 the centre, row 1 its neighbour; every pair from both "
    "sides, periodic images too, in any order; pairs beyond the cutoff change nothing",
    "edge_vectors": "(n_edges, 3) {dtype}, Å: from the centre to the neighbour",
    "structure": "(n_atoms,) int64: the structure that each atom belongs to; zeros for one alone",
    "charges": "(n_structures,) {dtype}, e: the total charge of each structure",
}

README = """\
{name}: {title} of atoms, a program of torch.export made by aptnn_md {version}.

    import torch
    model = torch.export.load("{file}").module()
    tensors = model(atomic_numbers, edge_index, edge_vectors, structure, charges)

Only PyTorch is needed ({torch} or later). In C++: compile it with
torch._inductor.aoti_compile_and_package(torch.export.load("{file}")).

Inputs
{inputs}

Output: a dictionary
{outputs}

The members are those of the committee, one for a single model: take their mean, and their standard
deviation as an estimate of the error. Tensors obey the sum rules, {sums}: the deviation of the
network is shared equally among the atoms of each structure.

Elements: {elements}; any other makes all tensors NaN. Cutoff: {cutoff} Å.
Derivatives of the tensors with respect to edge_vectors can be taken with torch.autograd.
"""


class TensorProgram(nn.Module):
    """The networks of a committee as one module of plain operations; inputs are :data:`INPUTS`."""

    species_of_number: Tensor

    def __init__(self, networks: Sequence[TensorNetwork]) -> None:
        super().__init__()
        first = networks[0]
        dtype = first.mean.dtype
        self.targets = first.targets
        self.columns = dict(first.columns)
        self.members = nn.ModuleList(
            PlainACE(network.config, network.network.state_dict()) for network in networks
        )
        for number, network in enumerate(networks):
            self.register_buffer(f"mean_{number}", network.mean.clone())
            self.register_buffer(f"scale_{number}", network.scale.clone())
        table = torch.full((len(chemical_symbols),), -1)
        table[list(first.config.elements)] = torch.arange(len(first.config.elements))
        self.register_buffer("species_of_number", table)
        for target in targets_of(self.targets):
            basis = cartesian_basis(target.index_symmetry)[1].to(dtype)
            self.register_buffer(f"basis_{target.name}", basis)
            # what the tensors of one atom, zero, lack for the sum that a charge of 1 e asks for
            lacking = -target.residue(np.zeros((1, *target.shape)), 1.0)
            self.register_buffer(f"of_charge_{target.name}", torch.from_numpy(lacking).to(dtype))

    def forward(  # noqa: D102 - described by its class
        self,
        atomic_numbers: Tensor,
        edge_index: Tensor,
        edge_vectors: Tensor,
        structure: Tensor,
        charges: Tensor,
    ) -> dict[str, Tensor]:
        species = self.species_of_number[atomic_numbers]
        known = torch.where((species >= 0).all(), 0.0, torch.nan)
        species = species.clamp(min=0)
        found: dict[str, list[Tensor]] = {target: [] for target in self.targets}
        for number, network in enumerate(self.members):
            scale, mean = (self.get_buffer(f"{name}_{number}") for name in ("scale", "mean"))
            components = network(species, edge_index, edge_vectors) * scale[species]
            components = components + mean[species] + known
            for target in self.targets:
                basis = self.get_buffer(f"basis_{target}")
                tensors = torch.tensordot(components[:, self.columns[target]], basis, dims=1)
                found[target].append(self._projected(target, tensors, structure, charges))
        return {target: torch.stack(members) for target, members in found.items()}

    def _projected(
        self, target: str, tensors: Tensor, structure: Tensor, charges: Tensor
    ) -> Tensor:
        """Tensors (n_atoms, 3, 3, ...) with the sums that the charges ask for."""
        flat = tensors.flatten(1)
        n_atoms = torch.zeros_like(charges).index_add(0, structure, torch.ones_like(flat[:, 0]))
        wanted = charges[:, None] * self.get_buffer(f"of_charge_{target}").flatten()
        sums = flat.new_zeros(charges.shape[0], flat.shape[1]).index_add(0, structure, flat)
        share = (wanted - sums) / n_atoms.clamp(min=1.0)[:, None]
        return (flat + share[structure]).view_as(tensors)


def _networks(model_file: ModelFile, dtype: str) -> list[TensorNetwork]:
    networks = Predictor(model_file, dtype=dtype).networks
    if type(networks[0].config) is not ACEConfig:
        expected = "ace, the network that can be exported; train one with --network ace"
        raise InputError(model_file.path or "model", "network", model_file.network, expected)
    return networks


def export_model(
    model_file: ModelFile, path: str | Path, *, dtype: str = "float32"
) -> dict[str, Any]:
    """Write a model as a program of ``torch.export`` for any number of atoms, edges, structures.

    Parameters
    ----------
    model_file : the model, a committee or of several targets, too
    path : file to write, usually ``.pt2``
    dtype : ``"float32"`` or ``"float64"``, of the program's numbers

    Returns
    -------
    the facts that the file holds beside the program, as ``aptnn_md.json``

    Raises
    ------
    InputError
        A network that cannot be exported, an unknown dtype, or a place that cannot be written to.
    """
    program = TensorProgram(_networks(model_file, dtype)).eval()
    exported = torch.export.export(
        program, _example(model_file, DTYPES[dtype]), dynamic_shapes=_dynamic_shapes()
    )
    facts = _facts(model_file, dtype)
    extra = {"README.txt": _readme(facts, Path(path).name), "aptnn_md.json": json.dumps(facts)}
    buffer = io.BytesIO()
    torch.export.save(exported, buffer, extra_files=extra)
    write_output(Path(path), buffer.getvalue())
    return facts


def _example(model_file: ModelFile, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Inputs with which the program is traced: two chains, each of all elements."""
    numbers = torch.tensor([*model_file.config["elements"]] * 2).repeat_interleave(2)
    n_atoms = len(numbers)
    ends = torch.tensor([(k, k + 1) for k in range(n_atoms - 1)]).T
    edges = torch.cat([ends, ends.flip(0)], dim=1)
    vectors = torch.tensor([[0.5, 0.7, -0.4]], dtype=dtype).repeat(n_atoms - 1, 1)
    structure = torch.arange(n_atoms) // (n_atoms // 2)
    return numbers, edges, torch.cat([vectors, -vectors]), structure, torch.zeros(2, dtype=dtype)


def _dynamic_shapes() -> tuple[dict[int, Any], ...]:
    n_atoms, n_edges, n_structures = (
        torch.export.Dim(name) for name in ("n_atoms", "n_edges", "n_structures")
    )
    return {0: n_atoms}, {1: n_edges}, {0: n_edges}, {0: n_atoms}, {0: n_structures}


def _facts(model_file: ModelFile, dtype: str) -> dict[str, Any]:
    targets = targets_of(model_file.target)
    return {
        "format": FORMAT,
        "version": VERSION,
        "model": Path(model_file.path).name or "model",
        "model_sha256": model_file.sha256,
        "elements": [chemical_symbols[z] for z in model_file.config["elements"]],
        "cutoff": model_file.config["cutoff"],
        "dtype": dtype,
        "inputs": {name: words.format(dtype=dtype) for name, words in INPUTS.items()},
        "outputs": {
            target.name: f"(n_members, n_atoms, {', '.join(map(str, target.shape))}) {dtype}, "
            f"{target.unit}"
            for target in targets
        },
        "n_members": len(model_file.members),
        "card": dict(model_file.card),
        "aptnn_md": __version__,
        "torch": torch.__version__,
    }


_INDICES = {
    "apt": ("[i, α, β] = ∂M_α/∂r_iβ, the dipole's index before the displacement's", "Σᵢ Pᵢ = Q·1"),
    "pgt": ("[i, α, β, γ] = ∂a_αβ/∂r_iγ, the displacement's index last", "Σᵢ PGTᵢ = 0"),
}
"""Target -> its indices, and its sum rule."""


def _readme(facts: dict[str, Any], file: str) -> str:
    def listed(table: dict[str, str]) -> str:
        return "\n".join(f"    {name}: {words}" for name, words in table.items())

    names = [name for name in facts["outputs"] if name in _INDICES]
    outputs = {
        name: words + (f"; {_INDICES[name][0]}" if name in _INDICES else "")
        for name, words in facts["outputs"].items()
    }
    return README.format(
        name=facts["model"],
        title=" and ".join(f"{TARGETS[name].title}s" for name in facts["outputs"]),
        version=facts["aptnn_md"],
        file=file,
        torch=facts["torch"],
        inputs=listed(facts["inputs"]),
        outputs=listed(outputs),
        sums=" and ".join(_INDICES[name][1] for name in names) or "those of their targets",
        elements=", ".join(facts["elements"]),
        cutoff=facts["cutoff"],
    )
