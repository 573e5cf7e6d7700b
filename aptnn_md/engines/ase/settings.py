"""How to run ASE molecular dynamics: every number with its default and its check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from aptnn_md.errors import InputError
from aptnn_md.settings import AtLeastZero, Count, Positive, Seed, check_settings

Thermostat = Literal["bussi", "langevin", "none"]

THERMOSTATS: tuple[str, ...] = get_args(Thermostat)
"""Ways to control the temperature; see :class:`MDSettings`."""

MOST_STEPS = 1e15
"""Beyond it a run would not end in a lifetime, and numbers of steps would not be exact."""


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
        A value of another type or out of its range, or more steps than can be counted.
    """

    picoseconds: Positive
    timestep: Positive = 0.5
    stride: Count = 4
    temperature: Positive = 300.0
    thermostat: Thermostat = "bussi"
    tau: Positive = 1000.0
    friction: Positive = 1.0
    seed: Seed | None = None
    checkpoint_seconds: AtLeastZero = 60.0
    equilibrate: AtLeastZero = 0.0

    def __post_init__(self) -> None:
        where = "molecular dynamics"
        check_settings(self, where)
        if not 1000.0 * self.picoseconds / self.timestep < MOST_STEPS:
            found = f"{self.picoseconds:g} ps of {self.timestep:g} fs steps"
            raise InputError(where, "picoseconds", found, f"fewer than {MOST_STEPS:g} steps")

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
