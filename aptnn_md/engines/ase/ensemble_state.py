"""Checkpoints of an ensemble: its Langevin chain, and the run of constant energy in progress.

One file holds both, so that they always belong together. The order is that of a single run: first
the stream is committed, then the checkpoint is replaced.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

from ase.md.md import MolecularDynamics

from aptnn_md.arrays import AnyArray
from aptnn_md.engines.ase.observer import StreamObserver
from aptnn_md.engines.ase.restart import (
    DynamicsState,
    check_place,
    read_checkpoint,
    write_checkpoint,
)
from aptnn_md.errors import InputError

FORMAT = "aptnn_md.dynamics.ensemble"
VERSION = 1


@dataclass(frozen=True)
class EnsembleState:
    """A point of an ensemble.

    Attributes
    ----------
    n_done : complete runs
    chain : of the Langevin chain, where it will be continued after the present run
    run : of the run in progress; None while the chain goes on
    """

    n_done: int
    chain: DynamicsState
    run: DynamicsState | None = None

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> EnsembleState:
        """Read a checkpoint file.

        Raises
        ------
        InputError
            The file is missing, damaged, of a single run or of another version.
        """
        header, values = read_checkpoint(path, FORMAT, VERSION)
        try:
            states = {
                name: DynamicsState.unpacked(
                    path,
                    header[name],
                    {
                        key.removeprefix(f"{name}_"): value
                        for key, value in values.items()
                        if key.startswith(f"{name}_")
                    },
                )
                for name in ("chain", "run")
                if header[name] is not None
            }
            return cls(int(header["n_done"]), states["chain"], states.get("run"))
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            expected = "a checkpoint of an ensemble"
            raise InputError(path, "checkpoint", f"other content ({error})", expected) from error

    def write(self, path: str | os.PathLike[str]) -> None:
        """Replace the file at ``path``, whole or not at all.

        Raises
        ------
        RunError
            It cannot be written; what was there is untouched.
        """
        header: dict[str, object] = {"n_done": self.n_done, "run": None}
        arrays: dict[str, AnyArray] = {}
        for name, state in (("chain", self.chain), ("run", self.run)):
            if state is not None:
                header[name], of_state = state.packed()
                arrays |= {f"{name}_{key}": value for key, value in of_state.items()}
        write_checkpoint(path, FORMAT, VERSION, header, arrays)


class EnsembleCheckpoint:
    """Keeps the state of an ensemble, and writes it from time to time.

    Parameters
    ----------
    path : file; None: nothing is written
    state : at the beginning
    seconds : wall-clock time between checkpoints

    Raises
    ------
    InputError
        The file cannot be written there.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None, state: EnsembleState, seconds: float
    ) -> None:
        self.path, self.state, self.seconds = None if path is None else Path(path), state, seconds
        self._next = time.monotonic() + seconds
        if self.path is not None:
            check_place(self.path)

    def update(self, **changes: object) -> None:
        """Change fields of the state, and write it."""
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]
        if self.path is not None:
            self.state.write(self.path)
        self._next = time.monotonic() + self.seconds

    def keep_chain(self, dynamics: MolecularDynamics) -> None:
        """Write the chain as it is now, if it is time; for an observer of ASE."""
        if self.path is not None and time.monotonic() >= self._next:
            self.update(chain=DynamicsState.of(dynamics))

    def keep_run(self, dynamics: MolecularDynamics, observer: StreamObserver) -> None:
        """Write the run as it is now, its stream first, if it is time."""
        if self.path is not None and time.monotonic() >= self._next:
            observer.commit()
            self.update(run=DynamicsState.of(dynamics))
