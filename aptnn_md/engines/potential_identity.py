"""Which potential moves the atoms, so that no run is resumed with another one by mistake."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from aptnn_md.errors import InputError
from aptnn_md.potentials.loading import REPLACED
from aptnn_md.stream import StreamReader, stream_exists


def potential_fields(potential: Any) -> dict[str, str]:
    """``potential`` and ``potential_sha256`` of :class:`aptnn_md.stream.StreamHeader`.

    Parameters
    ----------
    potential : calculator, or what has one inside; others than stored potentials and committees of
        them have no digest, and give nothing
    """
    for inside in ("potential", "calculator"):
        potential = getattr(potential, inside, potential)
    digest = getattr(potential, "sha256", "")
    if not isinstance(digest, str) or not digest:
        return {}
    return {"potential": str(potential.name), "potential_sha256": digest}


def check_resumed(path: str | os.PathLike[str], fields: Mapping[str, Any]) -> None:
    """Refuse to resume a stream that may have been made with the predecessor of a potential.

    Where stream and run both know the potential,
    :meth:`aptnn_md.stream.StreamHeader.check_same_run` compares them. This is for streams of
    versions that did not record it.

    Parameters
    ----------
    path : of the stream, which need not exist
    fields : of the header of the run that resumes it; see :func:`potential_fields`

    Raises
    ------
    InputError
        The stream does not say its potential, and that of the run has replaced another one.
    """
    name = str(fields.get("potential", ""))
    if name not in REPLACED or not stream_exists(path):
        return
    reader = StreamReader(path)
    if reader.header.potential_sha256 or not reader.n_frames:
        return
    raise InputError(
        path,
        "potential",
        f"not recorded, as by versions whose {name} was another potential",
        f"that one under its name {REPLACED[name]!r}, to resume this run, or a new stream",
    )
