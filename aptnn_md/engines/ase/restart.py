"""Checkpoints of an ASE run with a stream, and how to resume from them.

A checkpoint holds what the next step depends on: positions, momenta, cell, step number, and the
state of the thermostat with its random numbers. A run that resumes from one is the same,
bit by bit, if potential and integrator are deterministic.

Their order keeps stream and checkpoint consistent: first the stream is committed, then the
checkpoint replaces the old one in one move. So a checkpoint is never ahead of the stream; a
restart drops the frames after the checkpoint and writes them again.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.md.md import MolecularDynamics

from aptnn_md.arrays import AnyArray, FloatArray, IntArray
from aptnn_md.engines.ase.observer import StreamObserver
from aptnn_md.errors import InputError, RunError
from aptnn_md.files import PARTIAL, write_whole
from aptnn_md.npz_files import DAMAGE, damaged_file, packed, unpacked

FORMAT = "aptnn_md.dynamics"
VERSION = 1

_EXPECTED = "a checkpoint of aptnn-md"
_WAYS_OUT = {
    FORMAT: ", as this run is an ensemble; a single run resumes with its --thermostat",
    f"{FORMAT}.ensemble": ", as this is a single run; an ensemble resumes with --ensemble N",
}
"""Format that was found in place of the other one -> what to do."""

_STATE = {
    "VelocityVerlet": (),
    "Langevin": ("rng",),
    "Bussi": ("rng", "transferred_energy"),
}
"""State of each integrator besides the atoms; that of other integrators is not accessible."""


@dataclass(frozen=True)
class DynamicsState:
    """A point of a run.

    Attributes
    ----------
    step : MD steps done
    integrator : name of ASE's class
    timestep : in ASE's unit of time
    positions, momenta : (n_atoms, 3), Å and ASE's unit
    cell : (3, 3), Å, rows
    numbers : (n_atoms,), atomic numbers
    thermostat : state of the integrator besides the atoms
    equilibration : whether it is of the equilibration before the run
    """

    step: int
    integrator: str
    timestep: float
    positions: FloatArray
    momenta: FloatArray
    cell: FloatArray
    numbers: IntArray
    thermostat: dict[str, Any]
    equilibration: bool = False

    @classmethod
    def of(cls, dynamics: MolecularDynamics, equilibration: bool = False) -> DynamicsState:
        """The present state of a run by :class:`VelocityVerlet`, :class:`Langevin` or
        :class:`Bussi`.
        """
        atoms = dynamics.atoms
        integrator = _integrator(dynamics)
        thermostat = {
            name: _generator(dynamics).bit_generator.state
            if name == "rng"
            else getattr(dynamics, name)
            for name in _STATE[integrator]
        }
        return cls(
            step=dynamics.nsteps,
            integrator=integrator,
            timestep=dynamics.dt,
            positions=atoms.positions.copy(),
            momenta=atoms.get_momenta(),
            cell=atoms.cell.array.copy(),
            numbers=atoms.numbers.astype(np.int64),
            thermostat=thermostat,
            equilibration=equilibration,
        )

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> DynamicsState:
        """Read a checkpoint file.

        Raises
        ------
        InputError
            The file is missing, not a checkpoint, or of a newer version.
        """
        header, values = read_checkpoint(path, FORMAT, VERSION)
        return cls.unpacked(path, header.get("state"), values)

    @classmethod
    def unpacked(cls, where: object, state: Any, arrays: dict[str, Any]) -> DynamicsState:
        """The state that :meth:`packed` took apart.

        Raises
        ------
        InputError
            Fields are missing, or others are there.
        """
        try:
            return cls(**{**state, **arrays})
        except (KeyError, TypeError) as error:
            raise InputError(where, "checkpoint", f"other content ({error})", _EXPECTED) from error

    def packed(self) -> tuple[dict[str, Any], dict[str, AnyArray]]:
        """Numbers and names, for JSON, and arrays."""
        arrays = {n: v for n, v in vars(self).items() if isinstance(v, np.ndarray)}
        state = {name: value for name, value in vars(self).items() if name not in arrays}
        if not self.equilibration:
            del state["equilibration"]  # so that version 0.1 reads it, too
        return state, arrays

    def write(self, path: str | os.PathLike[str]) -> None:
        """Replace the file at ``path``, whole or not at all.

        Raises
        ------
        RunError
            It cannot be written; what was there is untouched.
        """
        state, arrays = self.packed()
        write_checkpoint(path, FORMAT, VERSION, {"state": state}, arrays)

    def check_atoms(self, where: object, atoms: Atoms) -> None:
        """Raise :class:`InputError` if ``atoms`` are not those of the checkpoint."""
        if not np.array_equal(atoms.numbers, self.numbers):
            found = str(Atoms(self.numbers).symbols)
            raise InputError(where, "atoms", found, f"{atoms.symbols}, as in this run")

    def restore(self, dynamics: MolecularDynamics, where: object = "checkpoint") -> None:
        """Put ``dynamics`` and its atoms into this state, its step counter included.

        Raises
        ------
        InputError
            Other atoms, another integrator or another time step.
        """
        self.check_atoms(where, dynamics.atoms)
        for name, found, expected in (
            ("integrator", self.integrator, _integrator(dynamics)),
            ("timestep", self.timestep, dynamics.dt),
        ):
            if found != expected:
                raise InputError(where, name, found, f"{expected}, as in this run")
        atoms = dynamics.atoms
        # without constraints, which would change the last bits
        atoms.set_cell(self.cell, scale_atoms=False, apply_constraint=False)
        atoms.set_positions(self.positions, apply_constraint=False)
        atoms.set_momenta(self.momenta, apply_constraint=False)
        dynamics.nsteps = self.step
        for name, value in self.thermostat.items():
            if name == "rng":
                _generator(dynamics).bit_generator.state = value
            else:
                setattr(dynamics, name, value)


class Checkpoint:
    """Observer that writes a checkpoint from time to time.

    ::

        dyn.attach(observer, interval=4)        # a StreamObserver
        dyn.attach(checkpoint, interval=4)      # after it

    Parameters
    ----------
    dynamics : run by ``VelocityVerlet``, ``Langevin`` or ``Bussi``, the last two with a random
        generator of numpy (``rng=np.random.default_rng(seed)``)
    path : file
    observer : the stream that belongs to the run; it is committed first
    seconds : wall-clock time between checkpoints
    equilibration : whether this is the equilibration before a run

    Raises
    ------
    InputError
        An integrator whose state cannot be saved completely.
    """

    def __init__(
        self,
        dynamics: MolecularDynamics,
        path: str | os.PathLike[str],
        observer: StreamObserver | None = None,
        seconds: float = 60.0,
        *,
        equilibration: bool = False,
    ) -> None:
        self.dynamics, self.path, self.observer = dynamics, Path(path), observer
        self.seconds, self._equilibration = seconds, equilibration
        self._next = time.monotonic() + seconds
        DynamicsState.of(dynamics)
        check_place(self.path)

    def __call__(self) -> None:
        """Write if it is time; called by ASE."""
        if time.monotonic() >= self._next:
            self.write()

    def write(self) -> None:
        """Commit the stream and write the checkpoint."""
        if self.observer is not None:
            self._check_order(self.observer)
            self.observer.commit()
        DynamicsState.of(self.dynamics, self._equilibration).write(self.path)
        self._next = time.monotonic() + self.seconds

    def write_start(self) -> None:
        """Write the state before the first step and the first frame; no stream is needed yet."""
        DynamicsState.of(self.dynamics, self._equilibration).write(self.path)

    def _check_order(self, observer: StreamObserver) -> None:
        """The frame of this step must be in the stream, as it is not repeated on restart."""
        step = observer.first_step + self.dynamics.nsteps
        if observer.next_step <= step:
            raise RunError(
                f"{self.path}: a checkpoint at step {step} before the stream's frame of step "
                f"{observer.next_step}: attach the checkpoint after the StreamObserver"
            )


def check_place(path: Path) -> None:
    """Refuse a checkpoint that cannot be written, and remove what a killed process left.

    Raises
    ------
    InputError
        The directory is missing or cannot be written.
    """
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        found = "a directory that is missing or not writable"
        raise InputError(path, "checkpoint", found, "a file to write")
    for partial in path.parent.glob(f".{path.name}.*{PARTIAL}"):
        partial.unlink(missing_ok=True)


def read_checkpoint(
    path: str | os.PathLike[str], expected_format: str, version: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and arrays of a checkpoint file.

    Raises
    ------
    InputError
        The file is missing, damaged, of another format or version.
    """
    header, values = _header_and_arrays(path)
    if (found := header.get("format")) != expected_format:
        way_out = _WAYS_OUT.get(found, "") if isinstance(found, str) else ""
        raise InputError(path, "format", found, expected_format + way_out)
    if header.get("version") != version:
        raise InputError(path, "version", header.get("version"), version)
    return header, values


def write_checkpoint(
    path: str | os.PathLike[str],
    file_format: str,
    version: int,
    content: Mapping[str, Any],
    arrays: Mapping[str, AnyArray],
) -> None:
    """Replace a checkpoint file, whole or not at all.

    Raises
    ------
    RunError
        It cannot be written; what was there is untouched.
    """
    header = json.dumps(
        {"format": file_format, "version": version, **content}, default=lambda a: a.tolist()
    )
    data = packed({"header": np.frombuffer(header.encode(), dtype=np.uint8), **arrays})
    try:
        write_whole(Path(path), data)
    except OSError as error:
        reason = error.strerror or error
        raise RunError(f"{path}: the checkpoint cannot be written ({reason})") from error


def checkpoint_format(path: str | os.PathLike[str]) -> str:
    """What format a file says that it has; empty where it says none.

    Raises
    ------
    InputError
        The file is missing, damaged, or no checkpoint.
    """
    return str(_header_and_arrays(path)[0].get("format", ""))


def _header_and_arrays(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of a checkpoint whose checksums were verified."""
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise InputError(path, "checkpoint", "no such file", _EXPECTED) from error
    except OSError as error:
        raise InputError(path, "checkpoint", error.strerror or error, _EXPECTED) from error
    try:
        values = unpacked(content)
        header = json.loads(values.pop("header").tobytes().decode())
        if not isinstance(header, dict):
            raise ValueError("another header")
    except DAMAGE as error:
        raise damaged_file(path, "checkpoint", error, _EXPECTED) from error
    return header, values


def _integrator(dynamics: MolecularDynamics) -> str:
    name = type(dynamics).__name__
    if name not in _STATE:
        raise InputError("checkpoint", "dynamics", name, f"one of {', '.join(_STATE)}")
    if "rng" in _STATE[name]:
        _generator(dynamics)
    return name


def _generator(dynamics: MolecularDynamics) -> np.random.Generator:
    generator = getattr(dynamics, "rng", None)
    if not isinstance(generator, np.random.Generator):
        found = getattr(generator, "__name__", type(generator).__name__)
        raise InputError("checkpoint", "rng", found, "rng=np.random.default_rng(seed)")
    return generator
