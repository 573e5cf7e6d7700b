"""Read a stream, also while it grows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from aptnn_md.arrays import AnyArray, FloatArray, IntArray
from aptnn_md.errors import InputError
from aptnn_md.locks import locked
from aptnn_md.stream.contents import open_contents
from aptnn_md.stream.layout import layouts
from aptnn_md.targets import APT, PGT, TARGETS, Target

_PIECE_FRAMES = 65536


def stream_exists(path: str | os.PathLike[str]) -> bool:
    """Whether anything is at ``path`` that a new stream must not replace.

    What an interrupted creation leaves, a directory that is empty or holds only hidden files
    (partial ones and locks), is nothing.
    """
    place = Path(path)
    if not place.is_dir():
        return place.exists()
    return any(not child.name.startswith(".") for child in place.iterdir())


class StreamReader:
    """The frames of a stream that were committed when it was opened (see :meth:`refresh`).

    Parameters
    ----------
    path : directory of the stream

    Raises
    ------
    InputError
        There is no stream, its version is newer than this package, or it is damaged: a file is
        missing, or is not what was written there. Data are verified when they are read, so the
        methods raise it too.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.refresh()
        self.header = self._contents.header

    def refresh(self) -> None:
        """Count the committed frames again.

        Raises
        ------
        InputError
            The stream is damaged.
        """
        self._contents = open_contents(self.path)

    @property
    def n_frames(self) -> int:
        """Number of committed frames."""
        return self._contents.n_frames

    @property
    def n_restarts(self) -> int:
        """How often a writer has resumed the stream; it may have dropped frames then."""
        return len(self._contents.attributes.get("restarts", ()))

    @property
    def spacing(self) -> float:
        """Time between frames, fs."""
        return self.header.timestep * self.header.stride

    @property
    def being_written(self) -> bool | None:
        """Whether a writer has the stream open; None if that cannot be known (no locks)."""
        return locked(self.path)

    @property
    def arrays(self) -> tuple[str, ...]:
        """Names of the arrays that the stream has."""
        return tuple(self._contents.arrays)

    @property
    def step(self) -> IntArray:
        """(n_frames,) MD steps."""
        return self._read("step").astype(np.int64)

    @property
    def time(self) -> FloatArray:
        """(n_frames,) times, fs."""
        return self._read("time")

    def rate(self, target: Target, estimator: str | None = None) -> FloatArray:
        """(n_frames, n_groups, n_components) rate of a target of each group, in its ``rate_unit``.

        Parameters
        ----------
        target : whose rate, e.g. ``aptnn_md.targets.PGT``
        estimator : default is the first one of the header

        Raises
        ------
        InputError
            The stream has none.
        """
        return self._read(self.array_name(target, estimator))

    def dipole_rate(self, estimator: str | None = None) -> FloatArray:
        """(n_frames, n_groups, 3) Ṁ of each group, e Å/fs; see :meth:`rate`."""
        return self.rate(APT, estimator)

    def polarizability_rate(self, estimator: str | None = None) -> FloatArray:
        """(n_frames, n_groups, 6) ȧ of each group, Å³/fs; components xx, yy, zz, yz, xz, xy; see
        :meth:`rate`.
        """
        return self.rate(PGT, estimator)

    def blocks(
        self, n_frames: int, estimator: str | None = None, start: int = 0
    ) -> Iterator[FloatArray]:
        """Ṁ from frame ``start`` on in pieces of up to ``n_frames``, (frames, n_groups, 3)."""
        return self.pieces(self.rate_name(estimator), n_frames, start)

    def pieces(self, name: str, n_frames: int, start: int = 0) -> Iterator[AnyArray]:
        """An array from frame ``start`` on in pieces of up to ``n_frames``."""
        for first in range(start, self.n_frames, n_frames):
            yield self._read(name, first, first + n_frames)

    @property
    def temperature(self) -> float | None:
        """Temperature, K: the thermostat's, else the mean of the frames, else None."""
        if self.header.temperature is not None:
            return self.header.temperature
        mean = self._mean("temperature")
        return None if mean is None else float(mean)

    @property
    def volume(self) -> float | None:
        """Volume, Å³: the mean of the frames, else the constant one, else None."""
        mean = self._mean("volume")
        return self.header.volume if mean is None else float(mean)

    @property
    def f_sum(self) -> FloatArray | None:
        """(n_groups,) mean over frames of Σᵢ Σ_αβ apt²/(3 mᵢ), e²/amu, or None."""
        return self._mean("f_sum")

    def read(self, name: str, start: int = 0, stop: int | None = None) -> FloatArray | None:
        """Committed frames of an optional array, all of them or from ``start`` to before ``stop``;
        None where the stream has no such array."""
        return self._read(name, start, stop) if name in self.arrays else None

    def array_name(self, target: Target, estimator: str | None = None) -> str:
        """Name of the array of a target's rate by an estimator; default: the first of the header.

        Raises
        ------
        InputError
            The stream has no such estimator, or no rates of this target.
        """
        name = f"{target.rate_name}/{self._estimator(estimator)}"
        if self.arrays and name not in self.arrays:
            there = {array.partition("/")[0] for array in self.arrays}
            if target.rate_name in there:
                of_rate = [a for a in self.arrays if a.startswith(f"{target.rate_name}/")]
                having = ", ".join(array.partition("/")[2] for array in of_rate)
                expected = f"one with {_plural(target)}: {having}"
                raise InputError(self.path, "estimator", name.partition("/")[2], expected)
            rates = [_plural(each) for each in TARGETS.values() if each.rate_name in there]
            expected = f"{_plural(target)}: a run with a model that gives {target.title}s, too "
            expected += "(--model water-apt,water-pgt)"
            raise InputError(self.path, "arrays", f"{' and '.join(rates)} only", expected)
        return name

    def rate_name(self, estimator: str | None = None) -> str:
        """Name of the array of Ṁ by an estimator; see :meth:`array_name`."""
        return self.array_name(APT, estimator)

    def _estimator(self, name: str | None) -> str:
        name = self.header.estimators[0] if name is None else name
        if name not in self.header.estimators:
            expected = f"one of {', '.join(self.header.estimators)} (--estimator, @ESTIMATOR)"
            raise InputError(self.path, "estimator", name, expected)
        return name

    def _mean(self, name: str) -> FloatArray | None:
        """Mean over frames, in bounded memory."""
        if name not in self.arrays or not self.n_frames:
            return None
        sums = [piece.sum(axis=0) for piece in self.pieces(name, _PIECE_FRAMES)]
        return np.asarray(sum(sums) / self.n_frames)

    def _read(self, name: str, start: int = 0, stop: int | None = None) -> AnyArray:
        stop = self.n_frames if stop is None else min(stop, self.n_frames)
        if name not in self.arrays:
            known = layouts(self.header, (name,)).get(name)
            return np.empty((0, *(known.frame_shape if known else ())))
        values = self._contents.read(name, start, stop)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            frame = start + int(
                np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(1))[0]
            )
            raise InputError(self.path, name, f"no value in frame {frame}", "finite values")
        return values


def _plural(target: Target) -> str:
    return target.rate_name.replace("_", " ") + "s"
