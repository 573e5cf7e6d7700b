"""Spectra of the single members of a committee, whose rates are estimators of their own."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from aptnn_md.spectra.estimation.power import PowerBlocks
from aptnn_md.spectra.sources.stream_signal import StreamSignal
from aptnn_md.stream import StreamHeader, StreamReader
from aptnn_md.stream.ensemble import stream_paths
from aptnn_md.stream.frame import MEMBER

_PIECE = 4096  # frames that are read at once


def member_estimators(header: StreamHeader) -> tuple[str, ...]:
    """Names of the estimators that are single members of a committee; empty where there are none.

    A single one tells nothing, and counts as none.
    """
    found = tuple(name for name in header.estimators if name.startswith(MEMBER))
    return found if len(found) > 1 else ()


def member_blocks(
    kind: type[StreamSignal[Any, Any, Any]],
    paths: Sequence[str | os.PathLike[str]],
    options: Any,
) -> list[PowerBlocks]:
    """Spectrum of each member with its statistics; an empty list where streams have none.

    Parameters
    ----------
    kind : ``InfraredStreams`` or ``RamanStreams``
    paths, options : of the spectrum whose error is asked for
    """
    names = member_estimators(kind(paths, options).header)
    found = []
    for name in names:
        streams = kind(paths, replace(options, estimator=name, parts=False, molecules=False))
        streams.read()
        found.append(streams.spectrum().blocks)
    return found


def relative_spread(paths: Sequence[str | os.PathLike[str]], rate_name: str) -> float | None:
    """Spread of the rates of a committee's members, relative to the rates, root mean squares.

    That of several groups of atoms is added up as if the groups were independent.

    Parameters
    ----------
    paths : streams, or directories of such
    rate_name : ``"dipole_rate"`` or ``"polarizability_rate"``

    Returns
    -------
    None where a stream does not have it, or nothing moves
    """
    of_spread = of_rate = 0.0
    for path in stream_paths(paths):
        reader = StreamReader(path)
        rate = f"{rate_name}/{reader.header.estimators[0]}"
        for start in range(0, reader.n_frames, _PIECE):
            stop = min(start + _PIECE, reader.n_frames)
            spread, rates = (
                reader.read(f"{rate_name}_std", start, stop),
                reader.read(rate, start, stop),
            )
            if spread is None or rates is None:
                return None
            of_spread += float((spread**2).sum())
            of_rate += float((rates.sum(axis=1) ** 2).sum())
    return math.sqrt(of_spread / of_rate) if of_rate > 0.0 else None
