"""Structures and models that several tests share."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from ase import Atoms

from aptnn_md.models.tensor_network import fresh_model
from aptnn_md.prediction.model_file import ModelFile

ELEMENTS = (1, 8, 11)
SMALL_ACE = {
    "cutoff": 4.0,
    "n_radial": 4,
    "n_channels": 6,
    "message_cutoff": 3.0,
    "message_radial": 3,
    "message_channels": 4,
}
SMALL_SIMPLE = {"cutoff": 4.0, "n_channels": 3, "n_neighbours": 20.0}
# what enters varies as much as its size, or charges would hardly depend on the environment
SMALL_DIPOLE = {**SMALL_ACE, "input_scale": 1.0}
SETTINGS = {
    "ace": SMALL_ACE,
    "dipole": SMALL_DIPOLE,
    "polarizability": SMALL_DIPOLE,
    "simple": SMALL_SIMPLE,
}


def triclinic(seed: int = 0, n_atoms: int = 17, size: float = 6.0) -> Atoms:
    """Three elements at random places, no two close, in a lopsided periodic cell."""
    random = np.random.default_rng(seed)
    cell = size * np.array([[1.0, 0.1, -0.2], [0.3, 1.1, 0.15], [-0.25, 0.2, 0.9]])
    places: list[np.ndarray] = []
    while len(places) < n_atoms:
        place = random.random(3)
        gaps = [place - other - np.round(place - other) for other in places]
        if all(np.linalg.norm(gap @ cell) > 1.1 for gap in gaps):
            places.append(place)
    numbers = np.resize([8, 1, 1, 11, 1], n_atoms)
    return Atoms(numbers, positions=np.array(places) @ cell, cell=cell, pbc=True)


def fragment() -> Atoms:
    """A piece without symmetry in empty space, far from the origin."""
    positions = [
        [0.0, 0.0, 0.0],
        [0.9, 0.2, 0.0],
        [-0.3, 0.9, 0.1],
        [0.5, -1.4, 1.9],
        [1.6, 1.7, 1],
    ]
    atoms = Atoms("OH2NaO", positions=positions)
    atoms.positions += (3.0, -8.0, 5.0)
    return atoms


def slab() -> Atoms:
    """Periodic along two directions."""
    atoms = triclinic(n_atoms=9)
    atoms.pbc = (True, True, False)
    return atoms


@cache
def random_checkpoint(
    network: str = "ace", members: int = 1, seed: int = 0, target: str = "apt"
) -> ModelFile:
    """A model with random weights whose outputs of every irrep are of order one."""
    models = [
        fresh_model(network, target, ELEMENTS, SETTINGS[network], seed + k) for k in range(members)
    ]
    for model in models:
        balance(model)
    return ModelFile(
        network=network,
        config=models[0].settings,
        target=target,
        members=tuple(model.state_dict() for model in models),
        card={"training_data": "none"},
    )


def balance(model: Any) -> None:
    """Give every irrep of every element unit rms on a sample and a mean of its own."""
    from aptnn_md.atoms.neighbours import build_graph

    graph = build_graph(triclinic(seed=5), model.config.cutoff)
    geometry, species = model.geometry(graph), model.species(graph)
    model.network.fit_scales([geometry])
    if model.dipole_network is not None:
        # its outputs are taken as they are
        model.network.share.data += torch.tensor([0.3, -0.5, 1.1])
    if model.gives_derivatives:
        return
    with torch.no_grad():
        out = model.network(geometry)
        for element in range(len(ELEMENTS)):
            for irrep in model.irrep_of_component.unique():
                columns = model.irrep_of_component == irrep
                rms = out[species == element][:, columns].pow(2).mean().sqrt()
                model.scale[element, columns] = 1.0 / rms
            model.mean[element, model.scalar_components] = 0.3 * element - 0.2
