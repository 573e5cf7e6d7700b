"""ASE molecular dynamics with a stream and checkpoints: what ``aptnn-md md`` runs."""

from __future__ import annotations

import math
import os
import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.constraints import FixCom
from ase.md.bussi import Bussi
from ase.md.md import MolecularDynamics
from ase.md.verlet import VelocityVerlet

from aptnn_md.atoms.partition import Partition, parse_groups
from aptnn_md.engines.ase.energy_monitor import EnergyMonitor
from aptnn_md.engines.ase.equilibration import equilibrate, langevin
from aptnn_md.engines.ase.observer import StreamObserver, temperature
from aptnn_md.engines.ase.restart import Checkpoint, DynamicsState
from aptnn_md.engines.ase.settings import MDSettings
from aptnn_md.engines.ase.steps import run_steps
from aptnn_md.errors import InputError
from aptnn_md.progress import log
from aptnn_md.spectra.convergence.monitor import Monitor
from aptnn_md.spectra.convergence.stopping import ConvergenceStop
from aptnn_md.stream import StreamReader, stream_exists
from aptnn_md.structures import calculator_charge, charge_of


@dataclass(frozen=True)
class MDSummary:
    """What a run did.

    Attributes
    ----------
    first_step, last_step : steps of this part of the run
    mean_temperature : K, over the frames
    drift : of the conserved energy, meV per atom and ps; NaN where none is (Langevin, field)
    finished : False if a signal ended it early
    convergence : how well the spectrum has converged, if the run is to stop by it
    """

    first_step: int
    last_step: int
    mean_temperature: float
    drift: float
    finished: bool
    convergence: str = ""


def run_md(
    atoms: Atoms,
    stream: str | os.PathLike[str],
    settings: MDSettings,
    *,
    model: Any = None,
    groups: Partition | str = "all",
    velocities: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    restart: bool = False,
    until: Monitor | None = None,
    **header: Any,
) -> MDSummary:
    """Run molecular dynamics of ``atoms`` with its calculator; stream Ṁ, and ȧ if it is known.

    Parameters
    ----------
    atoms : start, with a calculator; without velocities it gets thermal ones
    stream : directory of the stream
    settings : how to run; an equilibration comes before the first frame, and steps and times of
        the stream are counted from its end
    model, groups, velocities, header : see :class:`aptnn_md.engines.ase.observer.StreamObserver`
    checkpoint : file for restarts; default: none is written
    restart : resume from ``checkpoint``, or begin if there is none yet; an existing stream is
        continued. Groups and molecules are those of ``atoms`` as given, so give the same start as
        before
    until : stop before the end when this finds that the spectrum of ``stream`` has converged

    Returns
    -------
    MDSummary

    Raises
    ------
    InputError
        Stream or checkpoint already exist, or belong to another run.
    RunError
        The run cannot continue, e.g. a full disk or an error of the potential; it names the step.
        Stream and checkpoint on disk are whole.
    """
    charge = charge_of(atoms)  # of frame and potential, which must agree
    if charge and calculator_charge(atoms.calc) is None:
        log.info("charge %g e; the potential does not say which it is for", charge)
    if isinstance(groups, str):
        # those of the start, also when the run resumes from where molecules may have changed
        groups = parse_groups(groups, atoms)
    state = _saved_state(stream, checkpoint, restart)
    settings = _seeded(settings)
    rng = np.random.default_rng(settings.seed)
    dynamics = make_dynamics(atoms, settings, rng, begin=state is None)
    equilibrated = _equilibrated(settings, state, checkpoint)
    if state is not None and equilibrated:
        state.restore(dynamics, checkpoint)
        log.info("resumed at step %d from %s", state.step, checkpoint)
    constants = {"ensemble": settings.ensemble, **header}
    if settings.thermostat != "none":
        constants["temperature"] = settings.temperature
    with StreamObserver(
        dynamics,
        stream,
        model,
        stride=settings.stride,
        groups=groups,
        velocities=velocities,
        first_step=0 if restart else None,
        **constants,
    ) as observer:
        if not (equilibrated or equilibrate(atoms, settings, rng, checkpoint, state)):
            return MDSummary(0, 0, math.nan, math.nan, False)
        stop = None if until is None else ConvergenceStop(until, observer)
        return _run(dynamics, observer, settings, checkpoint, stop)


def _saved_state(
    stream: str | os.PathLike[str], checkpoint: str | os.PathLike[str] | None, restart: bool
) -> DynamicsState | None:
    """State to resume from; None to begin. Nothing that exists is overwritten by mistake."""
    saved = checkpoint is not None and Path(checkpoint).exists()
    if not restart:
        if saved:
            raise InputError(
                checkpoint, "checkpoint", "a file", "no such file, or --restart to resume from it"
            )
        return None
    state = DynamicsState.read(checkpoint) if checkpoint is not None and saved else None
    if state is not None and not state.equilibration:
        return state
    if stream_exists(stream) and (n_frames := StreamReader(stream).n_frames):
        found = f"no such file, but {n_frames} frames in {stream}"
        if state is not None:
            found = f"that of an equilibration, but {n_frames} frames in {stream}"
        raise InputError(checkpoint or "restart", "checkpoint", found, "that of this run")
    return state


def _equilibrated(
    settings: MDSettings,
    state: DynamicsState | None,
    checkpoint: str | os.PathLike[str] | None,
) -> bool:
    """Whether no equilibration is to come: none was asked for, or it is over.

    Raises
    ------
    InputError
        The run to resume is being equilibrated, and the settings know of no equilibration.
    """
    if state is None or not state.equilibration:
        return state is not None or not settings.equilibrate
    if not settings.equilibrate:
        found = f"step {state.step} of an equilibration, and none in the settings"
        expected = "the settings of this run (--equilibrate PS)"
        raise InputError(checkpoint or "restart", "checkpoint", found, expected)
    return False


def _seeded(settings: MDSettings) -> MDSettings:
    """Settings with a seed, a new one where they have none."""
    return settings if settings.seed is not None else replace(settings, seed=secrets.randbits(63))


def make_dynamics(
    atoms: Atoms,
    settings: MDSettings,
    rng: np.random.Generator | None = None,
    *,
    begin: bool = True,
) -> MolecularDynamics:
    """ASE's integrator for ``settings``; gives ``atoms`` velocities if they have none.

    The centre of mass is held, so that 3 N - 3 degrees of freedom carry the temperature.

    Parameters
    ----------
    atoms : start, with a calculator
    settings : how to run
    rng : random numbers of velocities and thermostat; None: by the seed of ``settings``
    begin : False: positions and velocities will be replaced by those of a checkpoint
    """
    settings = _seeded(settings)
    rng = np.random.default_rng(settings.seed) if rng is None else rng
    if not atoms.constraints and len(atoms) > 1:
        atoms.set_constraint(FixCom())
    if not np.any(atoms.get_momenta()):
        width = np.sqrt(units.kB * settings.temperature * atoms.get_masses())
        atoms.set_momenta(rng.normal(size=(len(atoms), 3)) * width[:, None])
        text = f"velocities drawn at random at {settings.temperature:g} K, seed {settings.seed}: "
        text += "the start has none"
    else:
        atoms.set_momenta(atoms.get_momenta())  # through the constraint
        text = f"velocities of the start, {temperature(atoms):.4g} K"
    if begin:
        log.info("%s", text)
    timestep = settings.timestep * units.fs
    if settings.thermostat == "bussi":
        return Bussi(atoms, timestep, settings.temperature, settings.tau * units.fs, rng=rng)
    if settings.thermostat == "langevin":
        return langevin(atoms, settings, rng)
    return VelocityVerlet(atoms, timestep)


def _run(
    dynamics: MolecularDynamics,
    observer: StreamObserver,
    settings: MDSettings,
    checkpoint_path: str | os.PathLike[str] | None,
    stop: ConvergenceStop | None,
) -> MDSummary:
    first_step, n_left = dynamics.nsteps, settings.n_steps - dynamics.nsteps
    monitor = EnergyMonitor(dynamics)
    dynamics.attach(observer, interval=settings.stride)
    dynamics.attach(monitor, interval=settings.stride)
    checkpoint = None
    if checkpoint_path is not None:
        checkpoint = Checkpoint(dynamics, checkpoint_path, observer, settings.checkpoint_seconds)
        dynamics.attach(checkpoint, interval=settings.stride)
        if first_step == 0:
            checkpoint.write_start()
    if n_left <= 0:
        log.info("the run is already at step %s of %s", first_step, settings.n_steps)
    elif stop is None or first_step == 0 or not stop.now():
        run_steps(
            dynamics,
            n_left,
            "molecular dynamics",
            settings.stride,
            lambda: monitor.note,
            bool if stop is None else stop,
        )
        if checkpoint is not None:
            checkpoint.write()
    return MDSummary(
        first_step,
        dynamics.nsteps,
        monitor.mean_temperature,
        monitor.drift,
        dynamics.nsteps >= settings.n_steps or (stop is not None and stop.reached),
        "" if stop is None else stop.final_text(),
    )
