"""Engines, models, networks and devices of a campaign, looked for before anything is written.

What would be refused only by a training or a dynamics, hours later, is refused at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from ase import Atoms
from ase.data import chemical_symbols

from aptnn_md.engines.ipi.version import require_ipi
from aptnn_md.errors import InputError
from aptnn_md.labels.engines.interface import load_engine
from aptnn_md.learning.settings import CampaignSettings
from aptnn_md.models.devices import torch_device
from aptnn_md.models.tensor_network import TensorNetwork
from aptnn_md.potentials.loading import load_potential
from aptnn_md.potentials.mace_network import check_mace
from aptnn_md.prediction.loading import as_model
from aptnn_md.structures import charge_of


def check_programs(settings: CampaignSettings, systems: Sequence[Atoms]) -> None:
    """Refuse what is not there, or does not fit the systems.

    Raises
    ------
    InputError
        An engine, potential, model, network or device that cannot be used.
    RunError
        A program that is not installed.
    """
    for atoms in systems:
        if len(atoms) < 2:
            expected = "two atoms or more: a single one has no vibrations"
            raise InputError(atoms.get_chemical_formula(), "atoms", len(atoms), expected)
    for spec in filter(None, (settings.engine, settings.sampler)):
        engine = load_engine(spec)
        for atoms in systems:
            engine.check(atoms, charge_of(atoms, 0.0) or 0.0)
    torch_device(settings.device)
    if settings.dynamics.beads > 1:
        require_ipi()
        for atoms in systems:
            if atoms.pbc.any() and not atoms.pbc.all():
                found = f"{settings.dynamics.beads}, of a structure with pbc {atoms.pbc.tolist()}"
                expected = "1, or structures periodic in all directions, or in none, as in i-PI"
                raise InputError("[dynamics]", "beads", found, expected)
    if settings.learns_potential:
        check_mace("potential")
    else:
        _check_potential(settings, systems)
    _check_tensors(settings, systems)


def _check_potential(settings: CampaignSettings, systems: Sequence[Atoms]) -> None:
    """Refuse a potential of other charges, or one that does not know the elements."""
    potential = load_potential(settings.potential, device=settings.device)
    known = getattr(potential, "elements", None)
    for atoms in systems:
        stated = atoms.copy()
        stated.info["charge"] = charge_of(atoms, 0.0)
        charge_of(stated, calculator=potential)
        if known is not None:
            _check_elements("potential", settings.potential, known, atoms)


def _check_elements(what: str, name: str, known: Sequence[int], atoms: Atoms) -> None:
    missing = sorted(set(map(int, atoms.numbers)) - set(map(int, known)))
    if missing:
        symbols = ", ".join(chemical_symbols[z] for z in missing)
        expected = f"another one, as {atoms.get_chemical_formula()} has {symbols}"
        raise InputError("campaign", what, name, expected)


def _check_tensors(settings: CampaignSettings, systems: Sequence[Atoms]) -> None:
    if settings.start_from:
        model = as_model(settings.start_from, require=settings.properties, device=settings.device)
        for atoms in systems:
            if model.elements is not None:
                _check_elements("start_from", settings.start_from, model.elements, atoms)
        return
    tensors = settings.tensors
    elements = tuple(sorted({int(z) for atoms in systems for z in atoms.numbers}))
    chosen = tensors.settings_of_network(settings.properties)
    TensorNetwork(tensors.network, elements, settings.target, chosen)
