"""MACE networks on tables of neighbours, against mace-torch with the same weights."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from helpers.tiers import thorough_but

from aptnn_md.atoms.neighbours import Graph, build_graph
from aptnn_md.potentials.dense_mace import DenseMACE
from aptnn_md.potentials.mace import MACEPotential
from aptnn_md.potentials.mace_network import network_input, new_network, species_in

pytestmark = [
    pytest.mark.mace,
    pytest.mark.skipif(importlib.util.find_spec("mace") is None, reason="needs mace-torch"),
]

ELEMENTS = (1, 8, 11, 16)
CONFIGURATION: dict[str, Any] = {
    "r_max": 4.0,
    "num_bessel": 6,
    "num_polynomial_cutoff": 5,
    "max_ell": 2,
    "interaction_cls": "RealAgnosticResidualInteractionBlock",
    "interaction_cls_first": "RealAgnosticResidualInteractionBlock",
    "num_interactions": 2,
    "num_elements": len(ELEMENTS),
    "hidden_irreps": "4x0e+4x1o",
    "MLP_irreps": "5x0e",
    "gate": "silu",
    "readout_cls": "NonLinearReadoutBlock",
    "atomic_energies": [[-0.5, -3.0, 0.25, 7.0]],
    "avg_num_neighbors": 6.5,
    "atomic_numbers": list(ELEMENTS),
    "correlation": 3,
    "radial_type": "bessel",
    "apply_cutoff": True,
    "radial_MLP": [9, 7],
    "pair_repulsion": False,
    "atomic_inter_scale": [1.7],
    "atomic_inter_shift": [0.4],
    "heads": ["Default"],
}
OTHERS: dict[str, dict[str, Any]] = {
    "two layers": {},
    "one layer": {"num_interactions": 1, "hidden_irreps": "6x0e", "max_ell": 3},
    "three layers, l to 2": {"num_interactions": 3, "hidden_irreps": "3x0e+3x1o+3x2e"},
    "pairs only": {"correlation": 1},
    "second order, one channel": {"correlation": 2, "hidden_irreps": "1x0e+1x1o", "max_ell": 1},
    "chebyshev": {"radial_type": "chebyshev", "hidden_irreps": "4x0e"},
}


def network_of(**changes: Any) -> torch.nn.Module:
    network: torch.nn.Module = new_network({**CONFIGURATION, **changes}, 3, torch.float64)
    return network


def structures() -> list[Atoms]:
    """A small triclinic cell, a molecule with an atom far off, a single atom, and an odd one."""
    rng = np.random.default_rng(5)
    cell = np.array([[4.1, 0.3, -0.4], [1.7, 4.6, 0.2], [-0.6, 1.1, 3.9]])
    scaled = np.array([[0.0, 0, 0], [0.5, 0.4, 0.1], [0.2, 0.7, 0.6], [0.8, 0.1, 0.5]])
    periodic = Atoms([8, 1, 11, 1], cell=cell, pbc=True, scaled_positions=scaled)
    molecule = Atoms("SOHHH", rng.normal(scale=1.2, size=(5, 3)))
    molecule.positions[4] += 30.0
    surface = Atoms("NaOH", rng.normal(scale=1.5, size=(3, 3)), cell=cell, pbc=[True, False, True])
    return [periodic, molecule, Atoms("H"), surface]


def by_mace_torch(network: torch.nn.Module, graph: Graph) -> tuple[np.ndarray, np.ndarray]:
    species = species_in(graph.atomic_numbers, ELEMENTS, "network")
    data = network_input(graph, species, len(ELEMENTS), torch.float64, "cpu")
    out = network(data, compute_force=False, compute_edge_forces=True)
    return out["node_energy"].detach().numpy(), out["edge_forces"].numpy()


def forces_and_virial(graph: Graph, gradients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unique, while it is not which of the two directions of a pair a gradient stands at."""
    forces = np.zeros((graph.n_atoms, 3))
    np.add.at(forces, graph.centres, gradients)
    np.subtract.at(forces, graph.neighbours, gradients)
    return forces, graph.edge_vectors.T @ gradients


@pytest.mark.parametrize("kind", thorough_but(OTHERS, "two layers", "one layer"))
def test_energies_forces_and_virial_are_those_of_mace_torch(kind: str, monkeypatch) -> None:
    network = network_of(**OTHERS[kind])
    graph = build_graph(structures(), 4.0)
    species = species_in(graph.atomic_numbers, ELEMENTS, "network")
    energies, gradients = by_mace_torch(network, graph)
    monkeypatch.setattr("aptnn_md.potentials.dense_mace.CHUNK_PAIRS", 150)  # several, one odd
    dense = DenseMACE.of(network)
    assert dense is not None
    found, slopes = dense.energies_and_gradients(graph, species)
    size = np.abs(gradients).max()
    assert size > 1e-4
    np.testing.assert_allclose(found, energies, atol=1e-9 * max(1.0, size))
    for mine, theirs in zip(
        forces_and_virial(graph, slopes), forces_and_virial(graph, gradients), strict=True
    ):
        np.testing.assert_allclose(mine, theirs, atol=1e-9 * max(1.0, np.abs(theirs).max()))


def test_gradients_by_all_weights_are_those_of_mace_torch() -> None:
    """Second derivatives, as a loss of forces needs them."""
    network = network_of()
    graph = build_graph(structures(), 4.0)
    species = species_in(graph.atomic_numbers, ELEMENTS, "network")
    dense = DenseMACE.of(network)
    assert dense is not None
    data = network_input(graph, species, len(ELEMENTS), torch.float64, "cpu")
    ends = torch.from_numpy(np.stack([graph.centres, graph.neighbours]))
    wanted = torch.randn(graph.n_atoms, 3, dtype=torch.float64)

    def weights_of_loss(tables: bool) -> list[torch.Tensor]:
        vectors = torch.from_numpy(graph.edge_vectors).requires_grad_(True)
        if tables:
            energy = dense.energies(vectors, dense.table(graph, species)).sum()
        else:
            energy = network({**data, "shifts": vectors}, compute_force=False)[
                "interaction_energy"
            ].sum()
        (slopes,) = torch.autograd.grad(energy, vectors, create_graph=True)
        forces = torch.zeros_like(wanted).index_add(0, ends[0], slopes)
        forces = forces.index_add(0, ends[1], slopes, alpha=-1.0)
        loss = (forces - wanted).square().sum() + 0.1 * energy
        return list(torch.autograd.grad(loss, list(network.parameters()), materialize_grads=True))

    for mine, theirs in zip(weights_of_loss(True), weights_of_loss(False), strict=True):
        scale = float(theirs.abs().max()) + 1e-3
        assert float((mine - theirs).abs().max()) < 1e-8 * scale


def test_weights_that_change_count_at_once() -> None:
    network = network_of()
    network.requires_grad_(False)
    graph = build_graph(structures()[1], 4.0)
    species = species_in(graph.atomic_numbers, ELEMENTS, "network")
    dense = DenseMACE.of(network)
    assert dense is not None
    before, _ = dense.energies_and_gradients(graph, species)
    for weight in network.parameters():
        weight.mul_(1.1)
    after, _ = dense.energies_and_gradients(graph, species)
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(after, by_mace_torch(network, graph)[0], atol=1e-9)


@pytest.mark.parametrize(
    "changes",
    [
        {"interaction_cls_first": "RealAgnosticInteractionBlock"},
        {"pair_repulsion": True},
        {"correlation": 4, "max_ell": 1},
        {"distance_transform": "Agnesi"},
        {"apply_cutoff": False},
        {"use_last_readout_only": True},
    ],
    ids=lambda changes: next(iter(changes)),
)
@pytest.mark.thorough
def test_other_networks_are_left_to_mace_torch(changes: dict[str, Any]) -> None:
    network = network_of(**changes)
    assert DenseMACE.of(network) is None
    atoms = structures()[0]
    graph = build_graph(atoms, 4.0)
    energies, _ = by_mace_torch(network, graph)
    found = MACEPotential(network, dtype="float64").evaluate([atoms])[0]
    np.testing.assert_allclose(found["energies"], energies, atol=1e-9)


def test_an_empty_structure_has_nothing() -> None:
    potential = MACEPotential(network_of(), dtype="float64")
    assert potential._dense is not None
    empty, lone = potential.evaluate([Atoms(), Atoms("Na", [[3.0, 1.0, 2.0]])])
    assert empty["energy"] == 0.0
    assert empty["forces"].shape == (0, 3)
    assert not lone["forces"].any()
    (alone,) = potential.evaluate([Atoms()])
    assert (alone["energy"], len(alone["forces"])) == (0.0, 0)
