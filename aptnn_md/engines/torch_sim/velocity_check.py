"""Whether atoms move by the given time step, and whether velocities are of the positions' time.

torch-sim tells its reporters neither: the time step is an argument of ``integrate``, in ps, and
integrators of users may keep velocities at half steps. Three consecutive steps tell both, by the
central difference of the positions.
"""

from __future__ import annotations

import math

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.engines.torch_sim.systems import Kinematics
from aptnn_md.errors import InputError

LARGEST_ERROR = 0.4
"""Of the time step, relative: from rest, the noise of a thermostat moves atoms by 3/4 of what their
velocities say; a wrong number is off by more, a wrong unit by a thousand."""

LARGEST_SHIFT = 0.25
"""Steps that velocities may be off the positions' time; those of leapfrog are off by a half."""

CLEAR = 6.0
"""Standard errors by which a shift must differ from none: thermostats change velocities, too."""


class VelocityCheck:
    """Looks at the first three consecutive steps.

    Parameters
    ----------
    timestep : fs, as the user says

    Attributes
    ----------
    done : nothing is left to be seen
    """

    def __init__(self, timestep: float) -> None:
        self.timestep = timestep
        self.done = False
        self._steps: list[int] = []
        self._seen: list[Kinematics] = []

    def see(self, step: int, kinematics: Kinematics) -> None:
        """Look at a step; :attr:`done` says whether more are needed.

        Raises
        ------
        InputError
            Atoms move by another time step, or velocities belong to another time.
        """
        if self._steps and step != self._steps[-1] + 1:
            # a loop of the user's that reports frames only; nothing can be compared
            self.done = True
            return
        self._steps.append(step)
        self._seen.append(kinematics)
        if len(self._seen) == 3:
            self._compare()
            self.done, self._seen = True, []

    def _compare(self) -> None:
        before, now, after = self._seen
        moved = 0.5 * (after.positions - before.positions)
        squares = (now.velocities**2).sum(axis=1)
        moves = squares > 0.0
        if not moves.any():
            return
        # medians, as an atom that a boundary folds back has moved by a cell
        along = (moved * now.velocities).sum(axis=1)
        found = float(np.median(along[moves] / squares[moves]))
        if not math.isclose(found, self.timestep, rel_tol=LARGEST_ERROR):
            expected = f"{found:.4g} fs, by which the atoms move (torch-sim counts in ps)"
            raise InputError("torch-sim", "timestep", f"{self.timestep:g} fs", expected)
        # again without atoms that a boundary folds back
        lengths = np.linalg.norm(moved, axis=1)
        whole = lengths <= 10.0 * np.median(lengths)
        late, error = _shift(
            (now.velocities - moved / self.timestep)[whole],
            self.timestep * now.accelerations[whole],
        )
        if abs(late) > max(LARGEST_SHIFT, CLEAR * error):
            side = "before" if late < 0.0 else "after"
            found_words = f"velocities {abs(late):.2g} steps {side} the positions"
            expected = "an integrator whose velocities are those of the positions' time"
            raise InputError("torch-sim", "integrator", found_words, expected)


def _shift(off: FloatArray, per_step: FloatArray) -> tuple[float, float]:
    """By how many steps velocities are late, and the standard error of that.

    Parameters
    ----------
    off : (n, 3), velocities less those of the positions' time
    per_step : (n, 3), how forces change velocities in a step
    """
    squares = float((per_step**2).sum())
    if squares == 0.0:
        return 0.0, 0.0
    shift = float((off * per_step).sum()) / squares
    rest = float(((off - shift * per_step) ** 2).sum())
    return shift, math.sqrt(rest / off.size / squares)
