"""Runs as arrays, or piece by piece: how signals get into an accumulator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.errors import InputError
from aptnn_md.spectra.estimation.accumulate import LagAccumulator
from aptnn_md.spectra.estimation.plan import SpectralPlan
from aptnn_md.spectra.estimation.terms import Pair, Term

Run: TypeAlias = AnyArray | Iterable[AnyArray]
"""A signal (frames, n_signals, n_components), or an iterable of pieces of it in order."""

_PIECE_VALUES = 2**20


def pieces_of(run: Run) -> Iterator[AnyArray]:
    """Pieces of a run that fit into the memory beside it."""
    if not isinstance(run, np.ndarray):
        yield from run
        return
    if run.ndim < 2:
        yield run  # for the message
        return
    frames = max(1, _PIECE_VALUES // int(np.prod(run.shape[1:])))
    for start in range(0, len(run), frames):
        yield run[start : start + frames]


def feed_runs(
    runs: Sequence[Run], plan: SpectralPlan, terms: Mapping[str, Term], names: Sequence[str] = ()
) -> LagAccumulator:
    """An accumulator that has been fed whole runs; see
    :func:`aptnn_md.spectra.estimation.power.power_blocks`."""
    names = names or [f"run {number}" for number in range(1, len(runs) + 1)]
    accumulator = LagAccumulator(plan, terms, _n_signals(terms))
    for name, run in zip(names, runs, strict=True):
        index = accumulator.add_run(name)
        for piece in pieces_of(run):
            accumulator.feed(index, piece)
    return accumulator


def feed_rates(
    runs: Sequence[Run],
    quantity: str,
    n_components: int,
    make: Callable[[int], LagAccumulator],
    signals: Callable[[FloatArray], FloatArray] = lambda rates: rates,
    names: Sequence[str] = (),
) -> LagAccumulator:
    """An accumulator that has been fed the rates of whole runs, by groups or without.

    Parameters
    ----------
    runs : (frames, k) or (frames, n_groups, k) for each, or iterables of such pieces
    quantity : what they are, for messages
    n_components : k
    make : makes the accumulator, given the number of groups of the first piece
    signals : turns a piece (frames, n_groups, k) into what the accumulator takes
    names : of the runs, for messages; default ``"run 1"`` and so on

    Raises
    ------
    InputError
        Other shapes, no frames at all, or what the accumulator refuses.
    """
    names = names or [f"run {number}" for number in range(1, len(runs) + 1)]
    accumulator: LagAccumulator | None = None
    for number, (name, run) in enumerate(zip(names, runs, strict=True)):
        for piece in pieces_of(run):
            rates = _by_group(name, quantity, n_components, piece)
            if accumulator is None:
                # only frames say how many groups there are
                accumulator = make(rates.shape[1])
                for each in names:
                    accumulator.add_run(each)
            accumulator.feed(number, signals(rates))
    if accumulator is None:
        found = "no frames" if runs else "no runs"
        raise InputError("spectrum", f"{quantity}s", found, "one or more runs")
    return accumulator


def _by_group(name: str, quantity: str, n_components: int, piece: AnyArray) -> FloatArray:
    rates = np.asarray(piece, dtype=np.float64)
    rates = rates[:, None, :] if rates.ndim == 2 else rates
    if rates.ndim != 3 or rates.shape[2] != n_components or rates.shape[1] == 0:
        expected = f"(frames, {n_components}) or (frames, groups, {n_components})"
        raise InputError(name, quantity, f"shape {np.shape(piece)}", expected)
    return rates


def _n_signals(terms: Mapping[str, Term]) -> int:
    """Number of signals that the terms are for."""
    for term in terms.values():
        return len(term.left if isinstance(term, Pair) else term.weights)
    raise InputError("spectrum", "terms", "none", "one or more")
