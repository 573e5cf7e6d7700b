"""What a batched state of torch-sim says of its systems: atoms, masses, and what can move."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms, FixCom

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.structures import Mobility


@dataclass(frozen=True)
class System:
    """One of the systems of a state.

    Attributes
    ----------
    place : of its atoms among those of the state
    atoms : as they are when the stream begins, with masses and constraints
    mobility : what the constraints let move; None: everything
    """

    place: slice
    atoms: Atoms
    mobility: Mobility | None

    def now(self, positions: FloatArray, cell: FloatArray) -> Atoms:
        """The structure at another time.

        Parameters
        ----------
        positions : (n_atoms, 3), Å
        cell : (3, 3), Å, rows are lattice vectors
        """
        atoms: Atoms = self.atoms.copy()
        atoms.set_constraint()  # which would hold the new positions back
        atoms.set_cell(cell)
        atoms.set_positions(positions)
        return atoms


@dataclass(frozen=True)
class Kinematics:
    """Where all atoms of a state are, and how they move, on the host.

    Attributes
    ----------
    positions, velocities, accelerations : (n_atoms, 3), Å, Å/fs and Å/fs²
    cells : (n_systems, 3, 3), Å, rows are lattice vectors
    """

    positions: FloatArray
    velocities: FloatArray
    accelerations: FloatArray
    cells: FloatArray

    @classmethod
    def of(cls, state: Any) -> Kinematics:
        """That of a state: a single transfer from the device for all atoms.

        Raises
        ------
        InputError
            There are no momenta: a state that no integrator has made.
        """
        import torch
        from torch_sim.units import MetalUnits

        if getattr(state, "momenta", None) is None:
            found = f"{type(state).__name__}, which has no momenta"
            raise InputError("torch-sim", "state", found, "a state of molecular dynamics")
        # a picosecond in torch-sim's units of time
        per_fs = float(MetalUnits.time) * 1e-3
        accelerations = state.forces / state.masses.unsqueeze(1)
        joined = torch.cat([state.positions, state.velocities, accelerations], dim=1).detach()
        on_host = joined.cpu().numpy().astype(np.float64)
        positions, velocities, accelerations = np.split(on_host, 3, axis=1)
        columns = state.cell.detach().cpu().numpy().astype(np.float64)
        return cls(
            positions,
            velocities * per_fs,
            accelerations * per_fs**2,
            columns.transpose(0, 2, 1),
        )


def systems_of(state: Any, kinematics: Kinematics) -> list[System]:
    """The systems of a state, in order.

    Charges that the state holds (``charge`` of each system, e) are those of the structures.
    """
    of_atom = state.system_idx.cpu().numpy()
    bounds = np.searchsorted(of_atom, np.arange(state.n_systems + 1))
    numbers = state.atomic_numbers.cpu().numpy()
    masses = state.masses.cpu().numpy().astype(np.float64)
    charges = _charges(state)
    found_systems = []
    for k, (start, stop) in enumerate(itertools.pairwise(bounds)):
        place = slice(int(start), int(stop))
        atoms = Atoms(
            numbers=numbers[place],
            positions=kinematics.positions[place],
            cell=kinematics.cells[k],
            pbc=_periodic(state, k),
            masses=masses[place],
        )
        if charges is not None:
            atoms.info["charge"] = float(charges[k])
        found_systems.append(System(place, atoms, _constrain(atoms, place, k, state)))
    return found_systems


def _periodic(state: Any, number: int) -> list[bool]:
    """In which directions a system is periodic; torch-sim 0.3 knows all or none."""
    periodic = np.asarray(state.pbc.cpu() if hasattr(state.pbc, "cpu") else state.pbc, dtype=bool)
    own = periodic[number] if periodic.ndim == 2 else periodic
    return [bool(direction) for direction in np.broadcast_to(own, 3)]


def _charges(state: Any) -> FloatArray | None:
    charge = getattr(state, "charge", None)
    if charge is None:
        return None
    values: FloatArray = charge.detach().cpu().numpy().astype(np.float64).reshape(-1)
    return values if len(values) == state.n_systems else None


def _constrain(atoms: Atoms, place: slice, number: int, state: Any) -> Mobility | None:
    """Give ``atoms`` torch-sim's constraints as ASE's, and say what these let move."""
    constraints: list[Any] = []
    unaccounted = []
    for constraint in getattr(state, "constraints", ()):
        kind = type(constraint).__name__
        if kind == "FixAtoms":
            fixed = constraint.atom_idx.cpu().numpy()
            own = fixed[(fixed >= place.start) & (fixed < place.stop)] - place.start
            constraints += [FixAtoms(own)] if len(own) else []
        elif kind == "FixCom":
            constraints += [FixCom()] if number in constraint.system_idx.tolist() else []
        else:
            unaccounted.append(kind)
    if not constraints and not unaccounted:
        return None
    atoms.set_constraint(constraints)
    mobility = Mobility.of(atoms)
    return replace(mobility, unaccounted=(*mobility.unaccounted, *unaccounted))
