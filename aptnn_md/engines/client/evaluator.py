"""Energies, forces and atomic tensors of several structures of the same atoms in one call."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.stress import voigt_6_to_full_3x3_stress

from aptnn_md.arrays import FloatArray
from aptnn_md.domain_watch import DomainWatch
from aptnn_md.errors import InputError, RunError, raised_by
from aptnn_md.potentials.interface import BatchedPotential, as_batched, check_finite_results
from aptnn_md.prediction.loading import ModelSource, as_model
from aptnn_md.prediction.watch import watch_of
from aptnn_md.structure_checks import check_structure
from aptnn_md.targets import TARGETS, Target, Tensors

_log = logging.getLogger(__name__)

_CELL_TOLERANCE = 1e-6
"""Å: vectors of the same cell agree to this, which is far below what a barostat does in a step."""


def check_n_atoms(found: int, expected: int) -> None:
    """Refuse another number of atoms than the template's.

    Raises
    ------
    InputError
        The server sends another one.
    """
    if found != expected:
        raise InputError(
            "server",
            "atoms",
            found,
            f"{expected} as in the template; the server must send all of them (no <activelist>)",
        )


@dataclass(frozen=True)
class Results:
    """What is known of n structures of the same atoms.

    Attributes
    ----------
    energy : (n,), eV
    forces : (n, n_atoms, 3), eV/Å
    virial : (n, 3, 3), eV: minus the strain derivative of the energy; zero where the potential
        has no stress
    tensors : target -> (n, n_members, n_atoms, *shape); empty where no tensors were asked for
    """

    energy: FloatArray
    forces: FloatArray
    virial: FloatArray
    tensors: Tensors = field(default_factory=dict)

    @classmethod
    def zeros(
        cls, n_structures: int, n_atoms: int, committee_sizes: Mapping[str, int] | None = None
    ) -> Results:
        """No energy and no forces, and tensors of zeros for each target in ``committee_sizes``."""
        return cls(
            energy=np.zeros(n_structures),
            forces=np.zeros((n_structures, n_atoms, 3)),
            virial=np.zeros((n_structures, 3, 3)),
            tensors={
                name: np.zeros((n_structures, size, n_atoms, *TARGETS[name].shape))
                for name, size in (committee_sizes or {}).items()
            },
        )

    def mean(self, target: Target) -> FloatArray:
        """Committee mean of a target, (n, n_atoms, *shape)."""
        mean: FloatArray = self.tensors[target.name].mean(axis=1)
        return mean


class Evaluator:
    """A potential and a model of atomic tensors, either of which may be missing.

    Parameters
    ----------
    template : the atoms in the order of the server. Its periodic directions are kept if it has
        any; otherwise a server's cell with a volume means three
    potential : ASE calculator, or a potential that evaluates batches; None: no energy and forces
    model : of APTs at least, see :func:`aptnn_md.prediction.loading.as_model`; None: no tensors
    periodic : False: open boundaries whatever the cell is
    targets : those of the model's targets that are evaluated, besides its first one; None: all
    no_stress : continue when the cell changes although the potential gives no stress. The virial
        is zero then, with which a barostat only sees the kinetic pressure

    Attributes
    ----------
    committee_sizes : number of members for each target that is evaluated; empty without a model
    """

    def __init__(
        self,
        template: Atoms,
        potential: BatchedPotential | BaseCalculator | None = None,
        model: ModelSource | None = None,
        periodic: bool = True,
        targets: Sequence[str] | None = None,
        no_stress: bool = False,
    ) -> None:
        self.no_stress = no_stress
        self.template = template.copy()
        self.template.calc = None
        self.potential = None if potential is None else as_batched(potential)
        self.model, self.periodic = None, periodic
        self.committee_sizes: dict[str, int] = {}
        if model is not None:
            whole = as_model(model)
            self.model = whole if targets is None else whole.for_targets(targets)
            wanted = self.model.targets if targets is None else targets
            self.committee_sizes = {
                name: size
                for number, (name, size) in enumerate(self.model.committee_sizes.items())
                if number == 0 or name in wanted
            }
        # a list, so that copies for some members or without forces share it
        self._cell_without_stress: list[FloatArray] = []

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.template)

    @property
    def domain(self) -> DomainWatch | None:
        """What judges structures by the spread of the model's committee, where that is known."""
        return None if self.model is None else watch_of(self.model, self.template.numbers)

    @property
    def model_name(self) -> str:
        """Name of the model; empty without one."""
        return "" if self.model is None else self.model.name

    @property
    def model_sha256(self) -> str:
        """Digest of the model's file; empty without one."""
        return "" if self.model is None else self.model.sha256

    def __call__(self, cells: FloatArray, positions: FloatArray, tensors: bool = True) -> Results:
        """Evaluate structures.

        Parameters
        ----------
        cells : (n, 3, 3), rows, Å
        positions : (n, n_atoms, 3), Å
        tensors : evaluate the model too

        Raises
        ------
        InputError
            Another number of atoms, or what potential and model refuse.
        RunError
            Impossible positions or cells, or a cell that changes without a stress; energies,
            forces, stress or tensors that are not finite; an error of a potential or callable of
            the user's.
        """
        check_n_atoms(positions.shape[1], self.n_atoms)
        structures = self.structures(cells, positions)
        check_structures(structures)
        results = Results.zeros(len(structures), self.n_atoms)
        if self.potential is not None:
            results = self._forces(self.potential, structures)
        if self.model is not None and tensors:
            found = self.model.evaluate(structures)
            stacked = {
                name: np.stack([of_structure[name] for of_structure in found])
                for name in self.committee_sizes
            }
            results = replace(results, tensors=stacked)
        return results

    def structures(self, cells: FloatArray, positions: FloatArray) -> list[Atoms]:
        """The template at other positions; see :meth:`__call__`."""
        structures = []
        for cell, q in zip(cells, positions, strict=True):
            atoms = self.template.copy()
            atoms.positions, atoms.cell[:] = q, cell
            if not self.periodic:
                atoms.pbc = False
            elif not atoms.pbc.any():
                atoms.pbc = abs(np.linalg.det(cell)) > 0.0
            structures.append(atoms)
        return structures

    def without_forces(self) -> Evaluator:
        """An evaluator without the potential."""
        part = copy.copy(self)
        part.potential = None
        return part

    def subset(self, members: slice) -> Evaluator:
        """An evaluator of only these members of the first target's committee.

        Of the other targets' committees :func:`aptnn_md.prediction.interface.member_slices` says
        which members go with them.
        """
        part = copy.copy(self)
        if self.model is not None:
            part.model = self.model.select(members)
            sizes = part.model.committee_sizes
            part.committee_sizes = {name: sizes[name] for name in self.committee_sizes}
        return part

    def _forces(self, potential: BatchedPotential, structures: Sequence[Atoms]) -> Results:
        who = f"potential {getattr(potential, 'name', type(potential).__name__)}"
        with raised_by(who):
            found = potential.evaluate(structures)
        for atoms, each in zip(structures, found, strict=True):
            check_finite_results(who, atoms, each)
        if any(each.get("stress") is None for each in found):
            self._check_constant_cell(structures)
        return Results(
            energy=np.array([float(each["energy"]) for each in found]),
            forces=np.stack([np.asarray(each["forces"], dtype=np.float64) for each in found]),
            virial=np.stack(
                [
                    _virial(each.get("stress"), atoms)
                    for each, atoms in zip(found, structures, strict=True)
                ]
            ),
        )

    def _check_constant_cell(self, structures: Sequence[Atoms]) -> None:
        """Warn at first that there is no stress; refuse constant pressure, which needs one."""
        cells = [atoms.cell.array for atoms in structures]
        if not self._cell_without_stress:
            self._cell_without_stress.append(cells[0].copy())
            consequence = (
                "a barostat would see the kinetic pressure only"
                if self.no_stress
                else "constant pressure is refused as soon as the cell changes"
            )
            _log.warning(
                "the potential gives no stress here, so the virial that is sent is zero: pressures "
                "that the server prints are wrong, and %s",
                consequence,
            )
        if self.no_stress:
            return
        change = np.abs(np.array(cells) - self._cell_without_stress[0])
        if change.max() > _CELL_TOLERANCE:
            raise RunError(
                "the server changes the cell, but the potential gives no stress: constant pressure "
                "would run with a virial of zero. Use a potential with stress, or constant volume; "
                "if the server needs no virial, --no-stress (no_stress in <parameters>) accepts "
                "this"
            )


def check_structures(structures: Sequence[Atoms]) -> None:
    """Refuse impossible structures of a server; see
    :func:`aptnn_md.structure_checks.check_structure`.

    Raises
    ------
    RunError
        What is wrong with which of them.
    """
    for number, atoms in enumerate(structures, start=1):
        try:
            check_structure(atoms)
        except InputError as error:
            which = f" (structure {number} of {len(structures)})" if len(structures) > 1 else ""
            raise RunError(f"the server sends an impossible structure{which}: {error}") from error


def _virial(stress: FloatArray | None, atoms: Atoms) -> FloatArray:
    if stress is None:
        return np.zeros((3, 3))
    full = voigt_6_to_full_3x3_stress(np.asarray(stress, dtype=np.float64))
    virial: FloatArray = -full * atoms.get_volume()
    return virial
