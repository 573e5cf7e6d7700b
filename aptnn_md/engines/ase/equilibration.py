"""Equilibration with a local thermostat, before a run streams its first frame.

A global thermostat brings the mean kinetic energy to its temperature within its time constant, and
leaves it to the forces to share that energy among the motions; friction and noise on each atom
bring every motion there. Nothing of the equilibration is streamed, and the steps of the run are
counted from its end.
"""

from __future__ import annotations

import os

import numpy as np
from ase import Atoms, units
from ase.md.langevin import Langevin

from aptnn_md.engines.ase.observer import temperature
from aptnn_md.engines.ase.restart import Checkpoint, DynamicsState
from aptnn_md.engines.ase.settings import MDSettings
from aptnn_md.engines.ase.steps import run_steps
from aptnn_md.progress import log


def langevin(atoms: Atoms, settings: MDSettings, rng: np.random.Generator) -> Langevin:
    """ASE's Langevin integrator with the time step, temperature and friction of a run."""
    return Langevin(
        atoms,
        settings.timestep * units.fs,
        temperature_K=settings.temperature,
        friction=settings.friction / (1000.0 * units.fs),
        fixcm=False,
        rng=rng,
    )


def equilibrate(
    atoms: Atoms,
    settings: MDSettings,
    rng: np.random.Generator,
    checkpoint_path: str | os.PathLike[str] | None = None,
    state: DynamicsState | None = None,
) -> bool:
    """Run ``settings.equilibration`` ps of Langevin dynamics.

    Parameters
    ----------
    atoms : with a calculator and velocities; changed
    settings : of the run that follows
    rng : random numbers, shared with that run, so that it does not repeat them
    checkpoint_path : file for restarts; None: none is written
    state : of an equilibration that was interrupted, to resume from it

    Returns
    -------
    False if a signal ended it early

    Raises
    ------
    InputError
        ``state`` is of other atoms or another time step.
    RunError
        The checkpoint cannot be written.
    """
    dynamics = langevin(atoms, settings, rng)
    if state is not None:
        state.restore(dynamics, checkpoint_path or "checkpoint")
    n_steps, first_step = settings.equilibration_steps, dynamics.nsteps
    if checkpoint_path is not None:
        checkpoint = Checkpoint(
            dynamics, checkpoint_path, None, settings.checkpoint_seconds, equilibration=True
        )
        checkpoint.write()
        dynamics.attach(checkpoint, interval=settings.stride)
    if first_step < n_steps:
        run_steps(dynamics, n_steps - first_step, "equilibration", settings.stride)
    if checkpoint_path is not None:
        checkpoint.write()
    if dynamics.nsteps < n_steps:
        return False
    log.info("equilibrated for %g ps, %.4g K", settings.equilibration, temperature(atoms))
    return True
