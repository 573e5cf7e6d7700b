"""What a GPU does: atoms a second, latency, share of a step of dynamics, batched beads.

python tests/benchmarks/gpu.py                     # about a minute and a half on a GPU
python tests/benchmarks/gpu.py --device cpu        # a small version without one
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import torch
from ase import Atoms, units
from ase.md.verlet import VelocityVerlet

from aptnn_md.bundled import bundled_path
from aptnn_md.engines.ase.observer import StreamObserver
from aptnn_md.models import chunks, resident
from aptnn_md.models.tensor_network import fresh_model
from aptnn_md.potentials.loading import load_potential
from aptnn_md.prediction import resident as systems
from aptnn_md.prediction.model_file import ModelFile
from aptnn_md.prediction.predictor import Predictor

REPEATS = {192: 1, 1536: 2, 5184: 3, 12288: 4, 24000: 5, 41472: 6, 98304: 8}
"""Number of atoms -> copies of the bundled box along each axis."""

MOVE = 1e-3
"""Å, of every atom from call to call, so that the list of neighbours mostly holds."""


class Benchmark:
    """Measurements on one device; each takes about ``seconds``."""

    def __init__(self, device: str, seconds: float) -> None:
        self.device, self.seconds = torch.device(device), seconds
        self.on_gpu = self.device.type == "cuda"
        self.results: dict[str, Any] = {}
        self.water: Atoms = ase.io.read(bundled_path("water64.extxyz"))
        self.began = time.monotonic()

    def box(self, n_atoms: int) -> Atoms:
        """Liquid water of about this many atoms, each copy of the box slightly different."""
        n = REPEATS[n_atoms]
        atoms = self.water * (n, n, n)
        atoms.rattle(0.02, seed=n)
        return atoms

    def print(self, name: str, value: Any, text: str) -> None:
        """Show a result, and keep it."""
        self.results[name] = value
        print(f"[{time.monotonic() - self.began:5.1f} s] {text}", flush=True)

    def milliseconds(self, call: Callable[[], Any], least: int = 3, warm: int = 4) -> float:
        """Median time of a call that ends with its result here."""
        for _ in range(warm):
            call()
        times: list[float] = []
        end = time.perf_counter() + self.seconds
        while len(times) < least or (time.perf_counter() < end and len(times) < 500):
            begin = time.perf_counter()
            call()
            times.append(time.perf_counter() - begin)
        return 1e3 * statistics.median(times)

    def steps(self, predictor: Predictor, atoms: Atoms) -> Callable[[], Any]:
        """An evaluation of the next step of a walk."""
        random = np.random.default_rng(0)
        moves = MOVE * random.normal(size=(2, len(atoms), 3))
        begin, number = atoms.positions.copy(), 0

        def step() -> Any:
            nonlocal number
            number += 1
            atoms.positions = begin + moves[number % 2]
            return predictor.evaluate([atoms])

        return step

    # ------------------------------------------------------------------ what is measured

    def card(self) -> None:
        """Which device and torch."""
        name = torch.cuda.get_device_name(self.device) if self.on_gpu else "processor"
        tf32 = torch.backends.cuda.matmul.allow_tf32
        about = {"card": name, "torch": torch.__version__, "cuda": torch.version.cuda}
        text = f"{name}, torch {torch.__version__}, CUDA {torch.version.cuda}, TF32 allowed: {tf32}"
        self.print("about", about, text)

    def accuracy(self) -> None:
        """Against double precision on the processor."""
        reference = self.plain("float64")(self.box(192))
        size = float(np.abs(reference).max())
        found = {}
        for dtype, tf32 in (("float64", False), ("float32", False), ("float32", True)):
            with allowed_tf32(tf32):
                tensors = Predictor.from_file("water-apt", device=str(self.device), dtype=dtype)(
                    self.box(192)
                )
            found[dtype + (" TF32" if tf32 else "")] = float(np.abs(tensors - reference).max())
        text = ", ".join(f"{name} {error:.1e}" for name, error in found.items())
        self.print("accuracy", found, f"largest error, e, of tensors up to {size:.2f} e: {text}")

    def plain(self, dtype: str) -> Predictor:
        """The predictor of the processor."""
        kept, resident.RESIDENT = resident.RESIDENT, set()
        try:
            return Predictor.from_file("water-apt", dtype=dtype)
        finally:
            resident.RESIDENT = kept

    def latency(self) -> None:
        """One box of 192 atoms, kernels launched one by one and as a graph."""
        found = {}
        for name, largest in (("eager", 0), ("graph", systems.LARGEST_CAPTURED)):
            with replaced(systems, "LARGEST_CAPTURED", largest):
                predictor = Predictor.from_file("water-apt", device=str(self.device))
                step = self.steps(predictor, self.box(192))
                found[name] = self.milliseconds(step, least=20)
                system = predictor._resident.kept([self.box(192)], 0)
                assert system is not None
                if name == "graph":
                    found["graph alone"] = self.milliseconds(
                        lambda system=system: system.captured(system._evaluated).sum().item()
                    )
                    found["replays"], failed = system.captured.replays, system.captured.failed
        text = f"192 atoms: {found['eager']:.2f} ms eager, {found['graph']:.2f} ms as a CUDA graph"
        text += f" ({found['graph alone']:.2f} ms of it on the device), {found['replays']} replays"
        self.print("latency_ms", found, text + (f"; FAILED: {failed}" if failed else ""))
        committee = Predictor.from_file("water-apt-committee", device=str(self.device))
        ms = self.milliseconds(self.steps(committee, self.box(192)))
        text = f"committee of {committee.n_members}, 192 atoms: {ms:.2f} ms"
        self.print("committee_ms", ms, text)

    def dipole(self) -> None:
        """APTs of a network of the kind ``dipole``, derivatives by reverse mode."""
        model = fresh_model("dipole", "apt", (1, 8), {}, 0)
        content = ModelFile("dipole", model.settings, "apt", (model.state_dict(),))
        found = {}
        for n_atoms in (192, 1536) if self.on_gpu else (192,):
            predictor = Predictor(content, device=str(self.device))
            found[n_atoms] = self.milliseconds(self.steps(predictor, self.box(n_atoms)))
        text = ", ".join(f"{n_atoms} atoms {ms:.2f} ms" for n_atoms, ms in found.items())
        self.print("dipole_ms", found, f"APTs of a dipole network: {text}")

    def throughput(self, largest: int) -> None:
        """Atoms a second, from arrays of the processor to arrays of the processor."""
        for dtype, tf32 in (("float32", False), ("float32", True), ("float64", False)):
            for n_atoms in REPEATS:
                if n_atoms > largest or (dtype == "float64" and n_atoms not in (192, 12288)):
                    continue
                with allowed_tf32(tf32):
                    predictor = Predictor.from_file(
                        "water-apt", device=str(self.device), dtype=dtype
                    )
                    ms = self.milliseconds(self.steps(predictor, self.box(n_atoms)))
                name = dtype + (" TF32" if tf32 else "")
                text = f"{name}, {n_atoms} atoms: {ms:.2f} ms, {1e-3 * n_atoms / ms:.3f} M atoms/s"
                self.print(f"ms {name} {n_atoms}", ms, text)

    def search(self, largest: int) -> None:
        """What a search for pairs costs, which a liquid needs about every 10 fs."""
        predictor = Predictor.from_file("water-apt", device=str(self.device))
        for n_atoms in (n for n in REPEATS if n <= largest):
            atoms = self.box(n_atoms)
            predictor.evaluate([atoms])
            system = predictor._resident.kept([atoms], 0)
            if system is None:
                continue

            def search(system: Any = system, atoms: Atoms = atoms) -> float:
                system.structures._search([atoms])
                system.tables.fill()
                return float(system.tables.neighbours[-1, -1])

            ms = self.milliseconds(search, warm=1)
            room = system.tables.room
            text = f"search for pairs, {n_atoms} atoms: {ms:.2f} ms; {room}"
            self.print(f"search_ms {n_atoms}", ms, text)

    def sizes_of_blocks(self, largest: int) -> None:
        """Whether other sizes of blocks and products would be faster."""
        n_atoms = max(n for n in REPEATS if n <= largest)
        for block in (8192, 16384, 32768):
            for products in (2**27, 2**28, 2**29):
                with (
                    replaced(chunks, "LARGE_BLOCK", block),
                    replaced(chunks, "MANY_PRODUCTS", products),
                ):
                    predictor = Predictor.from_file("water-apt", device=str(self.device))
                    ms = self.milliseconds(self.steps(predictor, self.box(n_atoms)), warm=2)
                text = f"{n_atoms} atoms, blocks of {block}, {products >> 20} MB: {ms:.1f} ms"
                self.print(f"ms {n_atoms} block {block} products {products}", ms, text)

    def dynamics(self) -> None:
        """The share of the stream in dynamics with the bundled MACE potential, every 2 fs."""
        for n_atoms in (192, 1536) if self.on_gpu else (192,):
            atoms = self.box(n_atoms)
            atoms.calc = load_potential("water-mace", device=str(self.device))
            predictor = Predictor.from_file("water-apt", device=str(self.device))
            n_steps = 80 if self.on_gpu else 4
            # TorchScript compiles at first
            VelocityVerlet(atoms, 0.5 * units.fs).run(40 if self.on_gpu else 4)
            times: dict[str, list[float]] = {"alone": [], "streamed": []}
            with tempfile.TemporaryDirectory() as folder:
                for turn in range(8 if self.on_gpu else 2):
                    for name, found in times.items():
                        # a new integrator, whose count of steps begins anew
                        dynamics = VelocityVerlet(atoms, 0.5 * units.fs)
                        with contextlib.ExitStack() as stack:
                            if name == "streamed":
                                path = Path(folder) / f"{turn}"
                                observer = StreamObserver(dynamics, path, predictor, stride=4)
                                dynamics.attach(stack.enter_context(observer), interval=4)
                            dynamics.run(4)
                            begin = time.perf_counter()
                            dynamics.run(n_steps)
                            if turn:
                                found.append((time.perf_counter() - begin) / n_steps)
            alone, streamed = (1e3 * statistics.median(found) for found in times.values())
            share = streamed / alone - 1.0
            text = f"dynamics, {n_atoms} atoms: {alone:.2f} ms a step, with a stream every 2 fs "
            text += f"{streamed:.2f} ms: {100 * share:.1f} % more"
            self.print(f"dynamics {n_atoms}", [alone, streamed, share], text)

    def beads(self) -> None:
        """A path integral of 32 beads in one call, and bead by bead."""
        n_beads = 32 if self.on_gpu else 4
        random = np.random.default_rng(0)
        beads = [self.box(192) for _ in range(n_beads)]
        for bead in beads:
            bead.positions += 0.05 * random.normal(size=(192, 3))
        predictor = Predictor.from_file("water-apt", device=str(self.device))
        together = self.milliseconds(lambda: predictor.evaluate(beads))
        where = str(self.device)
        singles = [(Predictor.from_file("water-apt", device=where), bead) for bead in beads[:4]]
        single = self.milliseconds(lambda: [own.evaluate([bead]) for own, bead in singles])
        potential = load_potential("water-mace", device=str(self.device))
        forces = self.milliseconds(lambda: potential.evaluate(beads))
        found = {"together": together, "single": single * n_beads / 4, "potential": forces}
        text = (
            f"{n_beads} beads of 192 atoms: {together:.2f} ms in one call, potential {forces:.1f}"
        )
        self.print("beads_ms", found, f"{text} ms; bead by bead {found['single']:.1f} ms")

    def profile(self, n_atoms: int) -> None:
        """Which kernels take the time."""
        predictor = Predictor.from_file("water-apt", device=str(self.device))
        with replaced(systems, "LARGEST_CAPTURED", 0):
            step = self.steps(predictor, self.box(n_atoms))
            for _ in range(3):
                step()
        kinds = [torch.profiler.ProfilerActivity.CPU]
        if self.on_gpu:
            kinds.append(torch.profiler.ProfilerActivity.CUDA)
        with torch.profiler.profile(activities=kinds) as profiler:
            step()
        key = "self_cuda_time_total" if self.on_gpu else "self_cpu_time_total"
        table = profiler.key_averages().table(sort_by=key, row_limit=25, max_name_column_width=60)
        columns = [line[:60] + line[-100:] for line in table.splitlines()]
        self.print(
            f"profile {n_atoms}", table, f"profile of {n_atoms} atoms\n" + "\n".join(columns)
        )


@contextlib.contextmanager
def replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    """A module's constant with another value."""
    kept = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, kept)


@contextlib.contextmanager
def allowed_tf32(allowed: bool) -> Iterator[None]:
    """Products of matrices in TF32, ten bits of mantissa, or in full single precision."""
    kept = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(kept)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=0.7, help="of a measurement")
    parser.add_argument("--largest", type=int, help="atoms (default 98304, on the processor 1536)")
    parser.add_argument("--limit", type=float, default=1e9, help="begin nothing after this time, s")
    parser.add_argument("--json", type=Path, help="file for all results")
    arguments = parser.parse_args()
    benchmark = Benchmark(arguments.device, arguments.seconds)
    if not benchmark.on_gpu:
        resident.RESIDENT = {benchmark.device.type}
    largest = arguments.largest or (98304 if benchmark.on_gpu else 1536)
    parts: list[Callable[[], None]] = [
        benchmark.card,
        benchmark.accuracy,
        benchmark.latency,
        benchmark.dipole,
        lambda: benchmark.throughput(largest),
        benchmark.beads,
        benchmark.dynamics,
        lambda: benchmark.search(largest),
        lambda: benchmark.profile(min(12288, largest)),
        lambda: benchmark.profile(192),
        lambda: benchmark.sizes_of_blocks(largest),
    ]
    for part in parts:
        if time.monotonic() - benchmark.began < arguments.limit:
            with io.StringIO() as nothing, contextlib.redirect_stderr(nothing):
                try:
                    part()
                except Exception as error:  # one that fails does not take the others along
                    benchmark.print(
                        "failed", str(error), f"FAILED: {type(error).__name__}: {error}"
                    )
        if arguments.json:
            arguments.json.write_text(json.dumps(benchmark.results, indent=1) + "\n")


if __name__ == "__main__":
    main()
