"""At which time the velocities of an OpenMM integrator are.

OpenMM's own integrators keep velocities half a step before the positions, as leapfrog does: the
mean of those at two steps that follow each other is the velocity at the positions of the first,
and for Verlet exactly (r(t+Δt) - r(t-Δt))/2Δt. Integrators of users (``CustomIntegrator``) often
keep velocities of the positions' own time. Which of the two it is, is measured: a few steps are
made, compared with the change of the positions, and taken back.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError

_HALF_A_STEP_BEFORE = (
    "VerletIntegrator", "LangevinMiddleIntegrator", "LangevinIntegrator", "NoseHooverIntegrator",
)  # fmt: skip
_REFUSED = {
    "BrownianIntegrator": "one with inertia: Brownian motion has no velocities",
    "RPMDIntegrator": "one of classical atoms: aptnn-md ipi streams path integrals",
    **dict.fromkeys(
        ("VariableVerletIntegrator", "VariableLangevinIntegrator"),
        "one with a constant time step, as frames are evenly spaced in time",
    ),
}
_N_STEPS = 8
_CLEAR = 0.3
"""Error, in units of what half a step of delay causes, below which a measurement is believed."""


def integrator_of(simulation: Any) -> Any:
    """The integrator that is at work, of a compound one, too."""
    integrator = simulation.integrator
    if type(integrator).__name__ == "CompoundIntegrator":
        return integrator.getIntegrator(integrator.getCurrentIntegrator())
    return integrator


def velocities_lag(simulation: Any) -> bool:
    """Whether velocities are half a step before the positions, else at the same time.

    Raises
    ------
    InputError
        An integrator without velocities in even steps, or one whose velocities are neither.
    """
    name = type(integrator_of(simulation)).__name__
    if name in _REFUSED:
        raise InputError("OpenMM", "integrator", name, _REFUSED[name])
    if name in _HALF_A_STEP_BEFORE:
        return True
    return _measured(simulation, name)


def _measured(simulation: Any, name: str) -> bool:
    """By a few steps that are taken back."""
    context = simulation.context
    before = context.createCheckpoint()
    try:
        states = [_vectors(context)]
        for _ in range(_N_STEPS):
            simulation.integrator.step(1)
            states.append(_vectors(context))
        step = simulation.integrator.getStepSize()._value
    finally:
        context.loadCheckpoint(before)
    positions, velocities = (np.array(arrays) for arrays in zip(*states, strict=True))
    central = (positions[2:] - positions[:-2]) / (2.0 * step)
    middle = velocities[1:-1]
    scale = 0.5 * _rms(velocities[2:] - velocities[1:-1])
    now, mean = (
        _rms(candidate - central) for candidate in (middle, 0.5 * (middle + velocities[2:]))
    )
    if not min(now, mean) <= _CLEAR * scale:
        off = min(now, mean) / max(scale, 1e-300)
        found = f"{name}, whose velocities are off the change of positions by {off:.2g} times what "
        found += "half a step of delay causes"
        expected = "VerletIntegrator, LangevinMiddleIntegrator, NoseHooverIntegrator, or one whose "
        expected += "velocities are those of the positions or half a step before"
        raise InputError("OpenMM", "integrator", found, expected)
    return mean < now


def _vectors(context: Any) -> tuple[FloatArray, FloatArray]:
    state = context.getState(getPositions=True, getVelocities=True)
    arrays = state.getPositions(asNumpy=True)._value, state.getVelocities(asNumpy=True)._value
    return np.array(arrays[0]), np.array(arrays[1])


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2)))
