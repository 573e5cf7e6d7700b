"""ASE calculator: any potential with a model of atomic tensors beside it."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import (
    BaseCalculator,
    Calculator,
    PropertyNotImplementedError,
    all_changes,
    all_properties,
)
from ase.outputs import Properties, all_outputs
from numpy.typing import ArrayLike

from aptnn_md.arrays import FloatArray
from aptnn_md.engines.electric_field import checked_field, field_forces
from aptnn_md.errors import InputError, raised_by
from aptnn_md.potentials.interface import check_finite_results
from aptnn_md.prediction.loading import ModelSource, as_model
from aptnn_md.prediction.watch import watch_of
from aptnn_md.structure_checks import check_structure
from aptnn_md.structures import stated_charges
from aptnn_md.targets import APT, TARGETS, Tensors

STD = "_std"
"""Added to a target's name among ASE's properties: the standard deviation of a committee."""

_NOT_IN_A_FIELD = ("stress", "stresses")


class APTCalculator(Calculator):
    """Energy and forces of a potential, and atomic polar tensors of a model.

    In a homogeneous electric field E the electric enthalpy is U(r) - M(r)·E, and the force on
    atom i is

    .. math:: F_{iβ} = -∂U/∂r_{iβ} + Σ_α E_α ∂M_α/∂r_{iβ},

    the potential's force plus ``apt[i].T @ E``. ``efield`` adds this term to ``forces``.

    ``energy`` and ``free_energy`` are the potential's, U without -M·E: the polar tensors give the
    derivative of M, while M itself is defined only up to a multiple of e times a lattice vector.
    What a run in a field conserves is U + K - E·∫Ṁ dt, with the streamed Ṁ. ``stress`` needs
    the strain derivative of M, which the tensors do not give, so there is none in a field.

    The model is evaluated when its tensors are asked for, or forces in a field, once for each
    configuration and all its targets together; other force calls do not touch it.

    Parameters
    ----------
    model : model file, bundled name, several of them with commas between
        (``"water-apt,water-pgt"``), a callable ``model(atoms) -> (n_atoms, 3, 3)``, or what else
        :func:`aptnn_md.prediction.loading.as_model` takes
    potential : ASE calculator, or the name or file of a potential (``"water-mace"``; see
        :func:`aptnn_md.potentials.loading.load_potential`); None: no energy and forces but the
        field's
    efield : (Ex, Ey, Ez), V/Å; None: no field. May be changed later
    total_charge : charge of structures that do not say their own, e; the tensors add up to it. A
        structure's own (:func:`aptnn_md.structures.charge_of`) and the potential's, where it is
        known, must agree with it
    device, dtype : where and in which precision the network runs; as ``total_charge`` only for a
        model that is loaded here. A potential that is loaded here runs on ``device`` too

    Attributes
    ----------
    model, potential : the model, loaded, and the potential's calculator or None
    n_evaluations : how often a model was evaluated; of several that are joined each counts

    Raises
    ------
    InputError
        Model or potential that cannot be used; later, elements unknown to the model, positions
        that are not finite, or a periodic direction without a cell vector.
    RunError
        Later, results of the potential or tensors that are not finite, or an error of the
        potential or of a callable, named by its type and message.

    Notes
    -----
    Results: what the potential gives, and ``born_effective_charges`` (n_atoms, 3, 3), e, row =
    dipole, column = displacement. A model of polarizability gradients also gives
    ``polarizability_gradients`` (n_atoms, 3, 3, 3), Å², the last index that of the displacement.
    A committee also gives ``born_effective_charges_std`` and ``polarizability_gradients_std``.
    The last three are none of ASE's own properties. ASE's extxyz writer does not take
    (n_atoms, 3, 3) arrays: write such atoms to ``.traj`` or ``.json``, or with
    ``write_results=False``.
    """

    def __init__(
        self,
        model: ModelSource = "water-apt",
        potential: BaseCalculator | str | PathLike[str] | None = None,
        efield: ArrayLike | None = None,
        total_charge: float | None = None,
        device: str = "cpu",
        dtype: Any = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.model = as_model(model, total_charge=total_charge, device=device, dtype=dtype)
        self.potential = _as_potential(potential, device)
        self.n_evaluations = 0
        self._tensor_atoms: Atoms | None = None
        self._tensors: Tensors = {}
        self.efield = efield

    @property
    def efield(self) -> FloatArray | None:
        """Electric field (3,), V/Å, or None."""
        return None if self._efield is None else self._efield.copy()

    @efield.setter
    def efield(self, value: ArrayLike | None) -> None:
        self._efield = None if value is None else checked_field(value, "APTCalculator")
        self.implemented_properties = self._available()
        self.results = {}

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Compute ``properties`` and keep what comes with them (called by ASE)."""
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        structure = self.atoms
        assert structure is not None
        if system_changes:
            self.results = {}
            others = any(name != "positions" for name in system_changes)
            if others or not np.isfinite(structure.positions).all():
                check_structure(structure)
        of_model = self._properties_of_model()
        if any(name in properties for name in of_model):
            tensors = self.tensors(structure)
            if (watch := watch_of(self.model, structure.numbers)) is not None:
                watch.largest(tensors)  # the log tells what error is to be expected
            for target, members in tensors.items():
                name = TARGETS[target].ase_name
                self.results[name] = members.mean(axis=0)
                if len(members) > 1:
                    self.results[name + STD] = members.std(axis=0, ddof=1)
        if self.potential is not None:
            of_potential = [name for name in properties if name not in of_model]
            self._ask(self.potential, of_potential, structure)
        if self._efield is not None and "forces" in properties:
            apt = self.polar_tensors(structure).mean(axis=0)
            of_field = field_forces(apt, self._efield)
            self.results["forces"] = of_field + self.results.get("forces", 0.0)

    def polar_tensors(self, atoms: Atoms) -> FloatArray:
        """APTs of each member of a committee, evaluated once for each configuration.

        A separate model of polarizability gradients is not asked.

        Returns
        -------
        (n_members, n_atoms, 3, 3), e; a single model has one member
        """
        return self._evaluated(atoms, (APT.name,))[APT.name]

    def tensors(self, atoms: Atoms) -> Tensors:
        """All that the model knows, evaluated together and once for each configuration.

        Returns
        -------
        target -> (n_members, n_atoms, *shape)
        """
        return self._evaluated(atoms, self.model.targets)

    def get_property(
        self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True
    ) -> Any:
        """A property by ASE's name; see :class:`APTCalculator` for which there are.

        Raises
        ------
        PropertyNotImplementedError
            There is no potential to give it, or it has no meaning in a field.
        """
        if name not in self.implemented_properties:
            raise PropertyNotImplementedError(self._why_not(name))
        return super().get_property(name, atoms, allow_calculation)  # type: ignore[no-untyped-call]

    def check_state(self, atoms: Atoms, tol: float = 0.0) -> list[str]:
        """What differs from the structure of the results; bit by bit, faster than ASE's own."""
        return list(all_changes) if self.atoms is None else _differences(self.atoms, atoms)

    def export_properties(self) -> Properties:
        """What ASE has a name for; a committee's standard deviation is not among it."""
        return Properties({n: value for n, value in self.results.items() if n in all_outputs})

    def todict(self, skip_default: bool = True) -> dict[str, Any]:
        """What trajectory files record of the calculator."""
        return {
            "model": self.model.name,
            "potential": None if self.potential is None else type(self.potential).__name__,
            "efield": None if self._efield is None else self._efield.tolist(),
        }

    def _evaluated(self, atoms: Atoms, targets: Sequence[str]) -> Tensors:
        """These targets of a configuration, each evaluated once, and what came with them."""
        # charges of atoms and magnetic moments, which ASE compares as well, change nothing here
        ignored = {"initial_charges", "initial_magmoms"}
        structure = self._tensor_atoms
        if structure is None or set(_differences(structure, atoms)) - ignored:
            structure = atoms.copy()
            structure.calc = self.potential  # which may know the charge
            self._tensors, self._tensor_atoms = {}, structure
        for target in targets:
            if target not in self._tensors:
                self.n_evaluations += 1
                self._tensors |= self.model.for_targets((target,)).evaluate([structure])[0]
        return self._tensors

    def _ask(self, potential: BaseCalculator, properties: Sequence[str], atoms: Atoms) -> None:
        """Put ``properties`` of the potential, and what came with them, into the results."""
        who = f"potential {type(potential).__name__}"
        with raised_by(who):
            found = {name: potential.get_property(name, atoms) for name in properties}
        check_finite_results(who, atoms, found)
        self.results |= found
        if not properties:
            return
        for name in self.implemented_properties:
            # forces without the field term would be wrong, and the term costs an evaluation
            incomplete = name == "forces" and self._efield is not None
            if name not in self.results and not incomplete:
                value = potential.results.get(name)
                if value is not None:
                    self.results[name] = np.array(value) if np.ndim(value) else value

    def _available(self) -> list[str]:
        names = self._properties_of_model()
        if self.potential is not None:
            theirs = self.potential.implemented_properties
            names += [n for n in theirs if n in all_properties and n not in names]
        if self._efield is not None:
            names = [n for n in names if n not in _NOT_IN_A_FIELD]
            names += [] if "forces" in names else ["forces"]
        return names

    def _properties_of_model(self) -> list[str]:
        """Names of the tensors among the results, and of the deviations of committees."""
        sizes = self.model.committee_sizes
        names = [TARGETS[target].ase_name for target in sizes]
        return names + [TARGETS[target].ase_name + STD for target, n in sizes.items() if n > 1]

    def _why_not(self, name: str) -> str:
        if self.potential is None and name in all_properties:
            return (
                f"{name}: APTCalculator has no potential; give one, "
                'e.g. APTCalculator(potential="water-mace") or any ASE calculator'
            )
        if self._efield is not None and name in _NOT_IN_A_FIELD:
            return f"{name}: not available in an electric field, whose part of it is unknown"
        return f"{name}: not a property of {type(self.potential).__name__} or of the APT model"


def _differences(before: Atoms, after: Atoms) -> list[str]:
    """Names among ASE's ``all_changes`` that are not the same, and ``"charge"``."""
    found = [
        name
        for name in ("positions", "numbers", "initial_charges", "initial_magmoms")
        if not np.array_equal(before.arrays.get(name, ()), after.arrays.get(name, ()))
    ]
    if not np.array_equal(before.cell.array, after.cell.array):
        found.append("cell")
    if not np.array_equal(before.pbc, after.pbc):
        found.append("pbc")
    if stated_charges(before) != stated_charges(after):
        found.append("charge")
    return found


def _as_potential(
    potential: BaseCalculator | str | PathLike[str] | None, device: str
) -> BaseCalculator | None:
    if isinstance(potential, str | PathLike):
        from aptnn_md.potentials.loading import load_potential

        return load_potential(potential, device=device)
    if potential is not None and not hasattr(potential, "get_property"):
        found = type(potential).__name__
        raise InputError("APTCalculator", "potential", found, "an ASE calculator or a name")
    return potential
