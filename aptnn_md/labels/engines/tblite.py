"""tblite: semi-empirical tight binding (GFN1-xTB, GFN2-xTB) of molecules, seconds for a cluster."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from cffi import FFI
from tblite.interface import Calculator

from aptnn_md.arrays import FloatArray
from aptnn_md.atomic_units import BOHR, FIELD, FORCE, HARTREE
from aptnn_md.errors import InputError
from aptnn_md.labels.engines.interface import check_charge, check_isolated, check_spin
from aptnn_md.labels.points import PointFailure, PointResult

BOLTZMANN_HARTREE = float(units.kB / units.Hartree)
"""k_B, Hartree/K."""

METHODS = ("GFN2-xTB", "GFN1-xTB", "IPEA1-xTB")


class TBLite:
    """Single points by tblite, for molecules and clusters.

    Parameters
    ----------
    method : one of :data:`METHODS`
    accuracy : of the SCF; tblite's own default is 1, too loose for differences
    unpaired : number of unpaired electrons
    max_iterations : of the SCF
    electronic_temperature : K

    Raises
    ------
    InputError
        Another method.
    """

    has_field = True
    has_polarizability = False
    restarts = False
    field = 5e-4 * FIELD
    step = 0.001

    def __init__(
        self,
        method: str = "GFN2-xTB",
        accuracy: float = 1e-4,
        unpaired: int = 0,
        max_iterations: int = 250,
        electronic_temperature: float = 300.0,
    ) -> None:
        if method not in METHODS:
            raise InputError("engine tblite", "method", repr(method), f"one of {METHODS}")
        self.method, self.unpaired = method, unpaired
        self.settings: dict[str, Any] = {
            "accuracy": accuracy,
            "max-iter": max_iterations,
            "temperature": electronic_temperature * BOLTZMANN_HARTREE,
        }
        self.name = f"tblite {method}"
        self.identity: dict[str, Any] = {
            "program": f"tblite {importlib.metadata.version('tblite')}",
            "method": method,
            "unpaired": unpaired,
            **self.settings,
        }

    def check(self, atoms: Atoms, charge: float) -> None:
        """Refuse periodic cells, parts of a charge and other multiplicities:
        :meth:`aptnn_md.labels.engines.interface.Engine.check`."""
        check_isolated(atoms, "tblite")
        check_charge(atoms, charge, "tblite")
        check_spin(atoms, self.unpaired, "tblite")

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
        self.check(atoms, charge)
        electrons = int(atoms.numbers.sum()) - round(charge)
        if (electrons - self.unpaired) % 2:
            # tblite would spread half an electron over both spins and say nothing
            raise PointFailure(
                f"{electrons} electrons at charge {charge:g} cannot have {self.unpaired} unpaired: "
                "give charge=... in the frame or --charge, or for a radical the engine's setting "
                '{"unpaired": 1}'
            )
        try:
            calculator = Calculator(
                self.method, atoms.numbers, atoms.positions / BOHR, charge, self.unpaired
            )
            calculator.set("verbosity", 0)
            for name, value in self.settings.items():
                calculator.set(name, value)
            if np.any(field):
                # a C array: tblite 0.8 hands a NumPy one on to its library as it is
                calculator.add("electric-field", FFI().new("double[3]", list(field / FIELD)))
            result = calculator.singlepoint()
        except RuntimeError as error:
            raise PointFailure(" ".join(str(error).split())) from error
        return PointResult(
            energy=float(result.get("energy")) * HARTREE,
            forces=-np.asarray(result.get("gradient"), dtype=np.float64) * FORCE,
            dipole=np.asarray(result.get("dipole"), dtype=np.float64) * BOHR,
        )

    def clean(self, scratch: Path) -> None:
        """Nothing is kept."""
