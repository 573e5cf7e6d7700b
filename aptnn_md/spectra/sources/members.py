"""Spectra of the single members of a committee, whose rates are estimators of their own."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from aptnn_md.spectra.estimation.power import PowerBlocks
from aptnn_md.spectra.sources.stream_run import StreamRun
from aptnn_md.spectra.sources.stream_signal import StreamSignal
from aptnn_md.stream import StreamHeader
from aptnn_md.stream.ensemble import stream_paths
from aptnn_md.stream.members import MEMBER


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
    """Spectrum of each member with its statistics; an empty list where streams have none, or where
    a single network gave the rates.

    Parameters
    ----------
    kind : ``InfraredStreams`` or ``RamanStreams``
    paths, options : of the spectrum whose error is asked for
    """
    options = replace(options, parts=False, molecules=False)
    mean = kind(paths, options)
    names = member_estimators(mean.header) if mean.header.describes(options.estimator) else ()
    if names and options.regress is True and mean.header.coordinates:
        mean.read()  # all members are regressed on what tells something of the mean
        options = replace(options, regress=() if mean.known is None else mean.known.kinds)
    found = []
    for name in names:
        streams = kind(paths, replace(options, estimator=name))
        streams.read()
        found.append(streams.spectrum().blocks)
        if len(found) == 2 and np.array_equal(found[0].mean, found[1].mean):
            return []  # of a single network beside a committee for another target
    return found


def relative_spread(
    paths: Sequence[str | os.PathLike[str]], rate_name: str, skip: float = 0.0
) -> float | None:
    """Spread of the rates of a committee's members, relative to the rates, root mean squares.

    That of several groups of atoms is added up as if the groups were independent.

    Parameters
    ----------
    paths : streams, or directories of such
    rate_name : ``"dipole_rate"`` or ``"polarizability_rate"``
    skip : time to leave out at the beginning of each, ps

    Returns
    -------
    None where a stream does not have it, or nothing moves
    """
    of_spread = of_rate = 0.0
    for path in stream_paths(paths):
        run = StreamRun(path, skip)
        reader, spread_name = run.reader, f"{rate_name}_std"
        rate = f"{rate_name}/{reader.header.estimators[0]}"
        for start in range(run.first, reader.n_frames, run.piece_frames):
            stop = min(start + run.piece_frames, reader.n_frames)
            spread = reader.read(spread_name, start, stop)
            rates = None if spread is None else reader.read(rate, start, stop)
            if spread is None or rates is None:
                return None
            of_spread += float((spread**2).sum())
            of_rate += float((rates.sum(axis=1) ** 2).sum())
    return math.sqrt(of_spread / of_rate) if of_rate > 0.0 else None
