"""MACE's networks: built from configuration and weights, or new ones, and what they take.

They are mace-torch's own (``mace.modules.ScaleShiftMACE``).
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from ase.data import chemical_symbols
from torch import Tensor

from aptnn_md.arrays import IntArray
from aptnn_md.atoms.neighbours import Graph
from aptnn_md.errors import InputError, RunError
from aptnn_md.models.quiet_mace import quiet_mace
from aptnn_md.potentials.stored import check_sizes

# what a wrong configuration makes mace-torch and e3nn run into
_REFUSALS: tuple[type[Exception], ...] = (ArithmeticError, AssertionError, AttributeError)
_REFUSALS += (LookupError, RuntimeError, TypeError, ValueError)


def build_network(
    where: str | os.PathLike[str],
    configuration: Mapping[str, Any],
    weights: Mapping[str, Tensor],
) -> Any:
    """mace-torch's ``ScaleShiftMACE`` in the precision of its weights.

    ``where`` is named in errors.

    Raises
    ------
    InputError
        A configuration that mace-torch refuses, or weights that do not belong to it.
    RunError
        mace-torch is not installed.
    """
    check_sizes(where, configuration, weights)
    double = any(tensor.dtype == torch.float64 for tensor in weights.values())
    with _building(where, torch.float64 if double else torch.float32):
        network = _network(where, configuration)
        network.load_state_dict(weights)
    return network


def new_network(
    configuration: Mapping[str, Any], seed: int, dtype: torch.dtype = torch.float32
) -> Any:
    """A network whose initial weights depend on the seed only.

    Raises
    ------
    InputError
        A configuration that mace-torch refuses.
    RunError
        mace-torch is not installed.
    """
    with torch.random.fork_rng(devices=[]), _building("network", dtype):
        torch.manual_seed(seed)
        return _network("network", configuration)


@contextmanager
def _building(where: str | os.PathLike[str], dtype: torch.dtype) -> Iterator[None]:
    with quiet_mace():  # which gives torch its own default back
        torch.set_default_dtype(dtype)
        try:
            yield
        except _REFUSALS as error:
            if isinstance(error, InputError | RunError):
                raise
            message = " ".join(str(error).split())[:300]
            raise InputError(
                where, "configuration and weights", message, "a MACE network"
            ) from error


def check_mace(where: str | os.PathLike[str]) -> None:
    """Raise :class:`RunError` if mace-torch is not installed, before anything needs it."""
    for name in ("mace", "e3nn"):
        if importlib.util.find_spec(name) is None:
            raise RunError(f'{where}: it needs mace-torch: pip install "aptnn_md[mace]"')


def _network(where: str | os.PathLike[str], configuration: Mapping[str, Any]) -> Any:
    try:
        from e3nn import o3
        from mace import modules
    except ImportError as error:
        raise RunError(
            f'{where}: this potential needs mace-torch: pip install "aptnn_md[mace]" ({error})'
        ) from error
    arguments = dict(configuration)
    for name in ("interaction_cls", "interaction_cls_first"):
        arguments[name] = modules.interaction_classes[arguments[name]]
    for name in ("hidden_irreps", "MLP_irreps"):
        arguments[name] = o3.Irreps(arguments[name])
    arguments["readout_cls"] = modules.readout_classes[arguments["readout_cls"]]
    arguments["gate"] = modules.gate_dict[str(arguments["gate"])]
    return modules.ScaleShiftMACE(**arguments)


def species_in(numbers: IntArray, elements: Sequence[int], who: str) -> IntArray:
    """Place of each atomic number (n_atoms,) among ``elements``, which ascend.

    Raises
    ------
    InputError
        An element that is not among them; ``who`` does not know it.
    """
    unknown = sorted(set(numbers.tolist()) - set(elements))
    if unknown:
        raise InputError(
            who,
            "element",
            ", ".join(chemical_symbols[z] for z in unknown),
            ", ".join(chemical_symbols[z] for z in elements),
        )
    return np.searchsorted(np.asarray(elements), numbers)


def network_input(
    graph: Graph,
    species: IntArray,
    n_elements: int,
    dtype: torch.dtype,
    device: torch.device | str,
) -> dict[str, Tensor]:
    """The graph as mace-torch takes it.

    Vectors stand in the shifts, so all atoms are at 0.

    Parameters
    ----------
    graph : of one or several structures
    species : (n_atoms,), see :func:`species_in`
    n_elements : of the network
    """
    n_structures, ends = len(graph.structure_sizes), np.cumsum((0, *graph.structure_sizes))
    owner = np.repeat(np.arange(n_structures), graph.structure_sizes)

    def numbers(array: Any) -> Tensor:
        return torch.as_tensor(array, dtype=dtype, device=device)

    return {
        "positions": numbers(np.zeros((graph.n_atoms, 3))),
        "shifts": numbers(graph.edge_vectors),
        "node_attrs": numbers(np.eye(n_elements)[species]),
        "edge_index": torch.as_tensor(np.stack([graph.centres, graph.neighbours]), device=device),
        "cell": numbers(np.zeros((3 * n_structures, 3))),
        "batch": torch.as_tensor(owner, device=device),
        "ptr": torch.as_tensor(ends, device=device),
    }
