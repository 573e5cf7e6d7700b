"""Correlation of signals that arrive piece by piece, in blocks and in bounded memory.

Each run is cut into segments (:class:`aptnn_md.spectra.estimation.plan.SpectralPlan`); what they
give is summed in blocks of consecutive segments. When there are too many blocks, neighbours are
merged and later blocks hold twice as many segments. So memory depends on the resolution and on the
number of terms, not on the length of the runs, whose end need not be known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from aptnn_md.arrays import AnyArray, FloatArray, IntArray
from aptnn_md.errors import InputError
from aptnn_md.spectra.estimation.plan import SpectralPlan
from aptnn_md.spectra.estimation.terms import Components, Key, Term, rows_of

MAX_BLOCKS, MIN_BLOCKS = 64, 16
"""At most that many blocks of all runs; the smaller number where they would fill the memory."""

_BLOCK_VALUES = 2**25
_BATCH_VALUES = 2**21


@dataclass(frozen=True, eq=False)
class LagSums:
    """Sums over the segments of each block.

    Attributes
    ----------
    sums : (n_blocks, n_rows, n_lags) Σ_t first(t)·second(t + τ) of tapered segments
    segments : (n_blocks,) number of segments; Blackman-Tukey: of frames
    runs : (n_blocks,) index of the run
    run_frames : (n_runs,) frames of each run
    """

    sums: FloatArray
    segments: FloatArray
    runs: IntArray
    run_frames: IntArray


@dataclass
class _Block:
    sums: FloatArray
    segments: float
    count: int


@dataclass
class _Run:
    name: str
    n_frames: int = 0
    begin: int = 0  # frame of the run with which the first piece begins
    next_start: int = 0  # frame of the run at which the next segment begins
    pieces: list[FloatArray] = field(default_factory=list)
    blocks: list[_Block] = field(default_factory=list)


class LagAccumulator(Generic[Key]):
    """Sums of lagged products of one or more runs that grow.

    Parameters
    ----------
    plan : lengths and taper
    terms : what is asked for, by keys of the caller's choice
    n_signals : number of signals
    quantity : what the signals are, for messages
    """

    def __init__(
        self,
        plan: SpectralPlan,
        terms: Mapping[Key, Term],
        n_signals: int,
        quantity: str = "signal",
    ) -> None:
        self.plan, self.terms, self.n_signals, self.quantity = plan, terms, n_signals, quantity
        self.rows = rows_of(terms, n_signals)
        self._runs: list[_Run] = []
        self._group = 1
        curves = max(self.rows.n_rows, len(terms))
        affordable = _BLOCK_VALUES // (curves * (plan.n_fft // 2 + 1))
        self._max_blocks = int(np.clip(affordable, MIN_BLOCKS, MAX_BLOCKS))
        # negative lags down to 1 - segment come after the last lag that is wanted
        self._n_fft = int(next_fast_len(plan.segment + plan.n_lags - 1, real=True))

    def add_run(self, name: str) -> int:
        """Begin another run; its index.

        Raises
        ------
        InputError
            Another run has that name.
        """
        if name in self.run_frames:
            raise InputError(name, "run", "the same name twice", "each run once")
        self._runs.append(_Run(name))
        return len(self._runs) - 1

    @property
    def run_frames(self) -> dict[str, int]:
        """Name -> number of frames of each run so far."""
        return {run.name: run.n_frames for run in self._runs}

    def feed(self, run: int, piece: AnyArray) -> None:
        """Add the next frames of a run.

        Parameters
        ----------
        run : its index
        piece : (frames, n_signals, n_components); (frames, n_components) where there is one signal

        Raises
        ------
        InputError
            The shape is wrong, or a value is not finite.
        """
        state = self._runs[run]
        signal = self._checked(state, piece)
        if not len(signal):
            return
        # copied, for the caller may use the array for something else
        state.pieces.append(self._mixed(signal).copy())
        state.n_frames += len(signal)
        if self._available(state) == 0:
            return
        buffer = _joined(state)
        while self._available(state) > 0:
            self._advance(state, buffer)
        # a segment that ends with the run may begin before the next one would
        keep_from = max(state.begin, state.next_start - self.plan.hop)
        state.pieces = [buffer[keep_from - state.begin :].copy()]
        state.begin = keep_from

    def result(self) -> LagSums:
        """All that was fed so far, as if every run ended here; more may be fed afterwards.

        Raises
        ------
        InputError
            A run is too short for the plan, or no run was added.
        """
        if not self._runs:
            raise InputError("spectrum", "runs", "none", "one or more")
        self.plan.check_lengths(self.run_frames)
        blocks: list[_Block] = []
        runs: list[int] = []
        for number, run in enumerate(self._runs):
            found = self._with_tail(run)
            blocks += found
            runs += [number] * len(found)
        return LagSums(
            np.array([block.sums for block in blocks]),
            np.array([block.segments for block in blocks]),
            np.array(runs, dtype=np.int64),
            np.array([run.n_frames for run in self._runs], dtype=np.int64),
        )

    def _checked(self, state: _Run, piece: AnyArray) -> FloatArray:
        signal = np.asarray(piece, dtype=np.float64)
        if signal.ndim == 2 and self.n_signals == 1:
            signal = signal[:, None, :]
        if signal.ndim != 3 or signal.shape[1] != self.n_signals:
            expected = f"(frames, {self.n_signals}, components)"
            raise InputError(state.name, self.quantity, f"shape {np.shape(piece)}", expected)
        finite = np.isfinite(signal).all(axis=(1, 2))
        if not finite.all():
            frame = state.n_frames + int(np.argmin(finite))
            raise InputError(
                f"{state.name}, frame {frame}",
                self.quantity,
                "a value that is not finite",
                "finite numbers",
            )
        return signal

    def _mixed(self, signal: FloatArray) -> FloatArray:
        """(frames, n_mixed [+ n_signals], n_components) sums that are needed, and all signals where
        they are needed one by one."""
        mix = self.rows.mix
        identity = mix.shape[0] == mix.shape[1] and np.array_equal(mix, np.eye(len(mix)))
        mixed = signal if identity else np.swapaxes(np.tensordot(signal, mix, axes=(1, 1)), 1, 2)
        return np.concatenate([mixed, signal], axis=1) if len(self.rows.alone) else mixed

    def _available(self, state: _Run) -> int:
        """Number of segments whose frames have all come."""
        free = state.n_frames - state.next_start - self.plan.needed
        return free // self.plan.hop + 1 if free >= 0 else 0

    def _advance(self, state: _Run, buffer: FloatArray) -> None:
        """Add as many of the available segments as fit into one block and into memory."""
        if not state.blocks or state.blocks[-1].count >= self._group:
            self._open_block(state)
        block = state.blocks[-1]
        frame_values = int(np.prod(buffer.shape[1:])) * self._n_fft
        batch = max(1, _BATCH_VALUES // frame_values)
        n = min(self._available(state), self._group - block.count, batch)
        starts = state.next_start + self.plan.hop * np.arange(n)
        block.sums += self._products(buffer, starts - state.begin)
        block.segments += n * (1 if self.plan.reach == 0 else self.plan.segment)
        block.count += n
        state.next_start += n * self.plan.hop

    def _open_block(self, state: _Run) -> None:
        while sum(len(run.blocks) for run in self._runs) >= self._max_blocks:
            before = sum(len(run.blocks) for run in self._runs)
            self._group *= 2
            for run in self._runs:
                run.blocks = _merged(run.blocks, self._group)
            if sum(len(run.blocks) for run in self._runs) == before:
                break  # one block for each run is the least
        if not state.blocks or state.blocks[-1].count >= self._group:
            state.blocks.append(_Block(np.zeros((self.rows.n_rows, self.plan.n_lags)), 0.0, 0))

    def _with_tail(self, run: _Run) -> list[_Block]:
        """Blocks of a run, with the frames after the last whole segment."""
        blocks = [_Block(block.sums, block.segments, block.count) for block in run.blocks]
        plan = self.plan
        if plan.reach == 0:
            left = run.n_frames - (run.next_start - plan.hop + plan.segment)
            tails = [(run.n_frames - plan.segment, left / plan.hop)] if left > 0 else []
        else:
            starts = range(run.next_start, run.n_frames, plan.segment)
            tails = [(start, min(plan.segment, run.n_frames - start)) for start in starts]
        buffer = _joined(run) if tails else np.empty(0)
        for start, weight in tails:
            share = weight if plan.reach == 0 else 1.0
            sums = share * self._products(buffer, np.array([start - run.begin]))
            if blocks and blocks[-1].count < self._group:
                last = blocks[-1]
                blocks[-1] = _Block(last.sums + sums, last.segments + weight, last.count + 1)
            else:
                blocks.append(_Block(sums, float(weight), 1))
        return blocks

    def _products(self, buffer: FloatArray, starts: IntArray) -> FloatArray:
        """(n_rows, n_lags) sums over segments that begin at ``starts`` of the buffer."""
        plan, rows = self.plan, self.rows
        n_mixed = len(rows.mix)
        spectra = np.zeros((rows.n_rows, self._n_fft // 2 + 1), dtype=np.complex128)
        if n_mixed:
            first, second = self._transforms(buffer, starts, slice(0, n_mixed))
            for row, (a, b) in enumerate(rows.pairs):
                of = _chosen(rows.components[row])
                spectra[row] = np.einsum("skf,skf->f", first[:, a, of].conj(), second[:, b, of])
        if len(rows.alone):
            own = rows.components[len(rows.pairs) :]
            for signal in range(self.n_signals):
                weights = rows.alone[:, signal]
                if weights.any():
                    at = n_mixed + signal
                    first, second = self._transforms(buffer, starts, slice(at, at + 1))
                    for each in dict.fromkeys(own):
                        k = _chosen(each)
                        product = np.einsum("skf,skf->f", first[:, 0, k].conj(), second[:, 0, k])
                        share = weights * np.array([other == each for other in own])
                        spectra[len(rows.pairs) :] += share[:, None] * product
        return np.asarray(irfft(spectra, self._n_fft, axis=1)[:, : plan.n_lags])

    def _transforms(
        self, buffer: FloatArray, starts: IntArray, signals: slice
    ) -> tuple[AnyArray, AnyArray]:
        """(segments, signals, components, frequencies) of segments, and of what they reach."""
        plan, chosen = self.plan, buffer[:, signals]

        def cut(length: int) -> FloatArray:
            pieces = np.zeros((len(starts), *chosen.shape[1:], length))
            for number, start in enumerate(starts):
                piece = chosen[start : start + length]
                pieces[number, ..., : len(piece)] = np.moveaxis(piece, 0, -1)
            return pieces

        segment = cut(plan.segment)
        segment *= plan.taper
        first = rfft(segment, self._n_fft, axis=-1)
        return first, first if plan.reach == 0 else rfft(cut(plan.needed), self._n_fft, axis=-1)


def _chosen(components: Components) -> slice | list[int]:
    """Index of the components of a term."""
    return slice(None) if components is None else list(components)


def _joined(run: _Run) -> FloatArray:
    """All frames kept, in one array."""
    if len(run.pieces) > 1:
        run.pieces = [np.concatenate(run.pieces)]
    return run.pieces[0]


def _merged(blocks: Sequence[_Block], group: int) -> list[_Block]:
    """Neighbours added up, as long as they hold no more than ``group`` segments together."""
    merged: list[_Block] = []
    for block in blocks:
        if merged and merged[-1].count + block.count <= group:
            last = merged[-1]
            merged[-1] = _Block(
                last.sums + block.sums, last.segments + block.segments, last.count + block.count
            )
        else:
            merged.append(block)
    return merged
