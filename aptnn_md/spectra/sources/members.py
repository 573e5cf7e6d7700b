"""Spectra of the single members of a committee, whose rates are estimators of their own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from aptnn_md.spectra.estimation.power import PowerBlocks
from aptnn_md.spectra.sources.stream_signal import StreamSignal
from aptnn_md.stream import StreamHeader
from aptnn_md.stream.frame import MEMBER


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
