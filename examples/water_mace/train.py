"""Trains a small MACE potential on labelled frames, in the time that it is given.

    python train.py --train A.extxyz B.extxyz --test TEST.extxyz --out water-mace.json
        [--minutes 40] [--device cuda] [--seed 1] [--init water-mace]
        [--irreps 16x0e+16x1o] [--cutoff 4.5] [--radial 32,32,32] [--max-ell 2]

The network is mace-torch's; the loop is this file's, so that it ends in time, wherever it runs:
the learning rate follows a cosine over the minutes. All frames have the same number of atoms.
Stopped at any moment, it resumes from OUT.state when it is started again. ``--init`` takes the
weights of a stored potential to start from; the network is then that one's. On a GPU one step
(both derivatives) is captured as a CUDA graph, which is several times as fast as without.
``walls.json`` and ``card.json`` go into OUT as they are.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from aptnn_md.atoms.neighbours import build_graph
from aptnn_md.models.quiet_mace import quiet_mace
from aptnn_md.potentials.loading import load_potential
from aptnn_md.potentials.mace_network import build_network, new_network
from aptnn_md.potentials.stored import read_potential, write_potential

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "water_gpu"))
from dense_mace import DenseMACE, forces_of  # noqa: E402

FORCE_SCALE = 0.1  # eV/Å; only ratios to the weight of energies matter
LARGE_FORCE = 10.0  # eV/Å
ENERGY_WEIGHTS = 300.0, 10_000.0  # per (eV/atom)², in the first three quarters and the last one
EMA = 0.998
LEARNING_RATE, WARM_LEARNING_RATE, LAST = 0.01, 0.003, 0.003
WARM_UP = 0.02  # of the time
CLIP = 10.0
SAVE_SECONDS = 30.0


@dataclass(frozen=True)
class Frames:
    """Labelled frames on the device, with neighbours in tables of one width.

    Attributes
    ----------
    vectors, neighbours : (n_frames, n_atoms, P, 3), Å, from each neighbour to the atom, and
        (n_frames, n_atoms, P)
    species : (n_atoms, n_elements), one-hot, the same for all frames
    energies, forces : (n_frames,), without the energies of the atoms, and (n_frames, n_atoms, 3)
    """

    vectors: Tensor
    neighbours: Tensor
    species: Tensor
    energies: Tensor
    forces: Tensor

    @classmethod
    def of(
        cls, frames: list[Atoms], cutoff: float, elements: list[int], e0: list[float], device: str
    ) -> Frames:
        """Of labelled structures; ``e0`` are the energies of the atoms."""
        numbers = np.asarray(frames[0].numbers)
        if any((frame.numbers != numbers).any() for frame in frames):
            raise SystemExit("all frames must have the same atoms in the same order")
        graphs = [build_graph(frame, cutoff) for frame in frames]
        counts = [np.bincount(graph.centres, minlength=len(numbers)) for graph in graphs]
        width = int(np.max(counts))
        # what fills up: an atom that sees itself beyond the cutoff, where everything is zero
        vectors = np.tile([2.0 * cutoff, 0.0, 0.0], (len(frames), len(numbers), width, 1))
        neighbours = np.tile(np.arange(len(numbers))[:, None], (len(frames), 1, width))
        for k, (graph, count) in enumerate(zip(graphs, counts, strict=True)):
            place = np.arange(len(graph.centres)) - np.repeat(np.cumsum(count) - count, count)
            vectors[k, graph.centres, place] = -graph.edge_vectors
            neighbours[k, graph.centres, place] = graph.neighbours
        which = np.searchsorted(elements, numbers)
        energies = [f.get_potential_energy() - np.take(e0, which).sum() for f in frames]
        single = {"dtype": torch.float32, "device": device}
        return cls(
            torch.as_tensor(vectors, **single),
            torch.as_tensor(neighbours, device=device),
            torch.as_tensor(np.eye(len(elements))[which], **single),
            torch.as_tensor(np.array(energies), **single),
            torch.as_tensor(np.stack([f.get_forces() for f in frames]), **single),
        )

    def batch(self, chosen: Tensor) -> dict[str, Tensor]:
        """Frames of these numbers as one structure, with labels."""
        shift = len(self.species) * torch.arange(len(chosen), device=self.vectors.device)
        return {
            "vectors": self.vectors[chosen].flatten(0, 1),
            "neighbours": (self.neighbours[chosen] + shift[:, None, None]).flatten(0, 1),
            "energies": self.energies[chosen],
            "labels": self.forces[chosen].reshape(-1, 3),
        }


class Loss:
    """Sum of the mean squares of both kinds of errors, and its gradient in the weights."""

    def __init__(self, network: Any, frames: Frames, batch_size: int, captured: bool) -> None:
        self.network, self.frames, self.n = network, frames, batch_size
        self.dense = DenseMACE(network)
        self.species = frames.species.repeat(batch_size, 1)
        self.energy_weight = torch.tensor(ENERGY_WEIGHTS[0], device=frames.vectors.device)
        first = torch.zeros(batch_size, dtype=torch.int64, device=frames.vectors.device)
        self.held = frames.batch(first)
        self._graph = self._capture() if captured else None

    def __call__(self, chosen: Tensor) -> Tensor:
        """The loss of these frames; gradients are in the weights."""
        for name, values in self.frames.batch(chosen).items():
            self.held[name].copy_(values)
        if self._graph is None:
            self.value = self._evaluate()
        else:
            self._graph.replay()
        return self.value

    def _evaluate(self) -> Tensor:
        vectors = self.held["vectors"].detach().requires_grad_(True)
        each = self.dense(vectors, self.held["neighbours"], self.species)
        (slopes,) = torch.autograd.grad(each.sum(), vectors, create_graph=True)
        forces = forces_of(slopes, self.held["neighbours"]) - self.held["labels"]
        energies = each.view(self.n, -1).sum(dim=1) - self.held["energies"]
        # atoms pressed together have forces ten times as large, and would decide everything
        large = self.held["labels"].square().sum(dim=1, keepdim=True) / LARGE_FORCE**2
        loss = (forces / FORCE_SCALE / (1.0 + large)).square().mean()
        loss = loss + self.energy_weight * (energies / len(self.frames.species)).square().mean()
        for weight in self.network.parameters():
            if weight.grad is not None:
                weight.grad.zero_()
        loss.backward()
        return loss.detach()

    def _capture(self) -> torch.cuda.CUDAGraph:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(5):
                self._evaluate()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.value = self._evaluate()
        return graph


class Training:
    """Weights, optimizer and time that was spent; all of it is in the state file."""

    def __init__(self, options: argparse.Namespace, network: Any, loss: Loss) -> None:
        self.network, self.loss, self.limit = network, loss, 60.0 * options.minutes
        self.path = Path(options.out).with_suffix(".state")
        self.first_rate = options.rate or (WARM_LEARNING_RATE if options.init else LEARNING_RATE)
        self.optimizer = torch.optim.Adam(
            network.parameters(), self.first_rate, amsgrad=True, foreach=True
        )
        self.average = {k: v.detach().clone() for k, v in network.state_dict().items()}
        self.rng = np.random.default_rng(options.seed)
        self.spent, self.steps, self.late = 0.0, 0, 0.0
        if self.path.exists():
            self._resume()

    def run(self) -> None:
        """Steps until the time is over."""
        clock, saved, printed = time.perf_counter(), time.perf_counter(), 0
        for chosen in self._batches():
            done = min(1.0, self.spent / self.limit)
            rate = self.first_rate * (LAST + (1 - LAST) * 0.5 * (1 + math.cos(math.pi * done)))
            rate *= min(1.0, LAST + done / WARM_UP)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.loss.energy_weight.fill_(ENERGY_WEIGHTS[int(done > 0.75)])
            value = self.loss(chosen)
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP, foreach=True)
            self.optimizer.step()
            self.steps += 1
            self._follow()
            now = time.perf_counter()
            self.spent, clock = self.spent + now - clock, now
            if self.spent >= self.limit:
                break
            if int(20 * self.spent / self.limit) > printed:
                printed = int(20 * self.spent / self.limit)
                print(
                    f"{self.spent:7.0f} s  {self.steps:6d} steps  loss {float(value):.4f}",
                    flush=True,
                )
            if now - saved > SAVE_SECONDS:
                saved = now
                self._save()
        self._save()

    def averaged(self) -> dict[str, Tensor]:
        """Weights, averaged over the last steps."""
        return self.average

    def _batches(self) -> Iterator[Tensor]:
        n_frames = len(self.loss.frames.energies)
        while True:
            order = self.rng.permutation(n_frames)
            for first in range(0, n_frames - self.loss.n + 1, self.loss.n):
                yield torch.as_tensor(
                    order[first : first + self.loss.n], device=self.loss.frames.vectors.device
                )

    @torch.no_grad()
    def _follow(self) -> None:
        weight = min(EMA, (1 + self.steps) / (10 + self.steps))
        pairs = [
            (self.average[k], v)
            for k, v in self.network.state_dict().items()
            if v.is_floating_point()
        ]
        torch._foreach_lerp_([a for a, _ in pairs], [v for _, v in pairs], 1.0 - weight)

    def _save(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
            "spent": self.spent,
            "steps": self.steps,
            "rng": json.dumps(self.rng.bit_generator.state),
        }
        part = self.path.with_suffix(".part")
        torch.save(state, part)
        os.replace(part, self.path)

    def _resume(self) -> None:
        state = torch.load(self.path, map_location=self.loss.frames.vectors.device)
        # in place: a captured graph holds on to these weights
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                value.copy_(state["network"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average = state["average"]
        self.spent, self.steps = state["spent"], state["steps"]
        self.rng.bit_generator.state = json.loads(state["rng"])
        print(f"{self.path}: resumed after {self.spent:.0f} s, {self.steps} steps")


def configuration(options: argparse.Namespace, frames: list[Atoms]) -> dict[str, Any]:
    """Arguments of ``ScaleShiftMACE``: by the options, with scales from the frames."""
    elements = sorted(set(frames[0].numbers.tolist()))
    counts = np.array([(frames[0].numbers == z).sum() for z in elements], dtype=float)
    mean = np.mean([frame.get_potential_energy() for frame in frames])
    # one composition tells one number: the shares of least squares
    e0 = mean * counts / (counts @ counts)
    chosen = frames[:: max(1, len(frames) // 20)]
    n_edges = np.mean([len(build_graph(f, options.cutoff).centres) for f in chosen])
    forces = np.stack([frame.get_forces() for frame in frames])
    scalars = options.irreps.split("+")[0]
    return {
        "r_max": options.cutoff,
        "num_bessel": 8,
        "num_polynomial_cutoff": 5,
        "max_ell": options.max_ell,
        "interaction_cls": "RealAgnosticResidualInteractionBlock",
        "interaction_cls_first": "RealAgnosticResidualInteractionBlock",
        "num_interactions": 2,
        "num_elements": len(elements),
        "hidden_irreps": options.irreps,
        "MLP_irreps": "16x0e" if "o" in options.irreps else scalars,
        "gate": "silu",
        "readout_cls": "NonLinearReadoutBlock",
        "atomic_energies": [e0.tolist()],
        "avg_num_neighbors": float(n_edges / len(frames[0])),
        "atomic_numbers": elements,
        "correlation": 3,
        "radial_type": "bessel",
        "radial_MLP": [int(width) for width in options.radial.split(",")],
        "pair_repulsion": False,
        "atomic_inter_scale": [float(np.sqrt(np.mean(forces**2)))],
        "atomic_inter_shift": [0.0],
        "use_reduced_cg": False,
        "heads": ["Default"],
    }


def errors(path: str, frames: list[Atoms], device: str) -> dict[str, Any]:
    """Force and energy RMSE of each class of test frames, as ``validate.py forces`` gives them."""
    calculator: Any = load_potential(path, device=device)
    found = {}
    for kind in sorted({str(frame.info.get("config", "all")) for frame in frames}):
        chosen = [frame for frame in frames if str(frame.info.get("config", "all")) == kind]
        results = calculator.evaluate(chosen)
        df = np.stack([r["forces"] - f.get_forces() for r, f in zip(results, chosen, strict=True)])
        de = np.array(
            [r["energy"] - f.get_potential_energy() for r, f in zip(results, chosen, strict=True)]
        )
        found[kind] = {
            "frames": len(chosen),
            "force_rmse_eV_per_A": round(float(np.sqrt(np.mean(df**2))), 4),
            "energy_rmse_shifted_meV_per_atom": round(float(1e3 * de.std() / len(chosen[0])), 4),
            "energy_mean_error_meV_per_atom": round(float(1e3 * de.mean() / len(chosen[0])), 4),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", nargs="+", required=True)
    parser.add_argument("--test", nargs="*", default=[])
    parser.add_argument("--out", required=True, help="NAME.json")
    parser.add_argument("--minutes", type=float, default=40.0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--init", help="stored potential, NAME.json")
    parser.add_argument("--irreps", default="16x0e+16x1o")
    parser.add_argument("--cutoff", type=float, default=4.5)
    parser.add_argument("--radial", default="32,32,32")
    parser.add_argument("--max-ell", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=0, help="default: 1, on a GPU 8")
    parser.add_argument("--rate", type=float, help="first learning rate")
    parser.add_argument("--no-capture", action="store_true", help="no CUDA graph")
    options = parser.parse_args()
    with quiet_mace():
        import e3nn

        if options.device != "cpu":
            # plain functions of torch: nothing is compiled while a graph is captured
            e3nn.set_optimization_defaults(jit_script_fx=False)  # type: ignore[attr-defined]
            torch._C._jit_set_texpr_fuser_enabled(False)
    began = time.perf_counter()
    frames = [frame for name in options.train for frame in ase.io.read(name, ":")]
    if options.init:
        header, weights = read_potential(options.init)
        arguments = header["configuration"]
        network = build_network(options.init, arguments, weights)
    else:
        arguments = configuration(options, frames)
        network = new_network(arguments, options.seed)
    network = network.to(options.device, torch.float32)
    e0 = np.ravel(arguments["atomic_energies"]).tolist()
    data = Frames.of(
        frames, float(arguments["r_max"]), arguments["atomic_numbers"], e0, options.device
    )
    cuda = options.device != "cpu"
    loss = Loss(
        network, data, options.batch_size or (8 if cuda else 1), cuda and not options.no_capture
    )
    training = Training(options, network, loss)
    print(
        f"{len(frames)} frames, {sum(p.numel() for p in network.parameters())} parameters, "
        f"{time.perf_counter() - began:.0f} s until the first step",
        flush=True,
    )
    training.run()
    card = json.loads((HERE / "card.json").read_text())
    walls = json.loads((HERE / "walls.json").read_text())
    card["parameters"] = sum(p.numel() for p in network.parameters())
    write_potential(options.out, arguments, training.averaged(), card, walls)
    tests = [frame for name in options.test for frame in ase.io.read(name, ":")]
    if tests:
        card["errors"] = errors(options.out, tests, options.device)
        write_potential(options.out, arguments, training.averaged(), card, walls)
        for kind, values in card["errors"].items():
            print(kind, json.dumps(values))
    print(f"{options.out}: {training.steps} steps in {training.spent:.0f} s")


if __name__ == "__main__":
    main()
