"""Energies, forces and polar tensors of several structures of the same atoms in one call."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.stress import voigt_6_to_full_3x3_stress

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.prediction.interface import (
    APT,
    PGT,
    PolarTensorPredictor,
    all_tensors,
    batch_members,
    member_tensors,
    n_members,
    predictor_name,
    targets,
)
from aptnn_md.targets import Tensors

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Results:
    """What is known of n structures of the same atoms.

    Attributes
    ----------
    energy : (n,), eV
    forces : (n, n_atoms, 3), eV/Å
    virial : (n, 3, 3), eV: minus the strain derivative of the energy; zero where the potential
        has no stress
    apt : (n, n_members, n_atoms, 3, 3), e, or None
    pgt : (n, n_members, n_atoms, 3, 3, 3), Å², or None
    """

    energy: FloatArray
    forces: FloatArray
    virial: FloatArray
    apt: FloatArray | None = None
    pgt: FloatArray | None = None

    @property
    def tensors(self) -> Tensors:
        """APTs, and PGTs where they are known, of all structures."""
        known = {APT: self.apt, PGT: self.pgt}
        return {name: values for name, values in known.items() if values is not None}

    @property
    def mean_apt(self) -> FloatArray:
        """(n, n_atoms, 3, 3), e: the mean of the committee."""
        assert self.apt is not None
        mean: FloatArray = self.apt.mean(axis=1)
        return mean


class Evaluator:
    """A potential and an APT network, either of which may be missing.

    Parameters
    ----------
    template : the atoms in the order of the server. Its periodic directions are kept if it has
        any; otherwise a server's cell with a volume means three
    potential : ASE calculator; None: no energy and forces
    predictor : network, or any callable that gives APTs of ``Atoms``; None: no APTs
    periodic : False: open boundaries whatever the cell is
    pgt : evaluate PGTs, too, where the predictor gives them

    Attributes
    ----------
    n_members, n_pgt_members : sizes of the committees; 0 where there are no such tensors
    """

    def __init__(
        self,
        template: Atoms,
        potential: Calculator | None = None,
        predictor: PolarTensorPredictor | None = None,
        periodic: bool = True,
        pgt: bool = True,
    ) -> None:
        self.template, self.potential, self.predictor = template.copy(), potential, predictor
        self.template.calc = None
        self.periodic = periodic
        self.n_members = self.n_pgt_members = 0
        if predictor is not None:
            self.n_members = n_members(predictor, APT)
            self.n_pgt_members = n_members(predictor, PGT) if pgt else 0
        self.pgt = self.n_pgt_members > 0
        self._warned = False

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.template)

    @property
    def model_name(self) -> str:
        """Name of the network; empty where there is none."""
        return "" if self.predictor is None else predictor_name(self.predictor)

    @property
    def model_sha256(self) -> str:
        """Digest of the network's file where it has one."""
        return str(getattr(self.predictor, "sha256", ""))

    def __call__(self, cells: FloatArray, positions: FloatArray, tensors: bool = True) -> Results:
        """Evaluate structures.

        Parameters
        ----------
        cells : (n, 3, 3), rows, Å
        positions : (n, n_atoms, 3), Å
        tensors : evaluate the network too

        Raises
        ------
        InputError
            Another number of atoms, or what potential and network refuse.
        """
        if positions.shape[1:] != (self.n_atoms, 3):
            raise InputError(
                "server",
                "atoms",
                positions.shape[1],
                f"{self.n_atoms} as in the template; the server must send all of them "
                "(no <activelist>)",
            )
        structures = self.structures(cells, positions)
        shape = (len(structures), self.n_atoms, 3)
        results = Results(np.zeros(shape[0]), np.zeros(shape), np.zeros((shape[0], 3, 3)))
        if self.potential is not None:
            results = self._forces(self.potential, structures)
        if self.predictor is not None and tensors:
            if self.pgt:
                found = all_tensors(self.predictor, structures)
            else:
                found = [{APT: apt} for apt in batch_members(self.predictor, structures)]
            stacked = {name: np.stack([each[name] for each in found]) for name in found[0]}
            results = replace(results, **stacked)
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
        """An evaluator of only these members of the committee.

        Of a committee of PGTs with another size see :func:`pgt_members`.
        """
        part = copy.copy(self)
        if self.n_members > 1 and self.predictor is not None:
            part.predictor = _some_members(self.predictor, members)
            part.n_members = len(range(self.n_members)[members])
            of_pgt = pgt_members(members, self.n_members, self.n_pgt_members)
            part.n_pgt_members = len(range(self.n_pgt_members)[of_pgt])
        return part

    def _forces(self, potential: Calculator, structures: Sequence[Atoms]) -> Results:
        evaluate = getattr(potential, "evaluate", None)
        energy, forces, virial = [], [], []
        all_results = evaluate(structures) if evaluate is not None else [None] * len(structures)
        for atoms, result in zip(structures, all_results, strict=True):
            if result is None:
                result = _ask(potential, atoms)
            energy.append(float(result["energy"]))
            forces.append(np.asarray(result["forces"], dtype=np.float64))
            virial.append(self._virial(result.get("stress"), atoms))
        return Results(np.array(energy), np.stack(forces), np.stack(virial))

    def _virial(self, stress: FloatArray | None, atoms: Atoms) -> FloatArray:
        if stress is None:
            if not self._warned:
                _log.warning(
                    "the potential gives no stress here: the virial is zero, so pressures and "
                    "constant-pressure runs have no meaning"
                )
                self._warned = True
            return np.zeros((3, 3))
        full = voigt_6_to_full_3x3_stress(np.asarray(stress, dtype=np.float64))
        virial: FloatArray = -full * atoms.get_volume()
        return virial


class _MemberSlice:
    """Some members of a committee that has no ``with_members``; all are evaluated."""

    def __init__(self, predictor: PolarTensorPredictor, members: slice) -> None:
        self.predictor, self.slice = predictor, members
        self.n_members = 2  # more than one: members() is asked for
        self.targets = targets(predictor)

    def __call__(self, atoms: Atoms) -> FloatArray:
        mean: FloatArray = self.members(atoms).mean(axis=0)
        return mean

    def members(self, atoms: Atoms) -> FloatArray:
        """(n_members, n_atoms, 3, 3)."""
        return member_tensors(self.predictor, atoms)[self.slice]

    def tensors(self, structures: Sequence[Atoms]) -> list[Tensors]:
        """Of models that know PGTs; as :func:`aptnn_md.prediction.interface.all_tensors`."""
        return [
            {
                APT: each[APT][self.slice],
                PGT: each[PGT][pgt_members(self.slice, len(each[APT]), len(each[PGT]))],
            }
            for each in all_tensors(self.predictor, structures)
        ]


def pgt_members(members: slice, n_apt: int, n_pgt: int) -> slice:
    """Members of a committee of PGTs that go with ``members`` of one of APTs.

    Slices that divide the ``n_apt`` members divide the ``n_pgt``: the last takes what is left, as
    :meth:`aptnn_md.prediction.predictors.Predictors.with_members` has it.
    """
    start, stop, _ = members.indices(n_apt)
    return slice(min(start, n_pgt), n_pgt if stop >= n_apt else min(stop, n_pgt))


def _some_members(predictor: PolarTensorPredictor, members: slice) -> PolarTensorPredictor:
    cut = getattr(predictor, "with_members", None)
    if cut is None:
        return _MemberSlice(predictor, members)
    part: PolarTensorPredictor = cut(members)
    return part


def _ask(potential: Calculator, atoms: Atoms) -> dict[str, FloatArray]:
    names = ["energy", "forces"]
    if "stress" in potential.implemented_properties and atoms.pbc.all():
        names.append("stress")
    return {name: potential.get_property(name, atoms) for name in names}
