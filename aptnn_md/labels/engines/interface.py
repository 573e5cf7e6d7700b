"""Engines: what calculates single points, by name."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any, Protocol, get_type_hints

from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.callables import call_by_name, is_callable_name, keyword_arguments
from aptnn_md.errors import InputError, RunError
from aptnn_md.labels.points import PointResult
from aptnn_md.settings import fitting
from aptnn_md.structures import plain_key

_EXPECTED = (
    "tblite, pyscf, cp2k, or package.module:callable of an ASE calculator; each with optional "
    "settings in JSON"
)


class Engine(Protocol):
    """What calculates single points.

    Attributes
    ----------
    name : program and level of theory, for the labelled file, e.g. ``"tblite GFN2-xTB"``
    identity : all that decides its numbers; points are calculated anew when it changes. What
        decides those of some structures only may be said by a method ``identity_of(atoms)``
    has_field : whether forces and dipole in an electric field can be had
    has_polarizability : whether it gives the polarizability itself
    restarts : whether points of a frame start from what the one without a field left in ``scratch``
    field : default strength of the field, V/Å
    step : default displacement of atoms, Å
    """

    name: str
    identity: dict[str, Any]
    has_field: bool
    has_polarizability: bool
    restarts: bool
    field: float
    step: float

    def check(self, atoms: Atoms, charge: float) -> None:
        """Refuse a structure that cannot be calculated; called for all of them before any point.

        Raises
        ------
        InputError
            What is wrong with it, and the way out; e.g. a periodic cell for a code of molecules.
        """
        ...

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
        """Calculate one point.

        Parameters
        ----------
        atoms : the structure
        field : (3,), V/Å
        charge : e, of the whole structure
        with_forces : whether forces are wanted; the dipole always is
        scratch : a directory for this frame, where ``keep`` says to leave there what other points
            of it start from

        Raises
        ------
        PointFailure
            This point gave nothing.
        """
        ...

    def clean(self, scratch: Path) -> None:
        """Remove what was kept in ``scratch``: all points of the frame are done."""
        ...


_OWN = {
    "tblite": ("aptnn_md.labels.engines.tblite", "TBLite", "tblite", "tblite"),
    "pyscf": ("aptnn_md.labels.engines.pyscf", "PySCF", "pyscf", "pyscf"),
    "cp2k": ("aptnn_md.labels.engines.cp2k", "CP2K", "ase", "ase"),
}
"""Name -> module, class, what it imports, and the extra that installs it."""


def check_isolated(atoms: Atoms, name: str) -> None:
    """Refuse a periodic structure, for engines of molecules and clusters.

    Parameters
    ----------
    atoms : the structure
    name : of the engine

    Raises
    ------
    InputError
        It is periodic.
    """
    if any(atoms.pbc):
        raise InputError(
            atoms.get_chemical_formula(),
            "pbc",
            f"a periodic cell, which {name} cannot put into a field",
            "clusters cut from it (--cluster RADIUS), a periodic engine (--engine cp2k), or, for a "
            'molecule in a box, pbc="F F F" in the file',
        )


_WHOLE = 1e-3
"""e, to which a charge is a whole one."""


def check_charge(atoms: Atoms, charge: float, name: str) -> None:
    """Refuse a part of an elementary charge, which an engine would compute as another charge.

    Parameters
    ----------
    atoms : the structure
    charge : e, of the whole structure
    name : of the engine

    Raises
    ------
    InputError
        The charge is not a whole number.
    """
    if abs(charge - round(charge)) > _WHOLE:
        expected = f"a whole number, as {name} has electrons: charge=... in the frame, or --charge"
        raise InputError(atoms.get_chemical_formula(), "charge", f"{charge:g} e", expected)


_MULTIPLICITY = ("multiplicity", "spinmultiplicity", "mult")


def check_spin(atoms: Atoms, unpaired: int, name: str) -> None:
    """Refuse a multiplicity that the structure states and an engine does not compute with.

    Parameters
    ----------
    atoms : the structure
    unpaired : electrons, of the engine
    name : of the engine

    Raises
    ------
    InputError
        The structure states another one.
    """
    for key, value in atoms.info.items():
        if plain_key(key) in _MULTIPLICITY and value != unpaired + 1:
            expected = f"{unpaired + 1}, as the engine has {unpaired} unpaired electrons: "
            expected += f"--engine '{name.lower()} unpaired=N', or another {key} in the frame"
            raise InputError(atoms.get_chemical_formula(), str(key), value, expected)


def load_engine(spec: str) -> Engine:
    """Make an engine from a short text.

    Parameters
    ----------
    spec : ``"tblite"``, ``"pyscf"`` or ``"cp2k"``, with settings after it if there are any,
        ``pyscf xc=pbe0 basis=def2-svp`` or ``pyscf {"xc": "pbe0", "basis": "def2-svp"}``: the
        keyword arguments of
        :class:`~aptnn_md.labels.engines.tblite.TBLite`,
        :class:`~aptnn_md.labels.engines.pyscf.PySCF` and
        :class:`~aptnn_md.labels.engines.cp2k.CP2K`; or ``package.module:callable``, with
        settings in the same way, that gives an ASE calculator
        (:class:`~aptnn_md.labels.engines.ase.ASEEngine`)

    Raises
    ------
    InputError
        No such engine, or settings it does not know.
    RunError
        The program is not installed.
    """
    name, _, settings_text = spec.strip().partition(" ")
    if name not in _OWN:
        if not is_callable_name(spec):
            raise InputError("engine", "name", repr(spec), _EXPECTED)
        from aptnn_md.labels.engines.ase import ASEEngine

        return ASEEngine(call_by_name("engine", spec, _EXPECTED), spec)
    module, class_name, needed, extra = _OWN[name]
    settings = keyword_arguments(f"engine {name}", settings_text.strip() or None)
    try:
        importlib.import_module(needed)
        maker = getattr(importlib.import_module(module), class_name)
    except ImportError as error:
        raise RunError(
            f'engine {name}: not installed: pip install "aptnn_md[{extra}]" ({error})'
        ) from error
    kinds = get_type_hints(maker.__init__)
    settings = {
        key: fitting(value, kinds.get(key, Any), f"engine {name}", key)
        for key, value in settings.items()
    }
    for key, parameter in inspect.signature(maker).parameters.items():
        if parameter.default is parameter.empty and key not in settings:
            raise InputError(f"engine {name}", key, "nothing", f"--engine '{name} {key}=...'")
    try:
        engine: Engine = maker(**settings)
    except TypeError as error:
        raise InputError(f"engine {name}", "settings", error, "settings of this engine") from error
    return engine
