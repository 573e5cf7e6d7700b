"""Any ASE calculator as an engine.

The space scheme needs its dipole. The field scheme needs a calculator that knows a field, by a
protocol of two lines::

    def set_electric_field(self, field):  # (3,), V/Å; zero: none
        self.field = field

after which ``forces`` (and ``dipole``, where there is one) are those in the field.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError

from aptnn_md.arrays import FloatArray
from aptnn_md.atomic_units import FIELD
from aptnn_md.dipole_checks import refuse_debye, say_unit
from aptnn_md.errors import InputError
from aptnn_md.labels.points import PointFailure, PointResult
from aptnn_md.structures import SAME_CHARGE, calculator_charge


class ASEEngine:
    """An ASE calculator.

    The charge of the structure is for the calculator to know.

    Parameters
    ----------
    calculator : with the property ``dipole``, or with ``set_electric_field`` and forces
    spec : the text it was made from, for the labelled file

    Raises
    ------
    InputError
        It is no ASE calculator, has neither, or is one of MACE, whose dipoles are in debye.
    """

    has_polarizability = False
    restarts = False
    field = 1e-3 * FIELD
    step = 0.005

    def __init__(self, calculator: Any, spec: str) -> None:
        if not hasattr(calculator, "get_property"):
            raise InputError(
                f"engine {spec}", "result", type(calculator).__name__, "an ASE calculator"
            )
        self.calculator, self.name = calculator, spec
        self.identity: dict[str, Any] = {"calculator": spec, **_source_of(spec)}
        self.has_field = hasattr(calculator, "set_electric_field")
        has_dipole = "dipole" in getattr(calculator, "implemented_properties", ())
        if not (self.has_field or has_dipole):
            raise InputError(
                f"engine {spec}",
                "calculator",
                "neither the property dipole nor set_electric_field",
                "one of them",
            )

        if has_dipole:
            refuse_debye(f"engine {spec}", "calculator", calculator)
            if not self.has_field:
                say_unit(f"engine {spec}")

    def check(self, atoms: Atoms, charge: float) -> None:
        """Refuse a charge other than the calculator's, where it is known:
        :meth:`aptnn_md.labels.engines.interface.Engine.check`."""
        own = calculator_charge(self.calculator, atoms)
        if own is not None and abs(own - charge) > SAME_CHARGE:
            raise InputError(
                atoms.get_chemical_formula(),
                "charge",
                f"{charge:g}, and {own:g} in the calculator {self.name}",
                "the same charge: charge=... in the frame, --charge, or the calculator's settings "
                f"(charge={charge:g} after its name, or the like)",
            )

    def calculate(
        self,
        atoms: Atoms,
        field: FloatArray,
        *,
        charge: float,
        with_forces: bool,
        scratch: Path,
        keep: bool,
    ) -> PointResult:
        """Calculate one point: :meth:`aptnn_md.labels.engines.interface.Engine.calculate`."""
        structure = atoms.copy()
        if self.has_field:
            self.calculator.set_electric_field(np.array(field))
            reset = getattr(self.calculator, "reset", None)
            if reset is not None:
                reset()  # results of the same structure in another field
        energy = self._get("energy", structure)
        forces = self._get("forces", structure) if with_forces else None
        dipole = self._get("dipole", structure)
        return PointResult(
            energy=None if energy is None else float(energy),
            forces=None if forces is None else np.array(forces, dtype=np.float64),
            dipole=None if dipole is None else np.array(dipole, dtype=np.float64),
        )

    def clean(self, scratch: Path) -> None:
        """Nothing is kept."""

    def _get(self, name: str, atoms: Atoms) -> Any:
        try:
            return self.calculator.get_property(name, atoms)
        except (PropertyNotImplementedError, NotImplementedError):
            return None
        except Exception as error:  # calculators raise whatever their programs run into
            lines = str(error).splitlines() or [type(error).__name__]
            raise PointFailure(f"{name}: {lines[0]}") from error


def _source_of(spec: str) -> dict[str, str]:
    """Digest of the file that a calculator comes from, where people change it as they go: not of
    installed packages."""
    module = sys.modules.get(spec.strip().partition(":")[0])
    source = getattr(module, "__file__", None)
    if source is None or "site-packages" in source:
        return {}
    return {"source": hashlib.sha256(Path(source).read_bytes()).hexdigest()}
