"""How to run ASE molecular dynamics: every number with its default and its check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from aptnn_md.errors import InputError
from aptnn_md.settings import AtLeastZero, Count, Positive, Range, Seed, check_settings

Rotation = Literal["keep", "remove"]

Thermostat = Literal["bussi", "langevin", "none"]

THERMOSTATS: tuple[str, ...] = get_args(Thermostat)
"""Ways to control the temperature; see :class:`MDSettings`."""

MOST_RUNS = 9999
"""Of an ensemble."""

MOST_STEPS = 1e15
"""Beyond it a run would not end in a lifetime, and numbers of steps would not be exact."""


_Runs = Annotated[
    int, Range(at_least=0, at_most=MOST_RUNS, words=f"a whole number from 0 to {MOST_RUNS}")
]


@dataclass(frozen=True)
class MDSettings:
    """How to run.

    Parameters
    ----------
    picoseconds : length of the whole run, ps; of an ensemble that of all runs together
    timestep : fs
    stride : steps between frames of the stream
    temperature : K; of the thermostat, and of initial velocities if the start has none
    thermostat : ``"bussi"``: stochastic velocity rescaling (Bussi, Donadio, Parrinello 2007), which
        samples the canonical ensemble of a bulk system by one factor for all velocities and hardly
        disturbs the dynamics; ``"langevin"``: friction and noise on each atom, which broadens bands
        by about the friction; ``"none"``: constant energy; None: as the system asks for, see
        :mod:`aptnn_md.engines.ase.choice`
    n_runs : number of runs of an ensemble: short runs of constant energy from canonical starts,
        which a Langevin chain gives (:mod:`aptnn_md.engines.ase.ensemble`); 0: one run, no
        ensemble. None: as the system asks for
    rotation : of a molecule or cluster in open space as a whole: ``"keep"``, which is the canonical
        ensemble and gives bands their rotational envelopes, or ``"remove"``, for bands at their
        origins
    tau : time constant of ``"bussi"``, fs
    friction : of ``"langevin"`` and of the equilibration before a single run, 1/ps
    sampling_friction : of the Langevin chain that gives the starts of an ensemble, and of its
        equilibration, 1/ps
    sampling : time between these starts on the chain, ps. With the defaults, of methanol
        (GFN2-xTB, 300 K) the energies of bonds and torsion have no memory left beyond the noise of
        30 ps, which is 5 %; jumps among the three equal wells of the torsion take 1 ps
    seed : of velocities and thermostat; None: a new one for each run
    checkpoint_seconds : wall-clock time between checkpoints
    equilibrate : ps of Langevin dynamics (friction and noise on each atom) before the run, from
        the same start; nothing of it is streamed. None: none before a single run, twenty times the
        inverse of ``sampling_friction`` before an ensemble

    Raises
    ------
    InputError
        A value of another type or out of its range, more steps than can be counted, or an ensemble
        with a thermostat.
    """

    picoseconds: Positive
    timestep: Positive = 0.5
    stride: Count = 4
    temperature: Positive = 300.0
    thermostat: Thermostat | None = None
    n_runs: _Runs | None = None
    rotation: Rotation = "keep"
    tau: Positive = 1000.0
    friction: Positive = 1.0
    sampling_friction: Positive = 10.0
    sampling: Positive = 0.5
    seed: Seed | None = None
    checkpoint_seconds: AtLeastZero = 60.0
    equilibrate: AtLeastZero | None = None

    def __post_init__(self) -> None:
        where = "molecular dynamics"
        check_settings(self, where)
        if not 1000.0 * self.picoseconds / self.timestep < MOST_STEPS:
            found = f"{self.picoseconds:g} ps of {self.timestep:g} fs steps"
            raise InputError(where, "picoseconds", found, f"fewer than {MOST_STEPS:g} steps")
        if not self.n_steps:
            found = f"{self.picoseconds:g}, less than a step of {self.timestep:g} fs"
            raise InputError(where, "picoseconds", found, "one step or more")
        if self.n_runs and self.thermostat not in (None, "none"):
            found = f"{self.n_runs} runs, and the thermostat {self.thermostat}"
            expected = "one of them: the runs of an ensemble have constant energy"
            raise InputError(where, "n_runs", found, expected)

    @property
    def n_steps(self) -> int:
        """Steps of the whole run; in an ensemble of each run, a multiple of the stride."""
        if not self.n_runs:
            return round(1000.0 * self.picoseconds / self.timestep)
        frames = 1000.0 * self.picoseconds / (self.n_runs * self.timestep * self.stride)
        return max(1, round(frames)) * self.stride

    @property
    def equilibration(self) -> float:
        """Time of equilibration before the run, ps."""
        if self.equilibrate is not None:
            return self.equilibrate
        return 20.0 / self.sampling_friction if self.n_runs else 0.0

    @property
    def equilibration_steps(self) -> int:
        """Steps before the run."""
        return round(1000.0 * self.equilibration / self.timestep)

    @property
    def sampling_steps(self) -> int:
        """Steps between the starts of an ensemble."""
        return max(1, round(1000.0 * self.sampling / self.timestep))

    @property
    def ensemble(self) -> str:
        """Description of the ensemble for the stream's header."""
        if self.n_runs:
            return (
                f"NVE, one of an ensemble of runs from canonical starts (Langevin, "
                f"{self.sampling_friction:g} /ps, {self.temperature:g} K, a start each "
                f"{self.sampling:g} ps after {self.equilibration:g} ps of equilibration)"
            )
        text = {
            "bussi": f"NVT, stochastic velocity rescaling, {self.tau:g} fs",
            "langevin": f"NVT, Langevin, {self.friction:g} /ps",
            "none": "NVE",
        }[self.thermostat or "bussi"]
        if self.equilibration:
            text += f", after {self.equilibration:g} ps of equilibration (Langevin, "
            text += f"{self.friction:g} /ps, {self.temperature:g} K)"
        return text
