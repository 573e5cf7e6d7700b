"""Runs as arrays, or piece by piece: how signals get into an accumulator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.errors import InputError
from aptnn_md.spectra.estimation.accumulate import LagAccumulator
from aptnn_md.spectra.estimation.densities import densities
from aptnn_md.spectra.estimation.plan import SpectralPlan
from aptnn_md.spectra.estimation.power import PowerBlocks
from aptnn_md.spectra.estimation.terms import Key, Pair, Term
from aptnn_md.spectra.options import check_positive

Run: TypeAlias = AnyArray | Iterable[AnyArray]
"""A signal (frames, n_signals, n_components), or an iterable of pieces of it in order."""

_PIECE_VALUES = 2**20


def run_names(runs: Sequence[Run], names: Sequence[str] = ()) -> Sequence[str]:
    """Names of runs, for messages; by default ``"run 1"`` and so on."""
    return names or [f"run {number}" for number in range(1, len(runs) + 1)]


def pieces_of(run: Run) -> Iterator[AnyArray]:
    """Pieces of a run, small compared with the whole in memory."""
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
    runs: Sequence[Run], plan: SpectralPlan, terms: Mapping[Key, Term], names: Sequence[str] = ()
) -> LagAccumulator[Key]:
    """An accumulator that has been fed whole runs; see :func:`power_blocks`."""
    accumulator = LagAccumulator(plan, terms, _n_signals(terms))
    for name, run in zip(run_names(runs, names), runs, strict=True):
        index = accumulator.add_run(name)
        for piece in pieces_of(run):
            accumulator.feed(index, piece)
    return accumulator


def power_blocks(
    runs: Sequence[Run],
    plan: SpectralPlan,
    terms: Mapping[Key, Term],
    *,
    names: Sequence[str] = (),
    factors: Sequence[float] = (),
) -> dict[Key, PowerBlocks]:
    """Densities of independent runs of one system; longer runs weigh more.

    Parameters
    ----------
    runs : signals, or iterables of pieces of them
    plan : method, window, lengths
    terms : key -> density that is asked for
    names : of the runs, for messages; default ``"run 1"`` and so on
    factors : what the densities of each run are multiplied by; default 1

    Raises
    ------
    InputError
        Shapes do not belong together, a value is not finite, or a run is too short.
    """
    return densities(feed_runs(runs, plan, terms, names), factors)


def feed_rates(
    runs: Sequence[Run],
    quantity: str,
    n_components: int,
    make: Callable[[int], LagAccumulator[Key]],
    signals: Callable[[FloatArray], FloatArray] = lambda rates: rates,
    names: Sequence[str] = (),
) -> LagAccumulator[Key]:
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
    names = run_names(runs, names)
    accumulator: LagAccumulator[Key] | None = None
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


def of_each_run(
    field: str, value: float | Sequence[float], n_runs: int, zero: bool = False
) -> tuple[float, ...]:
    """One positive value for each run, from one for all or one for each.

    Raises
    ------
    InputError
        A value is not positive, or there are neither one nor one for each.
    """
    if value is None or np.ndim(value) == 0:
        value = (value,) * n_runs  # type: ignore[assignment]
    values = tuple(value)  # type: ignore[arg-type]
    if len(values) != n_runs:
        raise InputError("spectrum", field, f"{len(values)} values", f"one, or {n_runs}")
    for one in values:
        if not (zero and one == 0.0):
            check_positive(field, one)
    return values


def _by_group(name: str, quantity: str, n_components: int, piece: AnyArray) -> FloatArray:
    rates = np.asarray(piece, dtype=np.float64)
    rates = rates[:, None, :] if rates.ndim == 2 else rates
    if rates.ndim != 3 or rates.shape[2] != n_components or rates.shape[1] == 0:
        expected = f"(frames, {n_components}) or (frames, groups, {n_components})"
        raise InputError(name, quantity, f"shape {np.shape(piece)}", expected)
    return rates


def _n_signals(terms: Mapping[Key, Term]) -> int:
    """Number of signals that the terms are for."""
    for term in terms.values():
        return len(term.left if isinstance(term, Pair) else term.weights)
    raise InputError("spectrum", "terms", "none", "one or more")
