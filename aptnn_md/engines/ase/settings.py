"""How to run ASE molecular dynamics: every number with its default and its check."""

from __future__ import annotations

import math
from dataclasses import dataclass

from aptnn_md.errors import InputError

THERMOSTATS = ("bussi", "langevin", "none")
"""Ways to keep the temperature; see :class:`MDSettings`."""


@dataclass(frozen=True)
class MDSettings:
    """How to run.

    Parameters
    ----------
    picoseconds : length of the whole run, ps
    timestep : fs
    stride : steps between frames of the stream
    temperature : K; of the thermostat, and of initial velocities where the start has none
    thermostat : ``"bussi"``: stochastic velocity rescaling (Bussi, Donadio, Parrinello 2007), which
        samples the canonical ensemble by one factor for all velocities, so the dynamics that make
        a spectrum are hardly disturbed; ``"langevin"``: friction and noise on each atom, for
        equilibration, which broadens bands by about the friction; ``"none"``: constant energy
    tau : time constant of ``"bussi"``, fs
    friction : of ``"langevin"``, 1/ps
    seed : of velocities and thermostat; None: a new one for each run
    checkpoint_seconds : wall-clock time between checkpoints

    Raises
    ------
    InputError
        A number that is not positive and finite, or another thermostat.
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

    def __post_init__(self) -> None:
        for name in ("picoseconds", "timestep", "stride", "temperature", "tau", "friction"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError("molecular dynamics", name, value, "a positive number")
        if self.thermostat not in THERMOSTATS:
            raise InputError(
                "molecular dynamics",
                "thermostat",
                repr(self.thermostat),
                f"one of {', '.join(THERMOSTATS)}",
            )

    @property
    def n_steps(self) -> int:
        """Steps of the whole run."""
        return round(1000.0 * self.picoseconds / self.timestep)

    @property
    def ensemble(self) -> str:
        """What the stream says of the run."""
        return {
            "bussi": f"NVT, stochastic velocity rescaling, {self.tau:g} fs",
            "langevin": f"NVT, Langevin, {self.friction:g} /ps",
            "none": "NVE",
        }[self.thermostat]
