"""Classical or TRPMD runs of several replicas at once, streamed, on a GPU (or a processor).

    python run.py dynamics --start start.extxyz --out trpmd --beads 32 --ps 10 --equilibrate 3
        --model water-apt-committee.pt,water-pgt --groups element+motion --minutes 4
    python run.py frames   --start start.extxyz --out frames.npz --beads 32 --ps 1
        --potential a.json b.json c.json
    python run.py speed    --start start.extxyz --beads 16 32

``dynamics`` writes OUT/run-001.zarr ... of each replica (and with ``--members``
OUT/run-001-members.zarr ... of the members of a committee), OUT/log.csv (temperature, energies
and the conserved quantity) and OUT/state.pt, from which the same command resumes; it ends at
``--minutes``. Tensors are evaluated in ``--workers`` processes beside it. Before the run each
replica is equilibrated, with a local thermostat of 100 fs, from velocities of its own. ``frames``
keeps configurations for labelling, with the disagreement of potentials; the first moves the atoms.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import torch
from ase import Atoms
from copies import Copies
from ring_polymers import Bath, RingPolymers

from aptnn_md.atoms.partition import parse_groups
from aptnn_md.atoms.snapshot import Snapshot
from aptnn_md.prediction.loading import as_model
from aptnn_md.stream import StreamWriter
from aptnn_md.stream.frame import ESTIMATORS, FrameRates, Instant
from aptnn_md.stream.layout import StreamFrame
from aptnn_md.stream.run_id import new_run_id
from aptnn_md.stream.start import start_fields
from aptnn_md.targets import APT

CHUNK = 25  # frames that a worker evaluates at once
LOG = ("step", "replica", "temperature", "potential", "kinetic", "conserved")


class Rates:
    """Frames of the streams from positions and velocities; each worker has one.

    Parameters
    ----------
    options : of the command line
    atoms : the start
    """

    def __init__(self, options: argparse.Namespace, atoms: Atoms) -> None:
        self.atoms, self.dt = atoms, options.timestep
        self.model = as_model(options.model, device=options.device)
        groups = parse_groups(options.groups, atoms)
        estimators = tuple(options.estimator.split(","))
        masses = np.asarray(atoms.get_masses(), dtype=np.float64)
        self.rates = FrameRates(groups, masses, estimators)
        self.n_members = self.model.committee_sizes[APT.name] if options.members else 0
        self.of_members = FrameRates(
            parse_groups("all", atoms), masses, estimators[:1], n_members=self.n_members
        )

    def frames(self, step: int, q: np.ndarray, v: np.ndarray, kelvin: float) -> list[StreamFrame]:
        """Frames of one replica, positions and velocities (n_beads, n_atoms, 3).

        With ``--members`` a second one has the dipole rate of each member of the committee, of all
        atoms.
        """
        beads, centroid = self.rates.needs()
        places = [*(q if beads else ()), *([q.mean(axis=0)] if centroid else ())]
        structures = []
        for positions in places:
            structures.append(self.atoms.copy())
            structures[-1].positions = positions
        tensors = self.model.evaluate(structures)
        at_centroid = tensors.pop() if centroid else None
        at_beads = None
        if beads:
            # (n_members, n_beads, ...)
            names = tensors[0]
            at_beads = {name: np.stack([t[name] for t in tensors], axis=1) for name in names}
        x, y, z = (bool(periodic) for periodic in self.atoms.pbc)
        snapshot = Snapshot(q, self.atoms.cell.array, (x, y, z))
        time = step * self.dt
        found = [self.rates.frame(step, time, Instant(v, snapshot, at_beads, at_centroid), kelvin)]
        if self.n_members:
            each = [t if t is None else {APT.name: t[APT.name]} for t in (at_beads, at_centroid)]
            found.append(self.of_members.frame(step, time, Instant(v, snapshot, *each), kelvin))
        return found


_worker: Rates | None = None


def _begin(options: argparse.Namespace, atoms: Atoms) -> None:
    global _worker
    torch.set_num_threads(1)
    _worker = Rates(options, atoms)


def _frames(chunk: list[tuple[int, np.ndarray, np.ndarray, np.ndarray]]) -> list[list[StreamFrame]]:
    """For each step the frames of all replicas, one after the other."""
    assert _worker is not None
    return [
        [
            frame
            for each in zip(q.astype(float), v.astype(float), kelvin, strict=True)
            for frame in _worker.frames(step, *each)
        ]
        for step, q, v, kelvin in chunk
    ]


class Clock:
    """Whether time is left, by ``--minutes`` from the start of the process."""

    def __init__(self, minutes: float | None) -> None:
        self.began = time.perf_counter()
        self.limit = np.inf if minutes is None else 60.0 * minutes

    @property
    def spent(self) -> float:
        """Seconds."""
        return time.perf_counter() - self.began

    @property
    def over(self) -> bool:
        """No time is left."""
        return self.spent > self.limit


def dynamics(options: argparse.Namespace) -> None:
    """Equilibration and run, resumed where they were stopped."""
    clock, out = Clock(options.minutes), Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    atoms = ase.io.read(options.start)
    saved = out / "state.pt"
    state = torch.load(saved, map_location=options.device) if saved.exists() else None
    n_before = round(options.equilibrate * 1000 / options.timestep)
    done = -n_before if state is None else int(state["step"])
    run_ids = [new_run_id() for _ in range(options.replicas)] if state is None else state["run_ids"]
    if done < 0 or state is None:
        polymers = _polymers(options, atoms, local=True)
        if state is not None:
            polymers.resume(state["polymers"])
        done = _equilibrate(polymers, options, clock, done)
        polymers.heat.zero_()
        state = {"step": done, "run_ids": run_ids, "polymers": polymers.state()}
        _save(saved, state)
        if done < 0:
            return
    if done >= round(options.ps * 1000 / options.timestep):
        print(f"{out}: complete")
        return
    polymers = _polymers(options, atoms, local=False)
    with Recorder(options, atoms, polymers, done, run_ids) as recorder:
        # last: networks that are made draw random numbers, too
        polymers.resume(state["polymers"])
        _run(polymers, recorder, options, clock, done)


def _polymers(options: argparse.Namespace, atoms: Atoms, *, local: bool) -> RingPolymers:
    n = options.replicas * options.beads
    forces = Copies(options.potential[0], atoms, n, options.device)
    tau = 100.0 if local else options.tau
    bath = Bath(options.temperature, options.timestep, tau, options.friction, local)
    positions = np.broadcast_to(
        atoms.positions, (options.replicas, options.beads, *atoms.positions.shape)
    )
    polymers = RingPolymers(
        positions.copy(), atoms.get_masses(), forces, bath, options.device, options.seed
    )
    return polymers


def _stepper(polymers: RingPolymers, options: argparse.Namespace) -> Callable[[], None]:
    captured = options.device != "cpu" and not options.no_capture
    return polymers.captured() if captured else polymers.step


def _equilibrate(
    polymers: RingPolymers, options: argparse.Namespace, clock: Clock, done: int
) -> int:
    step, began, first = _stepper(polymers, options), clock.spent, done
    while done < 0 and not clock.over:
        for _ in range(min(200, -done)):
            step()
        done = min(0, done + 200)
        polymers.forces.check()
    observed = {name: float(values.mean()) for name, values in polymers.observed().items()}
    n = max(1, done - first)
    print(
        f"equilibration: {n} steps, {1e3 * (clock.spent - began) / n:.2f} ms each; "
        + ", ".join(f"{name} {value:.3f}" for name, value in observed.items()),
        flush=True,
    )
    return done


class Recorder:
    """Streams, log and state of a run; frames are evaluated in other processes, kept in order.

    Parameters
    ----------
    options, atoms, polymers : the run
    done : step from which it resumes
    run_ids : of the replicas
    """

    def __init__(
        self,
        options: argparse.Namespace,
        atoms: Atoms,
        polymers: RingPolymers,
        done: int,
        run_ids: list[str],
    ) -> None:
        self.options, self.polymers, self.run_ids = options, polymers, run_ids
        self.atoms = atoms
        self.out = Path(options.out)
        self.done, self.writers = done, self._open(atoms, done)
        self.chunk: list[tuple[int, np.ndarray, np.ndarray, np.ndarray]] = []
        self.waiting: deque[tuple[Future[list[list[StreamFrame]]], dict[str, Any] | None]] = deque()
        self.rows: list[tuple[float, ...]] = []
        self.kept: list[tuple[int, np.ndarray]] = []
        self._cut_log(done)
        spawn = multiprocessing.get_context("spawn")
        self.pool = ProcessPoolExecutor(options.workers, spawn, _begin, (options, atoms))

    def _open(self, atoms: Atoms, done: int) -> list[StreamWriter]:
        options, rates = self.options, Rates(self.options, atoms)
        n_beads, friction = options.beads, options.friction
        kind = "classical" if n_beads == 1 else f"TRPMD, PILE-G, lambda {friction:g}"
        constants = {
            "timestep": options.timestep,
            "stride": options.stride,
            "n_beads": n_beads,
            "temperature": options.temperature,
            "model": rates.model.name,
            "model_sha256": rates.model.sha256,
            "ensemble": f"NVT, {kind}, global rescaling {options.tau:g} fs",
            **self.polymers.forces.fields,
            **start_fields(atoms, options.groups),
        }
        # the frame of the step from which a run resumes is there already
        first = None if done == 0 else done + options.stride
        writers = []
        for k, run_id in enumerate(self.run_ids, start=1):
            header = rates.rates.header(atoms, run_id=run_id, **constants)
            writers.append(StreamWriter(self.out / f"run-{k:03d}.zarr", header, first))
            if rates.n_members:
                header = rates.of_members.header(atoms, run_id=run_id, **constants)
                path = self.out / f"run-{k:03d}-members.zarr"
                writers.append(StreamWriter(path, header, first))
        return writers

    def record(self, step: int) -> None:
        """Take the present state; it becomes a frame later."""
        q, v = (t.to(torch.float32).cpu().numpy() for t in self.polymers.beads())
        observed = {name: t.cpu().numpy() for name, t in self.polymers.observed().items()}
        for k in range(len(q)):
            self.rows.append((step, k + 1, *(observed[name][k] for name in LOG[2:])))
        if self.options.keep and step % self.options.keep == 0:
            self.kept.append((step, q))
        self.chunk.append((step, q, v, observed["temperature"]))
        if len(self.chunk) >= max(1, CHUNK // len(q)):
            self.submit()

    def submit(self, state: dict[str, Any] | None = None) -> None:
        """Give the frames so far to a worker; ``state`` is saved when they are written."""
        self.waiting.append((self.pool.submit(_frames, self.chunk), state))
        self.chunk = []
        while self.waiting and (
            self.waiting[0][0].done() or len(self.waiting) > 3 * self.options.workers
        ):
            self._write_first()

    def save(self, step: int) -> None:
        """Save the state of this step as soon as all frames up to it are written."""
        state = {"step": step, "run_ids": self.run_ids, "polymers": self.polymers.state()}
        state["polymers"] = {name: t.clone() for name, t in state["polymers"].items()}
        self.submit(state)

    def _write_first(self) -> None:
        future, state = self.waiting.popleft()
        for frames in future.result():
            for writer, frame in zip(self.writers, frames, strict=True):
                writer.append_frame(frame)
        if state is not None:
            for writer in self.writers:
                writer.commit()
            self._log(state["step"])
            self._keep()
            _save(self.out / "state.pt", state)

    def _log(self, step: int) -> None:
        path = self.out / "log.csv"
        new = not path.exists()
        with path.open("a") as file:
            if new:
                file.write(",".join(LOG) + "\n")
            for row in [row for row in self.rows if row[0] <= step]:
                file.write(",".join(f"{value:.10g}" for value in row) + "\n")
        self.rows = [row for row in self.rows if row[0] > step]

    def _keep(self) -> None:
        """Write the positions that are kept, for labels."""
        if not self.kept:
            return
        step, path = self.kept[0][0], self.out
        np.savez(
            path / f"frames-{step:08d}.npz",
            numbers=self.atoms.numbers,
            cell=self.atoms.cell.array,
            step=[each for each, _ in self.kept],
            positions=np.stack([q.reshape(-1, *q.shape[2:]) for _, q in self.kept]),
        )
        if len(self.kept) >= 50:
            self.kept = []

    def _cut_log(self, done: int) -> None:
        path = self.out / "log.csv"
        if path.exists():
            head, *lines = path.read_text().splitlines()
            kept = [line for line in lines if int(line.split(",", 1)[0]) <= done]
            path.write_text("\n".join([head, *kept]) + "\n")

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            while self.waiting:
                self._write_first()
        self.pool.shutdown(cancel_futures=True)
        for writer in self.writers:
            writer.close()


def _run(
    polymers: RingPolymers,
    recorder: Recorder,
    options: argparse.Namespace,
    clock: Clock,
    done: int,
) -> None:
    step = _stepper(polymers, options)
    n_steps, first, began = round(options.ps * 1000 / options.timestep), done, clock.spent
    every = options.stride * max(1, options.save // options.stride)
    if done == 0:
        recorder.record(0)
    # what workers still have to do when the time is over
    while done < n_steps and clock.spent < clock.limit - options.reserve:
        for _ in range(options.stride):
            step()
        done += options.stride
        recorder.record(done)
        if done % every == 0 or done >= n_steps:
            polymers.forces.check()
            recorder.save(done)
    if done % every and done < n_steps:
        polymers.forces.check()
        recorder.save(done)
    _sync(options.device)
    n = max(1, done - first)
    print(
        f"{options.out}: {done * options.timestep / 1000:.3f} ps, {n} steps now, "
        f"{1e3 * (clock.spent - began) / n:.2f} ms each with {options.replicas} x {options.beads} "
        f"beads; shortest H-H, O-H, O-O {_nearest(polymers)} Å; {len(recorder.waiting)} chunks "
        "are still being evaluated",
        flush=True,
    )


def _nearest(polymers: RingPolymers) -> str:
    return ", ".join(f"{float(polymers.forces.nearest[k]):.3f}" for k in (1, 8, 64))


def _sync(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def _save(path: Path, state: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def frames(options: argparse.Namespace) -> None:
    """Configurations at intervals, with how far the potentials disagree."""
    clock, atoms = Clock(options.minutes), ase.io.read(options.start)
    polymers = _polymers(options, atoms, local=True)
    others = [
        Copies(name, atoms, options.replicas * options.beads, options.device)
        for name in options.potential[1:]
    ]
    step = _stepper(polymers, options)
    n_steps = round(options.ps * 1000 / options.timestep)
    n_before = round(options.equilibrate * 1000 / options.timestep)
    kept: dict[str, list[np.ndarray]] = {"positions": [], "spread": [], "step": []}
    began, done = clock.spent, 0
    for done in range(1, n_before + n_steps + 1):
        step()
        if done > n_before and done % options.stride == 0:
            q = polymers.beads()[0].reshape(-1, len(atoms), 3)
            each = [other(q)[1] for other in (polymers.forces, *others)]
            spread = torch.stack(each).std(dim=0, correction=0).square().mean(dim=(1, 2)).sqrt()
            kept["positions"].append(q.to(torch.float32).cpu().numpy())
            kept["spread"].append(spread.cpu().numpy())
            kept["step"].append(np.array(done))
            polymers.forces.check()
        if done % 50 == 0 and clock.over:
            break
    np.savez(
        options.out,
        numbers=atoms.numbers,
        cell=atoms.cell.array,
        **{name: np.array(values) for name, values in kept.items()},
    )
    observed = {name: float(values.mean()) for name, values in polymers.observed().items()}
    print(
        f"{options.out}: {len(kept['step'])} x {options.replicas * options.beads} configurations, "
        f"{1e3 * (clock.spent - began) / max(done, 1):.2f} ms a step, disagreement of forces "
        f"{float(np.mean(kept['spread'])):.4f} eV/Å; shortest H-H, O-H, O-O "
        f"{_nearest(polymers)} Å; "
        + ", ".join(f"{name} {value:.3f}" for name, value in observed.items()),
        flush=True,
    )


def speed(options: argparse.Namespace) -> None:
    """Time of a step with and without a CUDA graph, and of the package's own way."""
    from aptnn_md.potentials.loading import load_potential

    atoms, found = ase.io.read(options.start), []
    usual: Any = load_potential(options.potential[0], device=options.device)
    for beads in options.beads_of_speed:
        here = argparse.Namespace(**{**vars(options), "beads": beads, "replicas": 1})
        polymers = _polymers(here, atoms, local=False)
        structures = [atoms.copy() for _ in range(beads)]
        result = {"beads": beads, "neighbours": int(polymers.forces.most)}
        result["step"] = _timed(polymers.step, options)
        if options.device != "cpu" and not options.no_capture:
            result["captured step"] = _timed(polymers.captured(), options)
        result["MACEPotential.evaluate"] = _timed(lambda s=structures: usual.evaluate(s), options)
        if options.model:
            model = as_model(options.model, device=options.device)
            result["model.evaluate"] = _timed(lambda s=structures, m=model: m.evaluate(s), options)
        found.append(result)
        print(json.dumps(result), flush=True)


def _timed(call: Callable[[], Any], options: argparse.Namespace) -> float:
    """Milliseconds."""
    for _ in range(3):
        call()
    _sync(options.device)
    began, n = time.perf_counter(), 0
    while n < 3 or time.perf_counter() - began < 1.5:
        call()
        n += 1
    _sync(options.device)
    return round(1e3 * (time.perf_counter() - began) / n, 3)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = {"dynamics": dynamics, "frames": frames, "speed": speed}
    parser.add_argument("command", choices=commands)
    parser.add_argument("--start", required=True, help="structure")
    parser.add_argument("--potential", nargs="+", default=["water-mace"])
    parser.add_argument("--out", default="run")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--beads", nargs="+", type=int, default=[1])
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--temperature", type=float, default=300.0, help="K")
    parser.add_argument("--timestep", type=float, default=0.25, help="fs")
    parser.add_argument("--tau", type=float, default=1000.0, help="of the run's thermostat, fs")
    parser.add_argument("--friction", type=float, default=0.5, help="lambda of PILE")
    parser.add_argument("--equilibrate", type=float, default=3.0, help="ps")
    parser.add_argument("--ps", type=float, default=10.0)
    parser.add_argument("--stride", type=int, default=10)
    parser.add_argument("--keep", type=int, default=0, help="steps between kept positions")
    parser.add_argument("--save", type=int, default=2000, help="steps between states")
    parser.add_argument("--minutes", type=float, help="stop, ready to resume, after this time")
    parser.add_argument("--reserve", type=float, default=0.0, help="s of it for the last frames")
    parser.add_argument("--model", default="")
    parser.add_argument("--groups", default="element+motion")
    parser.add_argument("--estimator", default=ESTIMATORS[0])
    parser.add_argument(
        "--members", action="store_true", help="streams of a committee's members, too"
    )
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-capture", action="store_true", help="no CUDA graph")
    options = parser.parse_args()
    options.beads_of_speed, options.beads = options.beads, options.beads[0]
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    commands[options.command](options)


if __name__ == "__main__":
    main()
