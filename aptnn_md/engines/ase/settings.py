"""How to run ASE molecular dynamics: every number with its default and its check."""

from __future__ import annotations

import math
from dataclasses import dataclass

from aptnn_md.errors import InputError

THERMOSTATS = ("bussi", "langevin", "none")
"""Ways to control the temperature; see :class:`MDSettings`."""


@dataclass(frozen=True)
class MDSettings:
    """How to run.

    Parameters
    ----------
    picoseconds : length of the whole run, ps
    timestep : fs
    stride : steps between frames of the stream
    temperature : K; of the thermostat, and of initial velocities if the start has none
    thermostat : ``"bussi"``: stochastic velocity rescaling (Bussi, Donadio, Parrinello 2007), which
        samples the canonical ensemble by one factor for all velocities and hardly disturbs the
        dynamics; ``"langevin"``: friction and noise on each atom, for equilibration, which broadens
        bands by about the friction; ``"none"``: constant energy
    tau : time constant of ``"bussi"``, fs
    friction : of ``"langevin"`` and of the equilibration, 1/ps
    seed : of velocities and thermostat; None: a new one for each run
    checkpoint_seconds : wall-clock time between checkpoints
    equilibrate : ps of Langevin dynamics (friction and noise on each atom) before the run, from
        the same start; nothing of it is streamed

    Raises
    ------
    InputError
        A number that is not positive and finite, or an unknown thermostat.
    """

    picoseconds: float
    timestep: float = 0.5
    stride: int = 4
    temperature: float = 300.0
    thermostat: str = "bussi"
    tau: float = 1000.0
    friction: float = 1.0
    seed: int | None = None
    checkpoint_seconds: float = 60.0
    equilibrate: float = 0.0

    def __post_init__(self) -> None:
        where = "molecular dynamics"
        for name in ("picoseconds", "timestep", "stride", "temperature", "tau", "friction"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(where, name, value, "a positive number")
        if self.stride != int(self.stride):
            raise InputError(where, "stride", self.stride, "a whole number")
        if self.seed is not None and (self.seed < 0 or self.seed != int(self.seed)):
            raise InputError(where, "seed", self.seed, "a whole number, zero or more")
        expected = "a number, zero or more"
        if not (math.isfinite(self.equilibrate) and self.equilibrate >= 0.0):
            raise InputError(where, "equilibrate", self.equilibrate, f"{expected}, in ps")
        if not self.checkpoint_seconds >= 0.0:
            raise InputError(where, "checkpoint_seconds", self.checkpoint_seconds, expected)
        if self.thermostat not in THERMOSTATS:
            raise InputError(
                where,
                "thermostat",
                repr(self.thermostat),
                f"one of {', '.join(THERMOSTATS)}",
            )

    @property
    def n_steps(self) -> int:
        """Steps of the whole run."""
        return round(1000.0 * self.picoseconds / self.timestep)

    @property
    def equilibration_steps(self) -> int:
        """Steps before the run."""
        return round(1000.0 * self.equilibrate / self.timestep)

    @property
    def ensemble(self) -> str:
        """Description of the ensemble for the stream's header."""
        text = {
            "bussi": f"NVT, stochastic velocity rescaling, {self.tau:g} fs",
            "langevin": f"NVT, Langevin, {self.friction:g} /ps",
            "none": "NVE",
        }[self.thermostat]
        if self.equilibrate:
            text += f", after {self.equilibrate:g} ps of equilibration (Langevin, "
            text += f"{self.friction:g} /ps, {self.temperature:g} K)"
        return text
