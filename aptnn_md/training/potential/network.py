"""The configuration of a new network for given frames, or of one that was trained before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from ase.data import chemical_symbols
from torch import Tensor

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.potentials.mace import MACEPotential
from aptnn_md.potentials.mace_network import build_network, new_network
from aptnn_md.potentials.stored import read_potential
from aptnn_md.progress import log
from aptnn_md.training.potential.dataset import mean_neighbours
from aptnn_md.training.potential.frames import EnergyFrame
from aptnn_md.training.potential.reference import (
    atomic_energies_of,
    mean_energies,
    named,
    shifted,
)
from aptnn_md.training.potential.settings import LARGEST_WITH_ONE_LAYER, PotentialSettings

_CUTOFF_POWER = 5
_READOUT_WIDTH = 16


def new_configuration(
    settings: PotentialSettings, frames: Sequence[EnergyFrame], elements: Sequence[int]
) -> dict[str, Any]:
    """The arguments of ``mace.modules.ScaleShiftMACE`` for a network that begins to learn."""
    layers = settings.layers or fitting_layers(frames)
    kinds = "0e" if layers == 1 else f"0e+{settings.channels}x1o"
    energies = atomic_energies_of(frames, elements, settings.atomic_energies)
    return {
        "r_max": settings.cutoff,
        "num_bessel": settings.n_radial,
        "num_polynomial_cutoff": _CUTOFF_POWER,
        "max_ell": settings.max_ell or (3 if layers == 1 else 2),
        "interaction_cls": "RealAgnosticResidualInteractionBlock",
        "interaction_cls_first": "RealAgnosticResidualInteractionBlock",
        "num_interactions": layers,
        "num_elements": len(elements),
        "hidden_irreps": f"{settings.channels}x{kinds}",
        "MLP_irreps": f"{_READOUT_WIDTH}x0e",
        "gate": "silu",
        "readout_cls": "NonLinearReadoutBlock",
        "atomic_energies": [energies.tolist()],
        "avg_num_neighbors": mean_neighbours(frames, settings.cutoff),
        "atomic_numbers": [int(z) for z in elements],
        "correlation": settings.correlation,
        "radial_type": "bessel",
        "apply_cutoff": True,
        "radial_MLP": [settings.radial_width] * 3,
        "pair_repulsion": False,
        "atomic_inter_scale": [force_spread_of(frames)],
        "atomic_inter_shift": [0.0],
        "heads": ["Default"],
    }


def fitting_layers(frames: Sequence[EnergyFrame]) -> int:
    """One layer for small molecules, two where atoms do not all see each other."""
    small = all(
        len(frame.atoms) <= LARGEST_WITH_ONE_LAYER and not frame.atoms.pbc.any() for frame in frames
    )
    return 1 if small else 2


def force_spread_of(frames: Sequence[EnergyFrame]) -> float:
    """Root mean square of the components of all forces, eV/Å; 1 where there are none."""
    squares, n = 0.0, 0
    for frame in frames:
        known = frame.forces[~torch.from_numpy(frame.forces).isnan().numpy()]
        squares, n = squares + float((known**2).sum()), n + known.size
    return (squares / n) ** 0.5 if n and squares > 0.0 else 1.0


def first_network(
    settings: PotentialSettings,
    frames: Sequence[EnergyFrame],
    elements: Sequence[int],
    seed: int,
) -> tuple[dict[str, Any], Any]:
    """Configuration and network with weights that depend on the seed only."""
    configuration = new_configuration(settings, frames, elements)
    network = new_network(configuration, seed, getattr(torch, settings.dtype))
    return configuration, network.to(settings.device)


def trained_network(
    start: str, settings: PotentialSettings, frames: Sequence[EnergyFrame], elements: Sequence[int]
) -> tuple[dict[str, Any], Any]:
    """Configuration and network of a stored potential, which learns more.

    Its scales stay, and its energies of atoms, unless the frames are of another level of theory.

    Raises
    ------
    InputError
        Elements that it does not know.
    """
    header, weights = read_potential(start)
    configuration = dict(header["configuration"])
    known = [int(z) for z in configuration["atomic_numbers"]]
    unknown = [chemical_symbols[z] for z in elements if z not in known]
    if unknown:
        raise InputError(
            start,
            "elements",
            ", ".join(chemical_symbols[z] for z in known),
            f"a potential that knows {', '.join(unknown)}, which the frames have",
        )
    network = build_network(start, configuration, weights)
    energies = _energies_for(start, network, frames, known, settings.device)
    if energies is not None:
        configuration["atomic_energies"] = [energies.tolist()]
        with torch.no_grad():
            buffer: Tensor = network.atomic_energies_fn.atomic_energies
            buffer.copy_(torch.as_tensor(energies).reshape(buffer.shape))
    return configuration, network.to(settings.device, getattr(torch, settings.dtype))


def _energies_for(
    start: str, network: Any, frames: Sequence[EnergyFrame], elements: Sequence[int], device: str
) -> FloatArray | None:
    """New energies of atoms, where those of the trained potential are of another level."""
    with_energy = [frame for frame in frames if frame.has_energy]
    if not with_energy:
        return None
    potential = MACEPotential(network, name=start, device=device)
    found = potential.evaluate([frame.atoms for frame in with_energy])
    network.requires_grad_(True)
    differences = [
        frame.energy - result["energy"] for frame, result in zip(with_energy, found, strict=True)
    ]
    before = network.atomic_energies_fn.atomic_energies.double().cpu().numpy().ravel()
    after, size = shifted(before, *mean_energies(with_energy, differences, elements))
    if after is before:
        return None
    log.warning(
        "%s: its energies are off by up to %.3g eV an atom, as those of another level of theory: "
        "the energies of the atoms become %s eV",
        *(start, size),
        ", ".join(f"{name} {value:.4f}" for name, value in named(after, elements).items()),
    )
    return after
