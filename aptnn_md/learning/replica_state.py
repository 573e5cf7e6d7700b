"""The state file of replicas: numbers only, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.errors import InputError
from aptnn_md.files import write_output
from aptnn_md.npz_files import DAMAGE, damaged_file, packed, unpacked

FORMAT = "aptnn_md.replicas"
VERSION = 1

_EXPECTED = "the state of replicas; remove it to begin again"


@dataclass(frozen=True, eq=False)
class Frame:
    """One step of a replica.

    Attributes
    ----------
    positions, momenta : (n_atoms, 3), Å and ASE's unit
    spread : (n_atoms,), eV/Å, of the members' forces
    """

    positions: FloatArray
    momenta: FloatArray
    spread: FloatArray


@dataclass(frozen=True, eq=False)
class ReplicaState:
    """All that the rest of a replica's path depends on.

    Attributes
    ----------
    here : the present step
    forces : (n_atoms, 3), eV/Å, there
    frames : those that are kept
    stopped : why it was stopped, or empty
    noise : where its random numbers are
    """

    here: Frame
    forces: FloatArray
    frames: Sequence[Frame]
    stopped: str
    noise: str


def fingerprint(
    starts: Sequence[Atoms],
    temperatures: Sequence[float],
    settings: Mapping[str, Any],
    seed: int,
) -> dict[str, Any]:
    """What resumed replicas must have in common with those that began."""
    digest = hashlib.sha256()
    for atoms in starts:
        for array in (
            atoms.numbers.astype(np.int64),
            atoms.positions,
            atoms.get_momenta(),
            atoms.get_masses(),
            atoms.cell.array,
            atoms.pbc.astype(np.int64),
        ):
            digest.update(np.ascontiguousarray(array).tobytes())
    return {
        "starts": digest.hexdigest(),
        "temperatures": [float(temperature) for temperature in temperatures],
        "settings": dict(settings),
        "seed": seed,
    }


def write_replicas(
    path: Path, about: Mapping[str, Any], step: int, states: Sequence[ReplicaState]
) -> None:
    """Replace the file.

    Raises
    ------
    InputError
        The place cannot be written to.
    """
    header = {"format": FORMAT, "version": VERSION, "about": dict(about), "step": step}
    header["replicas"] = [{"stopped": state.stopped, "noise": state.noise} for state in states]
    arrays: dict[str, AnyArray] = {"header": np.array(json.dumps(header))}
    for number, state in enumerate(states):
        arrays[f"{number}.forces"] = state.forces
        for name in ("positions", "momenta", "spread"):
            frames = [getattr(frame, name) for frame in (state.here, *state.frames)]
            arrays[f"{number}.{name}"] = np.array(frames)
    write_output(path, packed(arrays))


def read_replicas(
    path: Path, about: Mapping[str, Any], sizes: Sequence[int]
) -> tuple[int, list[ReplicaState]] | None:
    """Step and states of the replicas, whose atoms are ``sizes``; None where there is no file.

    Raises
    ------
    InputError
        It is damaged, or the state of other replicas.
    """
    if not path.exists():
        return None
    try:
        arrays = unpacked(path.read_bytes())
        header = json.loads(str(arrays["header"]))
        if (header["format"], header["version"]) != (FORMAT, VERSION):
            raise ValueError(f"format {header['format']}, version {header['version']}")
        step, before = int(header["step"]), dict(header["about"])
        states = _states(arrays, header["replicas"])
    except DAMAGE as error:
        raise damaged_file(path, "state", error, _EXPECTED) from error
    for name, value in about.items():
        if before.get(name) != json.loads(json.dumps(value)):
            found = f"{before.get(name)} instead of {value}"
            raise InputError(path, name, found, f"the same as now, or {_EXPECTED}")
    if [len(state.forces) for state in states] != list(sizes):
        raise InputError(path, "atoms", [len(state.forces) for state in states], list(sizes))
    return step, states


def _states(arrays: Mapping[str, Any], replicas: Sequence[Mapping[str, str]]) -> list[ReplicaState]:
    states = []
    for number, texts in enumerate(replicas):
        columns = [arrays[f"{number}.{name}"] for name in ("positions", "momenta", "spread")]
        here, *frames = (Frame(*parts) for parts in zip(*columns, strict=True))
        forces = arrays[f"{number}.forces"]
        states.append(ReplicaState(here, forces, frames, texts["stopped"], texts["noise"]))
    return states
