"""Alarms: facts of runs that make a spectrum wrong in a way that its standard errors do not show.

Blocks of one run know how much they differ, not that all of them are wrong: a molecule whose
rotation holds the energy that its vibrations lack has a steady spectrum with small errors. What
gives it away are sums that are known beforehand. Each alarm asks for both, a deviation that matters
and one of more than three standard errors, so that good runs set off none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aptnn_md.spectra.estimation.power import PowerBlocks
from aptnn_md.stream.header import MOTIONS
from aptnn_md.units import BOLTZMANN_EV_PER_K

F_SUM_SIGMAS, TEMPERATURE_SIGMAS = 3.0, 3.5
"""Standard errors that a deviation must exceed. Those of temperatures, of which there are several,
may come from eight runs of a molecule, with their long tails."""

F_SUM_MATTERS, TEMPERATURE_MATTERS = 0.05, 0.10
"""Relative deviations that matter, of the f-sum ratio and of temperatures."""

DRIFT_SIGMAS = 3.0
"""Standard errors that the drift of the conserved energy must exceed."""

DRIFT_MATTERS = 0.05
"""Part of the thermal energy 3 k_B T of an atom that the conserved energy may gain or lose: in a
whole run at constant energy, and with a thermostat, which takes it out again, in its time constant.
"""

OUTSIDE_MATTERS = 0.01
"""Part of the frames outside of what a committee of tensors knows that matters."""

FEWEST_BLOCKS = 4
"""Blocks of one run, with fewer of which its errors are hardly known."""

FEWEST_INDEPENDENT, SURELY_SLOW = 5.0, 0.99
"""Independent samples to which slow motion may reduce one run, and probability of slow motion."""

STEADY = 0.05
"""Relative variance of the power of single segments at one wavenumber, below which a line is that
of motion that repeats itself. For a signal with random phases and amplitudes it is one over the
number of its components, 1/3 for a dipole."""

ENOUGH_TO_JUDGE = 8
"""Fewest blocks from which this variance is judged."""

_ENSEMBLE = "many short runs from canonical starts (aptnn-md md --ensemble N)"


@dataclass(frozen=True)
class Alarm:
    """A reason not to trust a spectrum.

    Attributes
    ----------
    name : in one or two words
    text : what is wrong and the way out, one sentence
    """

    name: str
    text: str


@dataclass(frozen=True)
class Measured:
    """A mean over runs and its standard error."""

    value: float
    standard_error: float

    def is_off(self, expected: float, matters: float, sigmas: float) -> bool:
        """Whether it differs from what it should be, in a way that matters and is no chance."""
        deviation = abs(self.value - expected)
        return deviation > matters * abs(expected) and deviation > sigmas * self.standard_error


def f_sum_alarm(ratio: Measured) -> Alarm | None:
    """Alarm where the f-sum ratio is not 1."""
    if not ratio.is_off(1.0, F_SUM_MATTERS, F_SUM_SIGMAS):
        return None
    return Alarm(
        "f-sum",
        f"the f-sum ratio is {ratio.value:.3f} ± {ratio.standard_error:.3f} and should be 1: what "
        "absorbs does not have the temperature of the spectrum; equilibrate longer and sample by "
        f"a local thermostat or by {_ENSEMBLE}, and check temperature and time step",
    )


def temperature_alarm(mean: Measured, expected: float) -> Alarm | None:
    """Alarm where the mean kinetic temperature (K) is not the one of the spectrum."""
    if not mean.is_off(expected, TEMPERATURE_MATTERS, TEMPERATURE_SIGMAS):
        return None
    return Alarm(
        "temperature",
        f"the mean temperature is {mean.value:.0f} ± {mean.standard_error:.0f} K and should be "
        f"{expected:.0f} K: equilibrate longer, sample by a local thermostat or by {_ENSEMBLE}, or "
        "say what the temperature is (--temperature)",
    )


def equipartition_alarm(
    temperatures: Sequence[float], excess: Sequence[Measured | None], mean: float
) -> Alarm | None:
    """Alarm where translation, libration and vibration have different temperatures.

    Parameters
    ----------
    temperatures : of each of :data:`aptnn_md.stream.header.MOTIONS`, K
    excess : of each over that of the others together, K; None of a motion that there is none of
    mean : of all, K
    """
    limits = (mean, TEMPERATURE_MATTERS, TEMPERATURE_SIGMAS)
    off = [
        e is not None and Measured(mean + e.value, e.standard_error).is_off(*limits) for e in excess
    ]
    if not any(off):
        return None
    there = [
        f"{name} {value:.0f} K"
        for name, value, e in zip(MOTIONS, temperatures, excess, strict=True)
        if e is not None
    ]
    return Alarm(
        "equipartition",
        f"motions of the molecules have different temperatures ({', '.join(there)}): the runs do "
        f"not sample the canonical ensemble; use a local thermostat (Langevin) or {_ENSEMBLE}",
    )


def drift_alarm(drift: Measured, picoseconds: float, temperature: float) -> Alarm | None:
    """Alarm where the conserved energy drifts.

    Parameters
    ----------
    drift : meV per atom and ps; its error is NaN where it is not known
    picoseconds : time over which it adds up
    temperature : K, of which the thermal energy is
    """
    change, error = abs(drift.value) * picoseconds, drift.standard_error
    thermal = 3000.0 * BOLTZMANN_EV_PER_K * temperature
    if not change > DRIFT_MATTERS * thermal or abs(drift.value) <= DRIFT_SIGMAS * error:
        return None  # nor where there is no number
    return Alarm(
        "energy drift",
        f"the conserved energy drifts by {change:.3g} meV per atom in {picoseconds:.3g} ps "
        f"({drift_text(drift)}), more than {100 * DRIFT_MATTERS:g} % of the thermal energy: a "
        "shorter time step, or forces that are more precise, are needed",
    )


def drift_text(drift: Measured) -> str:
    """A drift of the conserved energy in words, with its error where that is known."""
    known = drift.standard_error == drift.standard_error
    error = f" ± {drift.standard_error:.2g}" if known else ""
    return f"{drift.value:.3g}{error} meV per atom and ps"


def domain_alarm(n_outside: int, n_judged: int) -> Alarm | None:
    """Alarm where a committee of tensors has not seen the like of many frames.

    Parameters
    ----------
    n_outside : frames with an atom beyond the limit (:mod:`aptnn_md.domain`)
    n_judged : frames of which it is known
    """
    if n_outside <= OUTSIDE_MATTERS * n_judged:
        return None
    return Alarm(
        "unknown structures",
        f"in {n_outside} of {n_judged} frames ({100.0 * n_outside / n_judged:.2g} %) the networks "
        "of the model disagree about an atom as they did on no frame that they were trained with: "
        "label such frames (aptnn-md md --save-frames DIR --above E) and train with them",
    )


def error_alarm(n_blocks: int, n_runs: int, n_independent: float, slow: float) -> Alarm | None:
    """Alarm where standard errors rest on too little of one run or of a few.

    Parameters
    ----------
    n_blocks, n_runs : numbers of blocks, and of independent runs
    n_independent : independent samples to which the data amount
    slow : probability of slow motion between blocks
    """
    way_out = f"continue the run, or better make {_ENSEMBLE}"
    if n_runs == 1 and n_blocks < FEWEST_BLOCKS:
        return Alarm(
            "few blocks",
            f"standard errors come from {n_blocks} blocks of one run and are hardly known: "
            f"{way_out}, or choose a coarser --resolution",
        )
    if slow > SURELY_SLOW and n_independent < FEWEST_INDEPENDENT:
        runs = "one run" if n_runs == 1 else f"{n_runs} runs"
        return Alarm(
            "slow exchange",
            f"the error still grows with the length of blocks ({runs} of a slow system, about "
            f"{n_independent:.0f} independent samples): standard errors are lower bounds; "
            f"{way_out}",
        )
    return None


def steady_alarm(blocks: PowerBlocks) -> Alarm | None:
    """Alarm where the blocks of one run are too much alike to tell an error.

    A molecule by itself keeps the energies of its modes for long. Its lines are then as steady as
    those of a tuning fork, and nothing in one run says how much those of the next one would differ:
    by as much as they are, of a mode by itself.
    """
    n_blocks, one_run = len(blocks.weights), len(np.unique(blocks.runs)) == 1
    if not one_run or n_blocks < ENOUGH_TO_JUDGE or blocks.plan.method != "welch":
        return None
    power = float((blocks.mean.real**2).sum())
    variance = float(blocks.values.real.var(axis=0, ddof=1).sum())
    of_segments = variance * blocks.n_segments / n_blocks
    if not of_segments < STEADY * power:
        return None
    return Alarm(
        "one steady run",
        "all blocks of the one run are nearly the same, as where modes keep their energies: the "
        "standard errors say how steady this run is, not how much another one would differ; make "
        f"{_ENSEMBLE}",
    )


def error_alarms(blocks: PowerBlocks) -> tuple[Alarm, ...]:
    """:func:`steady_alarm`, or :func:`error_alarm` of the slowest of the parts of a spectrum."""
    steady = steady_alarm(blocks)
    if steady is not None:
        return (steady,)
    found = blocks.slowest()
    slowest = int(np.argmin(np.where(found.slow > SURELY_SLOW, found.n_independent, np.inf)))
    n_runs = len(np.unique(blocks.runs))
    alarm = error_alarm(
        len(blocks.weights), n_runs, found.n_independent[slowest], found.slow[slowest]
    )
    return () if alarm is None else (alarm,)


def warning_lines(alarms: Sequence[Alarm]) -> list[str]:
    """A line for each alarm, as reports and tables have them."""
    return [f"WARNING ({alarm.name}): {alarm.text}" for alarm in alarms]
