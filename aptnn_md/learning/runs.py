"""Runs of constant energy that are moved together, a stream each: the ensemble of a campaign.

They are what ``aptnn-md md`` makes of a molecule, one after the other
(:mod:`aptnn_md.engines.ase.ensemble`); here the potential evaluates all of them in one call, which
for small molecules and networks is several times faster. The streams hold the rates of all members
of the tensors' committee, as estimators ``member-1``, ``member-2``, ...

Streams are written before the state from which to resume, as for other runs. The file
``ensemble.json`` comes last and says that all is done. A run whose bonds break is set aside: it
left the region for which the models were trained.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.atoms.coordinate_temperature import CoordinateTemperatures
from aptnn_md.atoms.partition import parse_groups
from aptnn_md.atoms.snapshot import Snapshot
from aptnn_md.engines.ase.dynamics import thermal_momenta
from aptnn_md.engines.ase.observer import temperature
from aptnn_md.errors import InputError, RunError
from aptnn_md.files import write_output
from aptnn_md.learning.bonds import BondGraph
from aptnn_md.learning.langevin import LangevinPath
from aptnn_md.npz_files import DAMAGE, packed, read_arrays
from aptnn_md.potentials.interface import BatchedPotential
from aptnn_md.prediction.interface import TensorModel
from aptnn_md.prediction.watch import watch_of
from aptnn_md.progress import Progress
from aptnn_md.stream import StreamWriter
from aptnn_md.stream.ensemble import Ensemble, is_ensemble, run_path
from aptnn_md.stream.frame import FrameRates, Instant
from aptnn_md.stream.run_id import run_id_of
from aptnn_md.targets import APT

CHECKPOINT_SECONDS = 20.0
GROUP = 24
"""Runs that are moved together: of small molecules a call of the networks takes nearly as long for
eight, and twice as long for 48. A campaign with several jobs moves several groups at once."""

BROKEN = "broken-{:03d}.zarr"
"""Name of the stream of a run that was set aside."""


class BrokenRunsError(RunError):
    """The potential is not good enough for dynamics: nothing is left of it."""


@dataclass(frozen=True)
class RunsJob:
    """Runs to make.

    Parameters
    ----------
    path : directory of the ensemble
    starts : a structure for each run, all of the same atoms; momenta are drawn anew
    potential, model : of forces, and of tensors
    temperature : K
    timestep : fs
    stride : steps between frames
    n_steps : of each run, a multiple of the stride
    seed : of the momenta
    bonds : that must stay intact; None: none are watched
    """

    path: Path
    starts: Sequence[Atoms]
    potential: BatchedPotential
    model: TensorModel
    temperature: float
    timestep: float
    stride: int
    n_steps: int
    seed: int
    bonds: BondGraph | None = None

    @property
    def groups(self) -> list[range]:
        """Numbers of the runs that are moved together, from 1."""
        n = len(self.starts)
        return [range(k + 1, min(k + GROUP, n) + 1) for k in range(0, n, GROUP)]

    def state_path(self, group: int = 0) -> Path:
        """State from which a killed group of runs resumes."""
        return self.path / (f"state-{group + 1}.npz" if group else "state.npz")


def move_group(job: RunsJob, group: int) -> AnyArray:
    """Move a group of runs to its end; which of them broke. One that has ended is only read."""
    job.path.mkdir(parents=True, exist_ok=True)
    together = _Together(job, group)
    together.move()
    return np.array([run.broken for run in together.runs])


def make_runs(job: RunsJob) -> int:
    """Make what is missing, one group after the other; the number of runs that are complete.

    Raises
    ------
    RunError
        The stream cannot be written, or forces are not finite.
    BrokenRunsError
        Bonds broke in all runs.
    """
    if not is_ensemble(job.path):
        broken = np.concatenate([move_group(job, group) for group in range(len(job.groups))])
        end_ensemble(job.path, broken, job.n_steps // job.stride + 1)
    for group in range(len(job.groups)):
        job.state_path(group).unlink(missing_ok=True)
    return Ensemble.read(job.path).n_runs


class _Run:
    """One of the runs: where it is, and its stream."""

    def __init__(self, job: RunsJob, number: int, rng: np.random.Generator) -> None:
        self.atoms: Atoms = job.starts[number - 1].copy()
        self.atoms.calc = None
        self.atoms.set_constraint()
        momenta = thermal_momenta(self.atoms, job.temperature, rng)
        self.atoms.set_momenta(_at_rest(momenta, self.atoms))
        self.number, self.path = number, run_path(job.path, number)
        self.moving = LangevinPath(self.atoms, job.temperature, 0)  # without friction no noise
        self.forces = np.zeros((len(self.atoms), 3))
        self.broken = False
        self.writer: StreamWriter | None = None

    def open(self, job: RunsJob, rates: FrameRates, first: int) -> None:
        """Open the stream for frames from step ``first`` on."""
        constants: dict[str, Any] = {
            "timestep": job.timestep,
            "stride": job.stride,
            "model": job.model.name,
            "model_sha256": job.model.sha256,
            "temperature": job.temperature,
            "ensemble": "NVE, one of an ensemble of runs from canonical starts (Langevin)",
            "run_id": run_id_of(self, self.path if first else None),
        }
        if not self.atoms.pbc.any():
            constants["rotation"] = "kept"
        header = rates.header(self.atoms, **constants)
        # frames after the last state are made again, so they need not be on disk before the next
        self.writer = StreamWriter(
            self.path, header, first, commit_frames=job.n_steps, commit_seconds=math.inf
        )

    def here(self) -> Atoms:
        """The structure as it is now."""
        self.atoms.positions[:] = self.moving.positions
        self.atoms.set_momenta(self.moving.momenta)
        return self.atoms

    def state(self) -> dict[str, AnyArray]:
        """All that the rest depends on."""
        found = {
            "positions": self.moving.positions,
            "momenta": self.moving.momenta,
            "forces": self.forces,
            "broken": np.asarray(self.broken),
        }
        return {f"{self.number}.{name}": value for name, value in found.items()}

    def load(self, arrays: Mapping[str, AnyArray]) -> None:
        """The inverse of :meth:`state`."""
        shape = self.forces.shape
        for name in ("positions", "momenta", "forces"):
            if arrays[f"{self.number}.{name}"].shape != shape:
                raise ValueError(f"{name} of other atoms")
        self.moving.positions = arrays[f"{self.number}.positions"]
        self.moving.momenta = arrays[f"{self.number}.momenta"]
        self.forces = arrays[f"{self.number}.forces"]
        self.broken = bool(arrays[f"{self.number}.broken"])


class _Together:
    """The runs of a group, moved together."""

    def __init__(self, job: RunsJob, group: int) -> None:
        self.job, self.step, self.state_path = job, 0, job.state_path(group)
        rng = np.random.default_rng(job.seed)  # of all runs, so that groups change no momenta
        every = [_Run(job, number, rng) for number in range(1, len(job.starts) + 1)]
        self.runs = [every[number - 1] for number in job.groups[group]]
        resumed = self.state_path.exists()
        if resumed:
            self._load()
        self._next = time.monotonic() + CHECKPOINT_SECONDS
        if self.ended:
            return  # streams of broken runs may have been set aside already
        self.rates = _frame_rates(every[0].atoms, job.model)
        for run in self.alive:
            run.open(job, self.rates, self.step + job.stride if resumed else 0)
        if not resumed:
            self._evaluate()
            self._stream()

    def _load(self) -> None:
        path = self.state_path
        expected = f"the state of these runs; remove {self.job.path} to make them again"
        arrays = read_arrays(path, "state", expected)
        try:
            self.step = int(arrays["step"])
            for run in self.runs:
                run.load(arrays)
        except DAMAGE as error:
            raise InputError(path, "state", f"other content ({error})", expected) from error

    @property
    def ended(self) -> bool:
        """Whether no step is left to be made."""
        return self.step >= self.job.n_steps or not self.alive

    @property
    def alive(self) -> list[_Run]:
        """Those whose bonds are intact."""
        return [run for run in self.runs if not run.broken]

    def move(self) -> None:
        """Velocity Verlet to the end."""
        job = self.job
        if self.ended and self.state_path.exists():
            return
        try:
            with Progress(job.n_steps, f"{len(self.runs)} runs") as progress:
                progress.update(self.step)
                while self.step < job.n_steps and self.alive:
                    self._one_step()
                    progress.update()
                    if self.step % job.stride == 0:
                        self._stream()
                        if time.monotonic() >= self._next:
                            self._write()
            self._write()
        finally:
            for run in self.runs:
                if run.writer is not None:
                    run.writer.close()

    def _one_step(self) -> None:
        for run in self.alive:
            run.moving.to_next_forces(run.forces, self.job.timestep, 0.0)
        self._evaluate()
        for run in self.alive:
            run.moving.finish(run.forces, self.job.timestep)
        self.step += 1

    def _evaluate(self) -> None:
        alive = self.alive
        results = self.job.potential.evaluate([run.here() for run in alive])
        for run, result in zip(alive, results, strict=True):
            run.forces = np.asarray(result["forces"], dtype=np.float64)

    def _stream(self) -> None:
        """Append a frame to the stream of each run; runs whose bonds broke end here."""
        if self.job.bonds is not None:
            for run in self.alive:
                run.broken = not self.job.bonds.intact(run.moving.positions)
        alive, when = self.alive, self.step * self.job.timestep
        tensors = self.job.model.evaluate([run.here() for run in alive]) if alive else []
        for run, found in zip(alive, tensors, strict=True):
            velocities = run.atoms.get_velocities() * units.fs
            instant = Instant(velocities, Snapshot.of(run.atoms), found)
            frame = self.rates.frame(self.step, when, instant, temperature(run.atoms))
            assert run.writer is not None  # it is alive
            run.writer.append_frame(frame)

    def _write(self) -> None:
        """Streams first, then the state."""
        arrays: dict[str, AnyArray] = {"step": np.asarray(self.step)}
        for run in self.runs:
            if run.writer is not None:
                run.writer.commit()
            arrays |= run.state()
        write_output(self.state_path, packed(arrays))
        self._next = time.monotonic() + CHECKPOINT_SECONDS


def _at_rest(momenta: FloatArray, atoms: Atoms) -> FloatArray:
    """Momenta whose sum is zero."""
    masses = atoms.get_masses()[:, None]
    return np.asarray(momenta - masses * momenta.sum(axis=0) / masses.sum())


def _frame_rates(atoms: Atoms, model: TensorModel) -> FrameRates:
    n_members = model.committee_sizes[APT.name]
    return FrameRates(
        parse_groups("all", atoms),
        np.asarray(atoms.get_masses(), dtype=np.float64),
        coordinates=CoordinateTemperatures.of(atoms),
        n_members=n_members if n_members > 1 else 0,
        domain=watch_of(model, atoms.numbers),
    )


def end_ensemble(path: Path, broken: AnyArray, n_frames: int) -> None:
    """Set broken runs aside, and make an ensemble of the others.

    Parameters
    ----------
    path : directory of the runs
    broken : (n_runs,), which of them broke
    n_frames : of the others

    Raises
    ------
    BrokenRunsError
        All have.
    """
    _set_aside(path, broken)
    if broken.all():
        raise BrokenRunsError(
            f"{path}: bonds broke in all {len(broken)} runs: the potential is not yet good enough "
            "for dynamics; more labels, or a longer training"
        )
    Ensemble(int((~broken).sum()), n_frames).write(path)


def _set_aside(path: Path, broken: AnyArray) -> None:
    """Rename the streams of broken runs, and move the last ones into the gaps.

    The names say what was done before a kill, so doing it again finishes it.
    """
    for n in np.flatnonzero(broken):
        aside = path / BROKEN.format(n + 1)
        if not aside.exists():
            run_path(path, int(n) + 1).rename(aside)
    n_runs = int((~broken).sum())
    gaps = [n for n in range(1, n_runs + 1) if not run_path(path, n).exists()]
    extra = [n for n in range(n_runs + 1, len(broken) + 1) if run_path(path, n).exists()]
    for gap, last in zip(gaps, extra, strict=True):
        run_path(path, last).rename(run_path(path, gap))
