"""CP2K: periodic cells by Quickstep, from a template with the user's ``FORCE_EVAL``.

Each point is a run of CP2K in a directory of its own. The field is ``&PERIODIC_EFIELD`` (modern
theory of polarization), the dipole the Berry phase's, known up to lattice vectors times e. Points
start from the wave function of the one without a field.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.atomic_units import DEBYE, FIELD, FORCE, HARTREE
from aptnn_md.errors import InputError, RunError
from aptnn_md.labels.engines.cp2k_input import (
    DIPOLE_FILE,
    FORCES_FILE,
    PROJECT,
    make_input,
    named_files,
    read_template,
)
from aptnn_md.labels.engines.interface import check_charge
from aptnn_md.labels.points import RUN_PREFIX, PointFailure, PointResult

WAVE_FUNCTION = "zero.wfn"
"""What the point without a field leaves for the others."""

_VERSION_SECONDS = 60.0
"""That a program, started through a queue perhaps, may take to say its version."""


class CP2K:
    """Single points by CP2K, for periodic cells.

    Parameters
    ----------
    template : CP2K input with one ``&FORCE_EVAL`` for Quickstep. Cell, coordinates, field, guess,
        and printed output are set for each point, the rest is kept. Tighten ``EPS_SCF``: 1e-6 for
        APTs, 1e-7 or less and a field of about 5e-3 for PGTs
    command : how to run it; ``-i INPUT -o OUTPUT`` is appended

    Raises
    ------
    InputError
        A template that cannot be used.
    RunError
        No such program.
    """

    has_field = True
    has_polarizability = False
    restarts = True
    field = 1e-3 * FIELD
    step = 0.01

    def __init__(self, template: str, command: str = "cp2k.psmp") -> None:
        path = Path(template)
        try:
            self.text = path.read_text()
        except OSError as error:
            raise InputError(path, "template", error.strerror, "a CP2K input file") from error
        self.directory = path.resolve().parent
        sections = read_template(self.text, self.directory)
        self.command = shlex.split(command)
        if not self.command or shutil.which(self.command[0]) is None:
            raise RunError(f"engine cp2k: no program {command!r}; give one with the key command")
        self.name = f"CP2K {path.name}"
        files = {path.name: path.read_bytes() for path in named_files(sections, self.directory)}
        self.identity: dict[str, Any] = {
            "program": _version(self.command),
            "template": _sha256(self.text.encode()),
            "files": {name: _sha256(content) for name, content in sorted(files.items())},
        }

    def check(self, atoms: Atoms, charge: float) -> None:
        """Refuse cells that are not periodic, and parts of a charge:
        :meth:`aptnn_md.labels.engines.interface.Engine.check`."""
        check_charge(atoms, charge, "CP2K")
        if not all(atoms.pbc):
            raise InputError(
                atoms.get_chemical_formula(),
                "pbc",
                "a structure that is not periodic in all directions",
                'a cell with pbc="T T T", which CP2K\'s field needs, or an engine for molecules '
                "(--engine tblite or pyscf)",
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
        self.check(atoms, charge)
        run = Path(tempfile.mkdtemp(prefix=RUN_PREFIX, dir=scratch))
        try:
            start = scratch / WAVE_FUNCTION
            (run / "point.inp").write_text(
                make_input(
                    read_template(self.text, self.directory),
                    atoms,
                    field,
                    charge,
                    with_forces,
                    # the first point does not start from what a killed run left
                    start if start.is_file() and not keep else None,
                )
            )
            self._run(run, scratch)
            result = PointResult(
                energy=_energy(run / "point.out"),
                forces=read_forces(run / FORCES_FILE, len(atoms)) if with_forces else None,
                dipole=read_dipole(run / DIPOLE_FILE),
            )
            if keep:
                (run / f"{PROJECT}-RESTART.wfn").replace(start)
        finally:
            shutil.rmtree(run, ignore_errors=True)
        return result

    def clean(self, scratch: Path) -> None:
        """Remove the wave function."""
        (scratch / WAVE_FUNCTION).unlink(missing_ok=True)

    def _run(self, run: Path, scratch: Path) -> None:
        # an MPI program started by a process of another MPI run must not take itself for one of it
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("OMPI_", "PMIX_", "PMI_"))
        }
        ended = subprocess.run(
            [*self.command, "-i", "point.inp", "-o", "point.out"],
            cwd=run,
            env=environment,
            capture_output=True,
            text=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
        if not run.is_dir():
            raise OSError(f"{run}: removed while CP2K ran, by another run")
        output = run / "point.out"
        text = output.read_text(errors="replace") if output.is_file() else ""
        reason = ""
        if "SCF run NOT converged" in text:
            reason = "SCF did not converge"
        elif ended.returncode != 0 or "PROGRAM ENDED" not in text:
            told = [line.strip(" *") for line in text.splitlines() if line.lstrip()[:1] == "*"]
            said = " ".join(word for line in told[-12:] for word in line.split())
            reason = f"CP2K ended with code {ended.returncode}: {said or ended.stderr.strip()}"
        if reason:
            kept = scratch / "failed.out"
            kept.write_text(text)
            raise PointFailure(f"{reason} (output in {kept})")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _version(command: list[str]) -> str:
    """What the program says of itself: version and revision of the source."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as own:
        try:
            ended = subprocess.run(
                [*command, "--version"],
                cwd=own,
                capture_output=True,
                text=True,
                timeout=_VERSION_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired):
            return "cp2k"
    lines = [line.strip() for line in ended.stdout.splitlines()]
    said = [line for line in lines if line.startswith(("CP2K version", "Source code revision"))]
    return ", ".join(said) or "cp2k"


def _end_with_parent() -> None:
    """Linux: the program gets SIGTERM when the process that started it is gone."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _energy(output: Path) -> float:
    """Energy of the last ``ENERGY|`` line, eV."""
    lines = [line for line in output.read_text().splitlines() if "ENERGY|" in line]
    if not lines:
        raise PointFailure("no energy in CP2K's output")
    return float(lines[-1].split()[-1]) * HARTREE


def read_forces(path: Path, n_atoms: int) -> FloatArray:
    """Forces as CP2K prints them, (n_atoms, 3), eV/Å."""
    rows = [line.split() for line in _lines(path)]
    forces = [row[3:6] for row in rows if len(row) == 6 and row[0].isdecimal()]
    if len(forces) < n_atoms:
        raise PointFailure(f"forces on {len(forces)} of {n_atoms} atoms in CP2K's output")
    return np.array(forces[-n_atoms:], dtype=np.float64) * FORCE


def read_dipole(path: Path) -> FloatArray:
    """Dipole as CP2K prints it, (3,), e Å."""
    lines = [line.replace("=", "= ").split() for line in _lines(path) if "Total=" in line]
    dipoles = [words for words in lines if words[:1] == ["X="]]
    if not dipoles:
        raise PointFailure("no dipole in CP2K's output")
    words = dipoles[-1]
    return np.array([float(words[k]) for k in (1, 3, 5)]) * DEBYE


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except FileNotFoundError:
        raise PointFailure(f"CP2K wrote no {path.name}") from None
