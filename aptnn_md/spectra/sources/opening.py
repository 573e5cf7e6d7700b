"""Streams opened as independent runs of one system, or refused where they are not."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import combinations

from aptnn_md.errors import InputError
from aptnn_md.spectra.sources.conditions import check_different, check_same_system
from aptnn_md.spectra.sources.pairing import Fingerprint, shared_frames
from aptnn_md.spectra.sources.stream_run import StreamRun
from aptnn_md.stream.ensemble import stream_paths


def opened_runs(paths: Sequence[str | os.PathLike[str]], skip: float) -> list[StreamRun]:
    """Independent runs of one system.

    Parameters
    ----------
    paths : stream directories, or directories of runs, which stand for their complete runs
    skip : time to leave out at the beginning of each, ps

    Raises
    ------
    InputError
        No streams, or streams that are missing, do not belong together, are given twice or were
        written beside one trajectory.
    """
    if not paths:
        raise InputError("spectrum", "streams", "none", "one or more")
    runs = [StreamRun(path, skip) for path in stream_paths(paths)]
    check_different([run.reader.path for run in runs])
    check_same_system({run.reader.path: run.reader.header for run in runs})
    if len(runs) > 1:
        check_independent(runs)
    return runs


def check_independent(runs: Sequence[StreamRun]) -> None:
    """Refuse streams that were written beside one trajectory: they would count as runs that know
    nothing of each other, and errors would come out too small.

    Parameters
    ----------
    runs : of which nothing was read yet

    Raises
    ------
    InputError
        Two of them have frames of one trajectory in common.
    """
    # an ensemble of a hundred runs has thousands of pairs
    known = [(run, Fingerprint.of(run)) for run in runs]
    for (first, one), (second, other) in combinations(known, 2):
        n_common = 0 if one.differs(other) else shared_frames(first, second)
        if n_common:
            found = f"the same trajectory as {first.name} in {n_common} frames"
            expected = (
                "independent runs: give one of the two; spectrum compare shows both with the error "
                "of their paired difference"
            )
            raise InputError(second.name, "stream", found, expected)
