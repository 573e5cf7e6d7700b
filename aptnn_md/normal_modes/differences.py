"""Hessians from differences of forces, with progress; an interrupted calculation is resumed."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.optimize import BFGS, LBFGS
from numpy.typing import NDArray

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError, RunError
from aptnn_md.files import write_output
from aptnn_md.npz_files import DAMAGE, damaged_file, packed, unpacked
from aptnn_md.potentials.interface import check_finite_results
from aptnn_md.progress import Progress, log
from aptnn_md.structures import Mobility, mobile

_FORMAT = "aptnn_md.hessian"
_WRITE_SECONDS = 20.0
_SAME_POSITIONS = 1e-6
_MANY_ATOMS = 100
"""Beyond which the matrix of BFGS, which is diagonalised in each step, takes longer than forces."""


@dataclass(frozen=True, eq=False)
class Hessian:
    """Second derivatives of the energy by central differences of forces.

    Attributes
    ----------
    matrix : (3 n_atoms, 3 n_atoms) eV/Å², symmetric
    positions : (n_atoms, 3) Å, where it was taken
    largest_force : eV/Å, there
    asymmetry : largest difference to its transpose before it was made symmetric, eV/Å²
    """

    matrix: FloatArray
    positions: FloatArray
    largest_force: float
    asymmetry: float


@dataclass
class _Differences:
    """Forces at displaced positions, as far as they are known."""

    numbers: NDArray[np.int64]
    positions: FloatArray
    start: FloatArray
    cell: FloatArray
    pbc: NDArray[np.bool_]
    delta: float
    potential: str
    # of no displacement, then of each coordinate: forwards, backwards; NaN where not yet known
    forces: FloatArray = field(default_factory=lambda: np.zeros(0))
    # (n_atoms,), which atoms are displaced; empty in files of earlier versions: all
    mobile: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))
    # largest force to which the structure was relaxed; 0: it was not; NaN in earlier files
    relaxed_to: float = math.nan

    def __post_init__(self) -> None:
        if not len(self.mobile):
            self.mobile = np.ones(len(self.numbers), dtype=bool)

    @classmethod
    def of(cls, atoms: Atoms, start: FloatArray, delta: float, potential: str) -> _Differences:
        return cls(
            mobile=mobile(atoms),
            numbers=np.asarray(atoms.numbers, dtype=np.int64),
            positions=atoms.positions.copy(),
            start=start,
            cell=np.array(atoms.cell.array),
            pbc=np.asarray(atoms.pbc, dtype=bool),
            delta=delta,
            potential=potential,
            forces=np.full((1 + 6 * len(atoms), len(atoms), 3), np.nan),
        )

    @property
    def open(self) -> list[int]:
        """Numbers of displacements that are not known."""
        displaced = np.concatenate([[True], np.repeat(self.mobile, 6)])
        return [int(n) for n in np.flatnonzero(np.isnan(self.forces[:, 0, 0]) & displaced)]

    def displaced(self, number: int) -> FloatArray:
        """Positions of a displacement."""
        positions = self.positions.copy()
        if number:
            coordinate, backwards = divmod(number - 1, 2)
            positions.flat[coordinate] += -self.delta if backwards else self.delta
        return positions

    def hessian(self) -> Hessian:
        n = 3 * len(self.numbers)
        pairs = self.forces[1:].reshape(n, 2, n)
        matrix = (pairs[:, 1] - pairs[:, 0]) / (2.0 * self.delta)
        moves = np.repeat(self.mobile, 3)
        matrix = np.where(np.outer(moves, moves), matrix, 0.0)
        return Hessian(
            matrix=0.5 * (matrix + matrix.T),
            positions=self.positions,
            largest_force=float(
                np.linalg.norm(self.forces[0][self.mobile], axis=1).max(initial=0.0)
            ),
            asymmetry=float(np.abs(matrix - matrix.T).max()),
        )

    def write(self, path: Path) -> None:
        write_output(path, packed({"format": _FORMAT, **vars(self)}))

    @classmethod
    def read(cls, path: Path) -> _Differences:
        expected = "differences of forces that aptnn_md wrote"
        try:
            values = unpacked(path.read_bytes())
            if str(values.pop("format")) != _FORMAT:
                raise KeyError("format")
            return cls(
                **values
                | {"delta": float(values["delta"]), "potential": str(values["potential"])}
                | {"relaxed_to": float(values.get("relaxed_to", math.nan))}
            )
        except DAMAGE as error:
            raise damaged_file(path, "file", error, expected) from error

    def check_same(self, path: Path, found: _Differences) -> None:
        """Refuse a file of another calculation."""
        for name in ("numbers", "cell", "pbc", "start", "delta", "potential", "mobile"):
            mine, theirs = getattr(self, name), getattr(found, name)
            if name in ("cell", "start", "delta"):
                same = np.shape(mine) == np.shape(theirs)
                same = same and np.allclose(mine, theirs, rtol=0, atol=_SAME_POSITIONS)
            else:
                same = np.array_equal(mine, theirs)
            if not same:
                what = {"start": "positions", "mobile": "fixed atoms"}.get(name, name)
                short = isinstance(mine, str | float)
                raise InputError(
                    path,
                    what,
                    theirs if short else "others",
                    f"{mine if short else 'those of this calculation'}; another file, or remove it",
                )

    def check_relaxed(self, path: Path, relax: float | None) -> None:
        """Refuse a file of another point: relaxed or not, or relaxed less than asked for."""
        wanted, there = relax or 0.0, self.relaxed_to
        if math.isnan(there):
            there = 0.0 if np.array_equal(self.positions, self.start) else wanted
        if bool(there) == bool(wanted) and there <= wanted * (1.0 + 1e-9):
            return
        texts = [f"relaxed to {force:g} eV/Å" if force else "as given" for force in (there, wanted)]
        expected = f"the structure {texts[1]}; another file, or remove it"
        raise InputError(path, "displacements", f"those of the structure {texts[0]}", expected)


def relaxed(atoms: Atoms, largest_force: float = 1e-3, max_steps: int = 1000) -> Atoms:
    """A copy of ``atoms`` at the nearest minimum of its potential; cell and constraints stay.

    Parameters
    ----------
    largest_force : eV/Å, that is small enough

    Raises
    ------
    RunError
        Not converged after ``max_steps``.
    """
    copy: Atoms = atoms.copy()
    copy.calc = atoms.calc
    kind: Any = LBFGS if len(copy) > _MANY_ATOMS else BFGS
    optimizer = kind(copy, logfile=None)
    with Progress(max_steps, "relaxing") as progress:
        force = math.inf
        for _ in optimizer.irun(fmax=largest_force, steps=max_steps):
            forces = copy.get_forces()
            check_finite_results(f"relaxation: step {optimizer.nsteps}", copy, {"forces": forces})
            force = float(np.linalg.norm(forces, axis=1).max())
            progress.update(note=f"largest force {force:.2g} eV/Å")
    if force > largest_force:
        raise RunError(
            f"relaxation: largest force {force:.3g} eV/Å after {max_steps} steps, "
            f"expected below {largest_force:g}"
        )
    return copy


def finite_difference_hessian(
    atoms: Atoms,
    *,
    delta: float = 0.01,
    relax: float | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    potential: str = "",
) -> Hessian:
    """Hessian from 6 N + 1 force evaluations, with central differences.

    Fixed atoms are not displaced: their rows and columns are zero, which is the partial Hessian of
    :func:`aptnn_md.normal_modes.normal_modes`.

    Parameters
    ----------
    atoms : structure with a calculator; the ``mobile`` atoms of it are displaced
        (:func:`aptnn_md.structures.mobile`). Constraints between atoms, such as rigid bonds, are
        ignored, which the log says
    delta : displacement, Å
    relax : go to the energy minimum first, to this largest force, eV/Å
    checkpoint : file for the forces so far; if it exists, only what is missing is computed, at the
        relaxed positions in it
    potential : name of the potential, so that a file of another one is noticed

    Raises
    ------
    InputError
        A displacement that is not positive; a file of another structure, displacement or
        potential.
    RunError
        The relaxation did not converge, or forces are not finite.
    """
    if not (math.isfinite(delta) and delta > 0):
        raise InputError("finite differences", "displacement", delta, "a positive number, Å")
    start = atoms.copy()
    start.calc = atoms.calc
    ignored = [name for name in Mobility.of(atoms).unaccounted if "FixCom" not in name]
    if ignored:
        log.warning("normal modes: %s: ignored", ", ".join(ignored))
        start.set_constraint([c for c in atoms.constraints if type(c).__name__ not in ignored])
    path = None if checkpoint is None else Path(checkpoint)
    known = _Differences.of(start, start.positions.copy(), delta, potential)
    if path is not None and path.exists():
        saved = _Differences.read(path)
        known.check_same(path, saved)
        saved.check_relaxed(path, relax)
        known = saved
    elif relax is not None:
        known = _Differences.of(relaxed(start, relax), known.start, delta, potential)
        known.relaxed_to = relax
    else:
        known.relaxed_to = 0.0
    free = start.copy()
    free.calc = atoms.calc
    free.set_constraint()
    free.positions = known.positions
    _complete(known, free, path)
    return known.hessian()


def read_differences(path: Path, atoms: Atoms) -> FloatArray:
    """Hessian from the file of a finished calculation of ``atoms``, relaxed or not."""
    found = _Differences.read(path)
    if found.open:
        total = len(found.forces)
        raise InputError(
            path, "displacements", f"{total - len(found.open)} of {total}", "a finished calculation"
        )
    here = _Differences.of(atoms, atoms.positions.copy(), found.delta, found.potential)
    replace(here, forces=np.zeros(0)).check_same(path, replace(found, start=found.positions))
    return found.hessian().matrix


def _complete(known: _Differences, atoms: Atoms, path: Path | None) -> None:
    calculator: BaseCalculator = atoms.calc
    moved = atoms.copy()
    moved.calc = calculator
    open_before = known.open
    last = time.monotonic()
    try:
        with Progress(len(open_before), "finite differences", "displacement") as progress:
            for number in open_before:
                moved.positions = known.displaced(number)
                forces = moved.get_forces()
                check_finite_results(f"displacement {number}", moved, {"forces": forces})
                known.forces[number] = forces
                progress.update()
                if path is not None and time.monotonic() - last > _WRITE_SECONDS:
                    known.write(path)
                    last = time.monotonic()
    finally:
        # also when it is interrupted
        if path is not None and len(known.open) < len(open_before):
            known.write(path)
