"""Streams of what another stream was written of: one trajectory, seen twice."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from aptnn_md.errors import InputError
from aptnn_md.stream import StreamHeader, StreamReader

_FIELDS = ("formula", "n_atoms", "masses", "system", "temperature", "volume", "ensemble")


def fields_of_run(path: Path, timestep: float) -> dict[str, Any]:
    """Fields of a header that are those of another stream of the same trajectory.

    Its ``run_id``, by which :mod:`aptnn_md.spectra.sources.pairing` knows that both are of one
    trajectory; what it says of the system; temperature and volume, or their means over its frames.

    Parameters
    ----------
    path : the other stream
    timestep : MD time step, fs; it must be the same

    Raises
    ------
    InputError
        No stream, one without ``run_id``, or another time step.
    """
    reader = StreamReader(path)
    header = reader.header
    if not header.run_id:
        raise InputError(path, "run_id", "none (an old stream)", "a stream with one")
    if not math.isclose(header.timestep, timestep, rel_tol=1e-6):
        expected = f"{timestep:g} fs, as here (--timestep)"
        raise InputError(path, "timestep", f"{header.timestep:g} fs", expected)
    fields = {name: getattr(header, name) for name in _FIELDS}
    fields |= {"temperature": reader.temperature, "volume": reader.volume}
    known = {name: value for name, value in fields.items() if value not in (None, "", 0, {})}
    return {"run_id": header.run_id} | known


def check_same_system(path: Path, header: StreamHeader) -> None:
    """Refuse another system than that of the stream at ``path``.

    Raises
    ------
    InputError
        Atoms or masses differ.
    """
    found = StreamReader(path).header
    if header.system and found.system and header.system != found.system:
        expected = f"those of {header.formula}: one trajectory has one system"
        raise InputError(path, "system", f"other atoms or masses ({found.formula})", expected)
