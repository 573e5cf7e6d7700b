"""An ensemble: short runs of constant energy from canonical starts, one stream each.

Friction and noise on every atom sample the canonical ensemble of a molecule or cluster in open
space, of which a global thermostat makes something else (:mod:`aptnn_md.engines.ase.choice`), but
they broaden bands. So they only give the starts: one Langevin chain, equilibrated first, stops
every ``sampling`` ps; the positions are those of the chain, and the momenta, which in a canonical
ensemble do not depend on positions, are drawn anew. From there the atoms move by their forces
alone, and that is streamed; then the chain goes on from where it stopped. The mean over runs is the
canonical average, and the scatter among them gives its error.

The centre of mass rests. Without rotation, the chain and the starts are projected onto velocities
without angular momentum, in the metric of the masses, so that what they sample is canonical in the
other 3 N - 6 (3 N - 5) degrees of freedom, which the runs conserve.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.md.md import MolecularDynamics

from aptnn_md.atoms.coordinate_temperature import CoordinateTemperatures
from aptnn_md.atoms.partition import Partition
from aptnn_md.atoms.rotation import WholeRotation
from aptnn_md.engines.ase.dynamics import make_dynamics, seeded, stop_rotation, thermal_momenta
from aptnn_md.engines.ase.energy_monitor import EnergyMonitor
from aptnn_md.engines.ase.ensemble_state import EnsembleCheckpoint, EnsembleState
from aptnn_md.engines.ase.observer import StreamObserver
from aptnn_md.engines.ase.restart import DynamicsState
from aptnn_md.engines.ase.settings import MDSettings
from aptnn_md.engines.ase.steps import run_steps
from aptnn_md.engines.ase.summary import MDSummary, judged
from aptnn_md.engines.ase.tensor_source import source_of_tensors
from aptnn_md.engines.potential_identity import check_resumed, potential_fields
from aptnn_md.errors import InputError
from aptnn_md.progress import log
from aptnn_md.spectra.convergence.monitor import Monitor
from aptnn_md.stream import StreamHeader, StreamReader, stream_exists
from aptnn_md.stream.directory import lock_directory
from aptnn_md.stream.ensemble import Ensemble, complete_runs, is_ensemble, run_path
from aptnn_md.stream.members import has_members


@dataclass(frozen=True)
class EnsembleJob:
    """What to run, and where it goes.

    Attributes
    ----------
    atoms : start, with a calculator
    path : directory of the ensemble
    settings : none of them open (:func:`aptnn_md.engines.ase.choice.chosen`)
    groups : of the start
    observer : other arguments of :class:`aptnn_md.engines.ase.observer.StreamObserver`
    checkpoint : file for restarts, or None
    until : stop when this finds that the spectrum has converged
    """

    atoms: Atoms
    path: Path
    settings: MDSettings
    groups: Partition
    observer: dict[str, Any]
    checkpoint: str | os.PathLike[str] | None = None
    until: Monitor | None = None


def run_ensemble(job: EnsembleJob, restart: bool = False) -> MDSummary:
    """Run, or resume, an ensemble.

    Raises
    ------
    InputError
        Directory or checkpoint already exist, or belong to another run.
    RunError
        A run cannot continue; what is on disk is whole.
    """
    state = _saved(job, restart)
    job = _with_members_as_before(job)
    settings = seeded(job.settings)
    rng = np.random.default_rng(settings.seed)
    no_rotation = WholeRotation.of(job.atoms) if settings.rotation == "remove" else None
    # of the start, before it moves
    coordinates = CoordinateTemperatures.of(job.atoms, turns=settings.rotation != "remove")
    of_chain = replace(
        settings, n_runs=0, thermostat="langevin", friction=settings.sampling_friction
    )
    chain = make_dynamics(job.atoms, of_chain, rng, begin=state is None)
    if state is None:
        stop_rotation(job.atoms, no_rotation)
        state = EnsembleState(0, DynamicsState.of(chain))
    else:
        state.chain.restore(chain, job.checkpoint or "checkpoint")
        log.info("resumed after %d complete runs from %s", state.n_done, job.checkpoint)
    checkpoint = EnsembleCheckpoint(job.checkpoint, state, settings.checkpoint_seconds)
    job = replace(job, settings=settings, observer={**job.observer, "coordinates": coordinates})
    work = _Work(job, chain, rng, no_rotation, checkpoint)
    lock = lock_directory(job.path)
    try:
        return work.run()
    finally:
        lock.release()


def _saved(job: EnsembleJob, restart: bool) -> EnsembleState | None:
    """State to resume from; None to begin. Nothing that exists is overwritten by mistake."""
    path, checkpoint = job.path, job.checkpoint
    there = checkpoint is not None and Path(checkpoint).exists()
    if restart and there:
        assert checkpoint is not None
        state = EnsembleState.read(checkpoint)
        if is_ensemble(path):
            n_frames = Ensemble.read(path).n_frames
            if n_frames != _n_frames(job.settings):
                found = f"{_n_frames(job.settings)} frames a run"
                each = 1e-3 * max(1, n_frames - 1) * job.settings.stride * job.settings.timestep
                n_runs = max(1, round(job.settings.picoseconds / each))
                expected = f"{n_frames}, as in those there: --ensemble {n_runs} --ps "
                expected += f"{n_runs * each:.6g}"
                raise InputError(path, "length of runs", found, expected)
            if len(complete_runs(path)) < state.n_done:
                found = f"fewer than the {state.n_done} of {checkpoint}"
                raise InputError(path, "complete runs", found, "all of them")
            _check_same_runs(job)
        elif state.n_done or state.run is not None:
            raise InputError(path, "ensemble", "nothing", f"the runs that {checkpoint} knows")
        return state
    if there:
        expected = "no such file, or --restart to resume from it"
        raise InputError(checkpoint or "", "checkpoint", "a file", expected)
    if is_ensemble(path) and not run_path(path, 1).exists():
        return None  # interrupted before anything was there
    if stream_exists(path):
        found = "no such file, but runs in " + str(path) if restart else "something there already"
        expected = "that of these runs" if restart else "a new directory"
        where, field = (checkpoint or "restart", "checkpoint") if restart else (path, "ensemble")
        raise InputError(where, field, found, expected)
    return None


def _with_members_as_before(job: EnsembleJob) -> EnsembleJob:
    """All runs have the rates of a committee's members, or none has.

    Raises
    ------
    InputError
        The first run is unlike what is asked for.
    """
    first, wanted = run_path(job.path, 1), job.observer.get("members")
    if not stream_exists(first):
        return job
    there = has_members(StreamReader(first).header)
    if wanted is not None and wanted != there:
        words = {True: "with the rates of members", False: "without the rates of members"}
        raise InputError(first, "estimators", words[wanted], f"{words[there]}, as in this run")
    return replace(job, observer=job.observer | {"members": there})


def _check_same_runs(job: EnsembleJob) -> None:
    """Refuse to continue the runs that are there with others.

    Raises
    ------
    InputError
        Time step, stride, groups, system, model, potential, temperature or rotation differ.
    """
    first, settings = run_path(job.path, 1), job.settings
    if not stream_exists(first):
        return
    found = StreamReader(first).header
    _, source = source_of_tensors(job.atoms, job.observer.get("model"))
    potential = potential_fields(job.atoms.calc)
    check_resumed(first, potential)
    now = StreamHeader.for_atoms(
        job.atoms,
        timestep=settings.timestep,
        stride=settings.stride,
        estimators=found.estimators,
        groups=job.groups.labels,
        temperature=settings.temperature,
        rotation="removed" if settings.rotation == "remove" else job.observer.get("rotation", ""),
        model=source.name,
        model_sha256=source.sha256,
        potential=potential.get("potential", ""),
        potential_sha256=potential.get("potential_sha256", ""),
    )
    now.check_same_run(first, found)


def _n_frames(settings: MDSettings) -> int:
    """Of the stream of each run."""
    return settings.n_steps // settings.stride + 1


@dataclass
class _Work:
    """The chain and its runs.

    Attributes
    ----------
    rng : of the chain and the momenta
    no_rotation : None where rotation is kept
    drifts : of the energy in the runs that were done here, meV per atom and ps
    """

    job: EnsembleJob
    chain: MolecularDynamics
    rng: np.random.Generator
    no_rotation: WholeRotation | None
    checkpoint: EnsembleCheckpoint

    def __post_init__(self) -> None:
        self.drifts: list[float] = []
        settings = self.job.settings
        self.n_runs = settings.n_runs or 1

    @property
    def settings(self) -> MDSettings:
        """Of the job."""
        return self.job.settings

    def run(self) -> MDSummary:
        """All runs that are left, until the end, a signal, or convergence."""
        Ensemble(self.n_runs, _n_frames(self.settings)).write(self.job.path)
        if self.job.checkpoint is not None:
            self.checkpoint.update()
        first = self._steps_done()
        text, finished = "", True
        while self.checkpoint.state.n_done < self.n_runs:
            if self.job.until is not None and self.checkpoint.state.run is None:
                enough, text = self.job.until.converged()
                log.info("%s", text)
                if enough:
                    break
            if not (self._start() and self._move()):
                finished = False
                break
        if self.job.until is not None:
            text = self.job.until.converged()[1]
        return judged(
            self.job.path,
            self.settings,
            MDSummary(
                first_step=first,
                last_step=self._steps_done(),
                drift=float(np.mean(self.drifts)) if self.drifts else float("nan"),
                finished=finished,
                convergence=text,
                n_runs=self.checkpoint.state.n_done,
            ),
            self.drifts,
        )

    def _steps_done(self) -> int:
        """Of all runs, that in progress as well."""
        state = self.checkpoint.state
        return state.n_done * self.settings.n_steps + (state.run.step if state.run else 0)

    def _start(self) -> bool:
        """Go on along the chain to the next start, unless there is one; False after a signal."""
        state, chain = self.checkpoint.state, self.chain
        if state.run is not None:
            return True
        state.chain.restore(chain)
        goal = self.settings.equilibration_steps + state.n_done * self.settings.sampling_steps
        chain.observers.clear()
        chain.attach(self._stop_rotation_of_chain, interval=1)
        chain.attach(lambda: self.checkpoint.keep_chain(chain), interval=self.settings.stride)
        if chain.nsteps < goal:
            title = f"sampling of start {state.n_done + 1} of {self.n_runs}"
            run_steps(chain, goal - chain.nsteps, title, self.settings.stride)
        if chain.nsteps < goal:
            self.checkpoint.update(chain=DynamicsState.of(chain))
            return False
        atoms = self.job.atoms
        momenta = thermal_momenta(atoms, self.settings.temperature, self.rng)
        of_chain = DynamicsState.of(chain)  # with the random numbers used up, and its own momenta
        atoms.set_momenta(momenta)  # through the constraints
        stop_rotation(atoms, self.no_rotation)
        dynamics = make_dynamics(atoms, replace(self.settings, n_runs=0), self.rng, begin=False)
        self.checkpoint.update(chain=of_chain, run=DynamicsState.of(dynamics))
        return True

    def _stop_rotation_of_chain(self) -> None:
        """After each step; before the first one it was done, and once more would change bits."""
        if self.chain.nsteps > 0:
            stop_rotation(self.job.atoms, self.no_rotation)

    def _move(self) -> bool:
        """The present run, to its end; False after a signal."""
        state, settings, atoms = self.checkpoint.state, self.settings, self.job.atoms
        assert state.run is not None
        dynamics = make_dynamics(atoms, replace(settings, n_runs=0), self.rng, begin=False)
        state.run.restore(dynamics)
        path = run_path(self.job.path, state.n_done + 1)
        with StreamObserver(
            dynamics,
            path,
            stride=settings.stride,
            groups=self.job.groups,
            first_step=0,
            no_rotation=self.no_rotation,
            **self.job.observer,
        ) as observer:
            monitor = EnergyMonitor(dynamics, self.no_rotation)
            dynamics.attach(observer, interval=settings.stride)
            dynamics.attach(monitor, interval=settings.stride)
            keep = self.checkpoint.keep_run
            dynamics.attach(lambda: keep(dynamics, observer), interval=settings.stride)
            n_left = settings.n_steps - dynamics.nsteps
            title = f"run {state.n_done + 1} of {self.n_runs}"
            if n_left > 0:
                run_steps(dynamics, n_left, title, settings.stride, lambda: monitor.note)
            observer.commit()
        if dynamics.nsteps < settings.n_steps:
            self.checkpoint.update(run=DynamicsState.of(dynamics))
            return False
        if np.isfinite(monitor.drift):
            self.drifts.append(monitor.drift)
        self.checkpoint.update(n_done=state.n_done + 1, run=None)
        return True
