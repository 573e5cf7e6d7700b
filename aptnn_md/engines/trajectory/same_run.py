"""Streams of what another stream was written of: one trajectory, seen twice.

The new stream takes ``run_id`` and temperatures of the other, by which
:mod:`aptnn_md.spectra.sources.pairing` knows that both are of one trajectory.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.engines.trajectory.time_axis import TimeAxis
from aptnn_md.errors import InputError
from aptnn_md.progress import log
from aptnn_md.stream import StreamHeader, StreamReader

_FIELDS = ("formula", "n_atoms", "masses", "system", "ensemble", "rotation")
_SAME_TEMPERATURE = 1e-2
_LARGEST_RATIO = 3.0


class SameRun:
    """What another stream says of the run.

    Parameters
    ----------
    path : the other stream
    axis : frames of the new one

    Attributes
    ----------
    temperatures : (n,) K of the other stream's frames; None where it has none

    Raises
    ------
    InputError
        No stream, one without ``run_id``, or another time step.
    """

    def __init__(self, path: Path, axis: TimeAxis) -> None:
        self.path, self.axis = path, axis
        reader = StreamReader(path)
        self.header = reader.header
        if not self.header.run_id:
            raise InputError(path, "run_id", "none (an old stream)", "a stream with one")
        if not math.isclose(self.header.timestep, axis.timestep, rel_tol=1e-6):
            expected = f"{axis.timestep:g} fs, as here (--timestep)"
            raise InputError(path, "timestep", f"{self.header.timestep:g} fs", expected)
        self._means = {"temperature": reader.temperature, "volume": reader.volume}
        steps = reader.read("step")
        self._first = 0 if steps is None or not len(steps) else int(steps[0])
        self._ratio: float | None = None
        self.temperatures: FloatArray | None = reader.read("temperature")

    @property
    def fields(self) -> dict[str, Any]:
        """Fields of a header that are those of the run, as far as they are known."""
        fields = {name: getattr(self.header, name) for name in _FIELDS} | self._means
        known = {name: value for name, value in fields.items() if value not in (None, "", 0, {})}
        return {"run_id": self.header.run_id} | known

    def temperatures_of(self, n_frames: int) -> FloatArray | None:
        """(n_frames,) K at the frames of the new stream; None unless the other has all of them."""
        if self.temperatures is None or n_frames == 0:
            return None
        steps = np.array([self.axis.step(0), self.axis.step(n_frames - 1)])
        stride = self.header.stride
        places = (steps - self._first) / stride
        inside = places[0] >= 0.0 and places[1] < len(self.temperatures)
        if not inside or (places % 1.0).any() or self.axis.stride % stride:
            log.warning(
                "%s does not have all of the frames: temperatures of this stream are left out",
                self.path,
            )
            return None
        first, last = (int(place) for place in places)
        found: FloatArray = self.temperatures[first : last + 1 : self.axis.stride // stride]
        return found

    def check_system(self, header: StreamHeader) -> None:
        """Refuse another system.

        Raises
        ------
        InputError
            Atoms or masses differ.
        """
        mine, found = header, self.header
        if mine.system and found.system and mine.system != found.system:
            found_text = f"other atoms or masses ({found.formula})"
            expected = f"those of {mine.formula}: one trajectory has one system"
            raise InputError(self.path, "system", found_text, expected)

    def check_temperature(self, where: str, kelvin: float, theirs: float) -> None:
        """Refuse a frame that cannot be of the same trajectory.

        Temperatures may differ by a constant factor, where degrees of freedom are counted in
        different ways, as constraints are that a file does not hold.

        Raises
        ------
        InputError
            Its temperature does not go with that of the other stream.
        """
        if not kelvin > 0.0 or not theirs > 0.0:
            return
        self._ratio = self._ratio or theirs / kelvin
        expected_kelvin = theirs / self._ratio
        same = abs(kelvin - expected_kelvin) <= _SAME_TEMPERATURE * expected_kelvin
        if not same or not 1.0 / _LARGEST_RATIO < self._ratio < _LARGEST_RATIO:
            expected = f"{theirs:.6g} K, as in {self.path} at this step: is it of the same run?"
            raise InputError(where, "temperature", f"{kelvin:.6g} K", expected)
