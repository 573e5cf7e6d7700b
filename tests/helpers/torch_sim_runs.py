"""Systems of :mod:`helpers.same_forces` in torch-sim, in batches; versions 0.3 and 0.6 alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import torch_sim
from ase import Atoms
from torch_sim.models.interface import ModelInterface

from aptnn_md.atoms.snapshot import nearest_images
from helpers import same_forces, toy_molecules

FS = 1e-3
"""ps, in which torch-sim counts."""

OLD = not hasattr(torch_sim, "Integrator")
"""Version 0.3, the newest one for Python 3.11: integrators are functions of the model."""


def whole(atoms: Atoms) -> Atoms:
    """The structure with molecules in one piece: version 0.3 folds atoms back into the cell."""
    first = np.repeat(atoms.positions[::3], 3, axis=0)
    vectors = nearest_images(atoms.positions - first, atoms.cell.array, (True, True, True))
    found: Atoms = atoms.copy()
    found.positions = first + vectors
    return found


class Tensors(toy_molecules.Tensors):
    """The analytic tensors of molecules that a boundary may cut."""

    def __call__(self, atoms: Any) -> Any:
        """APTs (n_atoms, 3, 3)."""
        return super().__call__(whole(atoms))


class Forces(ModelInterface):
    """The forces of :class:`helpers.same_forces.Potential`, system by system."""

    def __init__(self) -> None:
        super().__init__()
        self._device, self._dtype = torch.device("cpu"), torch.float64
        self._compute_stress, self._compute_forces = False, True

    def forward(self, state: Any, **_: Any) -> dict[str, torch.Tensor]:
        """Energies and forces."""
        atoms = [whole(each) for each in torch_sim.io.state_to_atoms(state)]
        for each in atoms:
            each.calc = same_forces.Potential()
        forces = np.concatenate([each.get_forces() for each in atoms])
        energies = [each.get_potential_energy() for each in atoms]
        return {
            "energy": torch.tensor(energies, dtype=torch.float64),
            "forces": torch.tensor(forces, dtype=torch.float64),
        }


def batch(structures: Sequence[Atoms]) -> Any:
    """A state of all structures, whose masses are those of the structures."""
    state = torch_sim.initialize_state(list(structures), torch.device("cpu"), torch.float64)
    state.masses = torch.tensor(np.concatenate([a.get_masses() for a in structures]))
    return state


def momenta(structures: Sequence[Atoms]) -> torch.Tensor:
    """Of the structures, in torch-sim's units, which are ASE's."""
    return torch.tensor(np.concatenate([atoms.get_momenta() for atoms in structures]))


def integrator(name: str) -> Any:
    """What ``torch_sim.integrate`` takes."""
    if not OLD:
        return torch_sim.Integrator(name)
    from torch_sim import integrators

    return getattr(integrators, name)


def states(
    structures: Sequence[Atoms],
    name: str = "nve",
    timestep: float = 0.5,
    model: Any = None,
    constraints: Any = (),
    begin: Mapping[str, Any] = MappingProxyType({}),
    **options: Any,
) -> Iterator[Any]:
    """The state at each step, 0 first, of a run that begins with the structures' velocities.

    ``timestep`` is in fs, ``begin`` and ``options`` are the integrator's for its start and its
    steps, in torch-sim's units.
    """
    model = Forces() if model is None else model
    dt = torch.tensor(timestep * FS * float(torch_sim.units.MetalUnits.time), dtype=torch.float64)
    kelvin = torch.tensor(300.0 * float(torch_sim.units.MetalUnits.temperature)).double()
    state = batch(structures)
    if constraints:
        state.constraints = list(constraints)
    if OLD:
        init, update = integrator(name)(model=model, dt=dt, kT=kelvin, **options)
        state = init(state)
    else:
        from torch_sim.integrators import INTEGRATOR_REGISTRY

        init, step = INTEGRATOR_REGISTRY[torch_sim.Integrator(name)]
        state = init(state=state, model=model, kT=kelvin, dt=dt, **begin)

        def update(state: Any) -> Any:
            return step(state=state, model=model, kT=kelvin, dt=dt, **options)

    if hasattr(state, "momenta") and not name.startswith("npt"):
        state.momenta = momenta(structures)
    while True:
        yield state
        state = update(state)
