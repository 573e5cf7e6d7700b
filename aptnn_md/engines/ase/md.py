"""ASE molecular dynamics with a stream and checkpoints: what ``aptnn-md md`` runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.md.md import MolecularDynamics

from aptnn_md.atoms.partition import Partition, parse_groups
from aptnn_md.atoms.rotation import WholeRotation
from aptnn_md.engines.ase.choice import chosen
from aptnn_md.engines.ase.dynamics import make_dynamics, seeded, stop_rotation
from aptnn_md.engines.ase.energy_monitor import EnergyMonitor
from aptnn_md.engines.ase.ensemble import EnsembleJob, run_ensemble
from aptnn_md.engines.ase.equilibration import equilibrate
from aptnn_md.engines.ase.observer import StreamObserver
from aptnn_md.engines.ase.restart import Checkpoint, DynamicsState
from aptnn_md.engines.ase.settings import MDSettings
from aptnn_md.engines.ase.steps import run_steps
from aptnn_md.engines.ase.summary import MDSummary, judged
from aptnn_md.engines.ase.tensor_source import source_of_tensors
from aptnn_md.engines.ase.uncertain_frames import UncertainFrames
from aptnn_md.engines.open_space import rotation_of
from aptnn_md.errors import InputError
from aptnn_md.progress import log
from aptnn_md.spectra.convergence.monitor import Monitor
from aptnn_md.spectra.convergence.stopping import ConvergenceStop
from aptnn_md.stream import StreamReader, stream_exists
from aptnn_md.structures import Mobility, calculator_charge, charge_of


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
    dipole_calculator: Any = None,
    members: bool | None = None,
    saved: UncertainFrames | None = None,
    **header: Any,
) -> MDSummary:
    """Run molecular dynamics of ``atoms`` with its calculator; stream Ṁ, and ȧ if it is known.

    Parameters
    ----------
    atoms : start, with a calculator; without velocities it gets thermal ones
    stream : directory of the stream, or of the streams of an ensemble
    settings : how to run; what they leave open is chosen by what ``atoms`` are, so that a molecule
        or a small cluster in open space gets an ensemble (:mod:`aptnn_md.engines.ase.choice`). An
        equilibration comes before the first frame, and steps and times of the stream are counted
        from its end
    model, groups, velocities, dipole_calculator, members, saved, header : see
        :class:`aptnn_md.engines.ase.observer.StreamObserver`
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
    if charge and calculator_charge(atoms.calc, atoms) is None:
        log.info("charge %g e; the potential does not say which it is for", charge)
    _, source = source_of_tensors(atoms, model)  # refuses what it does not know before all work
    model = model if model is None else source
    if isinstance(groups, str):
        # those of the start, also when the run resumes from where molecules may have changed
        groups = parse_groups(groups, atoms)
    settings = chosen(settings, atoms)
    constants = _constants(settings, atoms) | header
    if settings.n_runs:
        observer_options = {
            "model": model,
            "velocities": velocities,
            "dipole_calculator": dipole_calculator,
            "members": members,
            "saved": saved,
            **constants,
        }
        job = EnsembleJob(
            atoms, Path(stream), settings, groups, observer_options, checkpoint, until
        )
        return run_ensemble(job, restart)
    state = _saved_state(stream, checkpoint, restart)
    settings = seeded(settings)
    rng = np.random.default_rng(settings.seed)
    no_rotation = WholeRotation.of(atoms) if settings.rotation == "remove" else None
    dynamics = make_dynamics(atoms, settings, rng, begin=state is None)
    equilibrated = _equilibrated(settings, state, checkpoint)
    if state is not None and equilibrated:
        state.restore(dynamics, checkpoint)
        log.info("resumed at step %d from %s", state.step, checkpoint)
    with StreamObserver(
        dynamics,
        stream,
        model,
        stride=settings.stride,
        groups=groups,
        velocities=velocities,
        first_step=0 if restart else None,
        no_rotation=no_rotation,
        dipole_calculator=dipole_calculator,
        members=members,
        saved=saved,
        **constants,
    ) as observer:
        if not (equilibrated or equilibrate(atoms, settings, rng, checkpoint, state)):
            return MDSummary(0, 0, finished=False)
        if dynamics.nsteps == 0 and (state is None or state.equilibration):
            stop_rotation(atoms, no_rotation)
        stop = None if until is None else ConvergenceStop(until, observer)
        summary = _run(dynamics, observer, settings, checkpoint, stop)
    return judged(stream, settings, summary)


def _constants(settings: MDSettings, atoms: Atoms) -> dict[str, Any]:
    """Fields of the header that the settings know."""
    found: dict[str, Any] = {"ensemble": settings.ensemble}
    if (field := getattr(atoms.calc, "efield", None)) is not None:
        found["ensemble"] += f", in an electric field of {', '.join(f'{e:g}' for e in field)} V/Å"
    if settings.thermostat != "none" or settings.n_runs:
        found["temperature"] = settings.temperature
    if settings.rotation == "keep":
        found["rotation"] = rotation_of(atoms, Mobility.of(atoms))
    return found


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
        return state is not None or not settings.equilibration
    if not settings.equilibration:
        found = f"step {state.step} of an equilibration, and none in the settings"
        expected = "the settings of this run (--equilibrate PS)"
        raise InputError(checkpoint or "restart", "checkpoint", found, expected)
    return False


def _run(
    dynamics: MolecularDynamics,
    observer: StreamObserver,
    settings: MDSettings,
    checkpoint_path: str | os.PathLike[str] | None,
    stop: ConvergenceStop | None,
) -> MDSummary:
    first_step, n_left = dynamics.nsteps, settings.n_steps - dynamics.nsteps
    monitor = EnergyMonitor(dynamics, observer.frame_rates.no_rotation)
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
    observer.commit()
    return MDSummary(
        first_step,
        dynamics.nsteps,
        drift=monitor.drift,
        finished=dynamics.nsteps >= settings.n_steps or (stop is not None and stop.reached),
        convergence="" if stop is None else stop.final_text(),
    )
