"""What moves the atoms, so that no run is resumed with something else by mistake."""

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
    """Refuse to resume a stream of another ensemble, or of the predecessor of a potential.

    Streams of different ensembles may be averaged, but a run has one. Where stream and run both
    know the potential, :meth:`aptnn_md.stream.StreamHeader.check_same_run` compares them. This is
    for streams of versions that did not record it.

    Parameters
    ----------
    path : of the stream, which need not exist
    fields : of the header of the run that resumes it; see :func:`potential_fields`

    Raises
    ------
    InputError
        Thermostat, equilibration or electric field are others; or the stream does not say its
        potential, and that of the run has replaced another one.
    """
    if not stream_exists(path):
        return
    reader = StreamReader(path)
    there, here = reader.header.ensemble, str(fields.get("ensemble", ""))
    if there and here and there != here:
        raise InputError(path, "ensemble", there, f"{here}, as in this run; or another stream")
    name = str(fields.get("potential", ""))
    if name not in REPLACED or reader.header.potential_sha256 or not reader.n_frames:
        return
    raise InputError(
        path,
        "potential",
        f"not recorded, as by versions whose {name} was another potential",
        f"that one under its name {REPLACED[name]!r}, to resume this run, or a new stream",
    )
