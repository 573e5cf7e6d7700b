"""Runs of constant energy that are moved together, a stream each: the ensemble of a campaign.

They are what ``aptnn-md md`` makes of a molecule, one after the other
(:mod:`aptnn_md.engines.ase.ensemble`); here the potential evaluates all of them in one call, which
for small molecules and networks is several times faster. The streams hold the rates of all members
of the tensors' committee, as estimators ``member-1``, ``member-2``, ...

The order of writing is that of other runs: streams first, then the state from which to resume. The
file ``ensemble.json`` comes last and says that all is done. A run whose bonds break is set aside: it
left the part of space for which the models were made.
"""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.atoms.partition import parse_groups
from aptnn_md.atoms.snapshot import Snapshot
from aptnn_md.engines.ase.dynamics import thermal_momenta
from aptnn_md.engines.ase.observer import temperature
from aptnn_md.errors import RunError
from aptnn_md.files import write_output
from aptnn_md.learning.bonds import BondGraph
from aptnn_md.potentials.interface import BatchedPotential
from aptnn_md.prediction.interface import TensorModel
from aptnn_md.progress import Progress
from aptnn_md.stream import StreamWriter
from aptnn_md.stream.ensemble import Ensemble, is_ensemble, run_path
from aptnn_md.stream.frame import FrameRates, Instant
from aptnn_md.stream.run_id import run_id_of
from aptnn_md.targets import APT

CHECKPOINT_SECONDS = 20.0
BROKEN = "broken-{:03d}.zarr"
"""Name of the stream of a run that was set aside."""


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
    def state_path(self) -> Path:
        """State from which a killed job resumes."""
        return self.path / "state.npz"


def make_runs(job: RunsJob) -> int:
    """Make what is missing; the number of runs that are complete.

    Raises
    ------
    RunError
        Forces are not finite, or bonds broke in all runs.
    """
    if not is_ensemble(job.path):
        job.path.mkdir(parents=True, exist_ok=True)
        runs = _Runs(job)
        runs.move()
        _set_aside(job.path, runs.broken)
        n_complete = int((~runs.broken).sum())
        if not n_complete:
            raise RunError(
                f"{job.path}: bonds broke in all {len(runs.broken)} runs: the potential is not "
                "yet good enough for dynamics; more labels or a longer training"
            )
        Ensemble(n_complete, job.n_steps // job.stride + 1).write(job.path)
        job.state_path.unlink(missing_ok=True)
    return Ensemble.read(job.path).n_runs


class _Runs:
    """All runs of a job: where they are, and their streams."""

    def __init__(self, job: RunsJob) -> None:
        self.job = job
        self.atoms: list[Atoms] = [atoms.copy() for atoms in job.starts]
        self.step, self.forces = 0, [np.zeros((len(atoms), 3)) for atoms in self.atoms]
        self.broken = np.zeros(len(self.atoms), dtype=bool)
        resumed = self._read()
        if not resumed:
            rng = np.random.default_rng(job.seed)
            for atoms in self.atoms:
                atoms.calc = None
                atoms.set_constraint()
                atoms.set_momenta(_at_rest(thermal_momenta(atoms, job.temperature, rng), atoms))
        self._next = time.monotonic() + CHECKPOINT_SECONDS
        self.rates = _frame_rates(self.atoms[0], job.model)
        first = self.step + job.stride if resumed else 0
        self.writers = [
            StreamWriter(run_path(job.path, n), self._header(n, first), first)
            for n in range(1, len(self.atoms) + 1)
        ]
        if not resumed:
            self._evaluate()
            self._stream()

    def move(self) -> None:
        """Velocity Verlet to the end."""
        job, dt = self.job, self.job.timestep * units.fs
        title = f"{len(self.atoms)} runs"
        try:
            with Progress(job.n_steps, title) as progress:
                progress.update(self.step)
                while self.step < job.n_steps and not self.broken.all():
                    self._step(dt)
                    progress.update()
                    if self.step % job.stride == 0:
                        self._stream()
                        if time.monotonic() >= self._next:
                            self._write()
        finally:
            for writer in self.writers:
                writer.close()
        self._write()

    @property
    def alive(self) -> list[int]:
        return [int(n) for n in np.flatnonzero(~self.broken)]

    def _step(self, dt: float) -> None:
        for n in self.alive:
            atoms = self.atoms[n]
            momenta = atoms.get_momenta() + 0.5 * dt * self.forces[n]
            atoms.positions = atoms.positions + dt * momenta / atoms.get_masses()[:, None]
            atoms.set_momenta(momenta)
        self._evaluate()
        for n in self.alive:
            self.atoms[n].set_momenta(self.atoms[n].get_momenta() + 0.5 * dt * self.forces[n])
        self.step += 1

    def _evaluate(self) -> None:
        alive = self.alive
        results = self.job.potential.evaluate([self.atoms[n] for n in alive])
        for n, result in zip(alive, results, strict=True):
            self.forces[n] = np.asarray(result["forces"], dtype=np.float64)

    def _stream(self) -> None:
        """Append a frame to the stream of each run; runs whose bonds broke end here."""
        if self.job.bonds is not None:
            for n in self.alive:
                self.broken[n] = not self.job.bonds.intact(self.atoms[n].positions)
        alive = self.alive
        tensors = self.job.model.evaluate([self.atoms[n] for n in alive])
        for n, found in zip(alive, tensors, strict=True):
            atoms = self.atoms[n]
            instant = Instant(atoms.get_velocities() * units.fs, Snapshot.of(atoms), found)
            when = self.step * self.job.timestep
            frame = self.rates.frame(self.step, when, instant, temperature(atoms))
            self.writers[n].append_frame(frame)

    def _header(self, number: int, first: int) -> Any:
        job, atoms = self.job, self.atoms[number - 1]
        constants: dict[str, Any] = {
            "timestep": job.timestep,
            "stride": job.stride,
            "model": job.model.name,
            "model_sha256": job.model.sha256,
            "temperature": job.temperature,
            "ensemble": "NVE, one of an ensemble of runs from canonical starts (Langevin)",
            "run_id": run_id_of(atoms, run_path(job.path, number) if first else None),
        }
        if not atoms.pbc.any():
            constants["rotation"] = "kept"
        return self.rates.header(atoms, **constants)

    def _write(self) -> None:
        """Streams first, then the state."""
        for n in self.alive:
            self.writers[n].commit()
        data = io.BytesIO()
        arrays = {"step": np.asarray(self.step), "broken": self.broken}
        for n, atoms in enumerate(self.atoms):
            arrays |= {
                f"positions_{n}": atoms.positions,
                f"momenta_{n}": atoms.get_momenta(),
                f"forces_{n}": self.forces[n],
            }
        np.savez(data, **arrays)
        write_output(self.job.state_path, data.getvalue())
        self._next = time.monotonic() + CHECKPOINT_SECONDS

    def _read(self) -> bool:
        """Take up the state that an earlier process left; False where there is none."""
        if not self.job.state_path.exists():
            return False
        with np.load(self.job.state_path) as data:
            self.step, self.broken = int(data["step"]), np.array(data["broken"])
            for n, atoms in enumerate(self.atoms):
                atoms.calc = None
                atoms.set_constraint()
                atoms.positions = data[f"positions_{n}"]
                atoms.set_momenta(data[f"momenta_{n}"])
                self.forces[n] = np.array(data[f"forces_{n}"])
        return True


def _at_rest(momenta: FloatArray, atoms: Atoms) -> FloatArray:
    """Momenta whose sum is zero."""
    masses = atoms.get_masses()[:, None]
    return np.asarray(momenta - masses * momenta.sum(axis=0) / masses.sum())


def _frame_rates(atoms: Atoms, model: TensorModel) -> FrameRates:
    n_members = model.committee_sizes[APT.name]
    return FrameRates(
        parse_groups("all", atoms),
        np.asarray(atoms.get_masses(), dtype=np.float64),
        n_members=n_members if n_members > 1 else 0,
    )


def _set_aside(path: Path, broken: AnyArray) -> None:
    """Rename the streams of broken runs, and close the gaps by the last ones.

    Whatever was done before a kill is seen by the names, so doing it again finishes it.
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
