"""Thermostatted ring-polymer dynamics, and with one bead classical dynamics, of many replicas.

Hamiltonian and thermostats are i-PI's: H = Σ p²/2m + Σ ½ m ω_P² (q_j - q_j+1)² + Σ V(q_j) at P
times the temperature, exact propagation of the free ring polymer in normal modes, PILE with
friction 2 λ ω_k on the internal modes, and on the centroids either a global stochastic velocity
rescaling (Bussi, Donadio, Parrinello 2007) or Langevin friction 1/τ; the order is OBABO. State is
kept in normal modes. Units are ASE's: eV, Å, amu, and times in Å (amu/eV)^½.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ase import units
from torch import Tensor

HBAR = units._hbar / units._e * 1e15 * units.fs  # eV times ASE's unit of time

Forces = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Positions (n, n_atoms, 3) to energies (n,) and forces (n, n_atoms, 3)."""


@dataclass(frozen=True)
class Bath:
    """Thermostat and time step.

    Attributes
    ----------
    temperature : K
    timestep : fs
    tau : of the centroids, fs
    scale : λ of PILE; 0: the internal modes are free
    local : Langevin friction on each centroid instead of one rescaling of all
    """

    temperature: float = 300.0
    timestep: float = 0.25
    tau: float = 1000.0
    scale: float = 0.5
    local: bool = False


class RingPolymers:
    """Replicas of a system, each a ring polymer.

    Parameters
    ----------
    positions : (n_replicas, n_beads, n_atoms, 3), Å
    masses : (n_atoms,), amu
    forces : of n_replicas times n_beads copies, replica by replica
    bath : see :class:`Bath`
    device : of torch
    seed : of the device's random numbers

    Attributes
    ----------
    q, p : positions and momenta of the normal modes, shaped like ``positions``
    heat : (n_replicas,), energy that the thermostats took, eV, of the ring polymer
    """

    def __init__(
        self,
        positions: np.ndarray,
        masses: np.ndarray,
        forces: Forces,
        bath: Bath,
        device: str,
        seed: int,
    ) -> None:
        double: dict[str, Any] = {"dtype": torch.float64, "device": device}
        self.forces, self.bath = forces, bath
        torch.manual_seed(seed)
        n_replicas, n_beads, n_atoms = positions.shape[:3]
        self.modes = torch.as_tensor(normal_modes(n_beads), **double)
        self.mass = torch.as_tensor(masses, **double)[:, None]
        self.kt = n_beads * units.kB * bath.temperature
        k = np.arange(n_beads)
        self.omega = 2 * self.kt / HBAR * np.sin(k * math.pi / n_beads)
        self.freedom = 3 * n_atoms - 3
        self.q = self._to_modes(torch.as_tensor(positions, **double))
        self.p = torch.randn(positions.shape, **double) * (self.mass * self.kt).sqrt()
        self._rest()
        self.energy = torch.zeros(n_replicas, n_beads, **double)
        self.f = torch.zeros_like(self.q)
        self.heat = torch.zeros(n_replicas, **double)
        self._tables(double)
        self._evaluate()

    def _tables(self, double: dict[str, Any]) -> None:
        """What a step multiplies by, one number a mode."""
        dt, omega = self.bath.timestep * units.fs, self.omega
        slow = np.where(omega > 0, omega, 1.0)
        friction = 2 * self.bath.scale * omega
        friction[0] = 1 / (self.bath.tau * units.fs) if self.bath.local else 0.0

        def column(values: np.ndarray) -> Tensor:
            return torch.as_tensor(values, **double)[:, None, None]

        self.dt = dt
        self.cos = column(np.cos(omega * dt))
        self.push = column(np.where(omega > 0, np.sin(omega * dt) / slow, dt))
        self.pull = column(omega * np.sin(omega * dt))
        self.damp = column(np.exp(-0.5 * dt * friction))
        self.kick = column(np.sqrt(-np.expm1(-dt * friction) * self.kt))
        self.keep = math.exp(-0.5 * dt / (self.bath.tau * units.fs))

    def step(self) -> None:
        """One time step, in place."""
        self._thermostat()
        self.p += 0.5 * self.dt * self.f
        q = self.cos * self.q + self.push * self.p / self.mass
        self.p.copy_(self.cos * self.p - self.pull * self.mass * self.q)
        self.q.copy_(q)
        self._evaluate()
        self.p += 0.5 * self.dt * self.f
        self._thermostat()

    def captured(self) -> Callable[[], None]:
        """A step as a CUDA graph."""
        kept = [t.clone() for t in (self.q, self.p, self.f, self.energy, self.heat)]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(5):
                self.step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.step()
        for tensor, value in zip(
            (self.q, self.p, self.f, self.energy, self.heat), kept, strict=True
        ):
            tensor.copy_(value)
        return graph.replay

    def beads(self) -> tuple[Tensor, Tensor]:
        """Positions, Å, and velocities, Å/fs, of all beads."""
        q, p = (torch.einsum("kj,rkna->rjna", self.modes, t) for t in (self.q, self.p))
        return q, p / self.mass * units.fs

    def observed(self) -> dict[str, Tensor]:
        """Of each replica: temperature, K, and energies of the system, eV, as i-PI gives them.

        ``kinetic`` is the centroid-virial estimator; ``conserved`` is that of the ring polymer
        with what the thermostats took, divided by the number of beads.
        """
        n_beads = len(self.omega)
        kinetic = (self.p.square() / (2 * self.mass)).sum(dim=(1, 2, 3))
        stiff = torch.as_tensor(self.omega**2, dtype=self.q.dtype, device=self.q.device)
        springs = 0.5 * (stiff[:, None, None] * self.mass * self.q.square()).sum(dim=(1, 2, 3))
        freedom = self.freedom + (n_beads - 1) * 3 * len(self.mass)
        virial = -0.5 * (self.q[:, 1:] * self.f[:, 1:]).sum(dim=(1, 2, 3)) / n_beads
        total = kinetic + springs + self.energy.sum(dim=1) + self.heat
        return {
            "temperature": 2 * kinetic / (freedom * units.kB * n_beads),
            "potential": self.energy.mean(dim=1),
            "kinetic": 0.5 * self.freedom * self.kt / n_beads + virial,
            "conserved": total / n_beads,
        }

    def state(self) -> dict[str, Tensor]:
        """All that a later process needs to resume."""
        cuda = self.q.device.type == "cuda"
        random = torch.cuda.get_rng_state(self.q.device) if cuda else torch.get_rng_state()
        return {"q": self.q, "p": self.p, "heat": self.heat, "random": random}

    def resume(self, state: dict[str, Tensor]) -> None:
        """Resume from what :meth:`state` gave, on another kind of device too.

        Random numbers continue where they were; on another kind of device, whose generator has
        another state, a new sequence begins that depends on the old one's state only.
        """
        for name in ("q", "p", "heat"):
            getattr(self, name).copy_(state[name])
        device, random = self.q.device, state["random"].cpu()
        cuda = device.type == "cuda"
        own = torch.cuda.get_rng_state(device) if cuda else torch.get_rng_state()
        if len(own) != len(random):
            torch.manual_seed(zlib.crc32(random.numpy().tobytes()))
        elif cuda:
            torch.cuda.set_rng_state(random, device)
        else:
            torch.set_rng_state(random)
        self._evaluate()

    def _to_modes(self, beads: Tensor) -> Tensor:
        return torch.einsum("kj,rjna->rkna", self.modes, beads)

    def _evaluate(self) -> None:
        q = torch.einsum("kj,rkna->rjna", self.modes, self.q)
        energy, forces = self.forces(q.reshape(-1, *q.shape[2:]))
        self.energy.copy_(energy.view_as(self.energy))
        self.f.copy_(self._to_modes(forces.view_as(q)))

    def _rest(self) -> None:
        """The centroids' centre of mass rests."""
        centroid = self.p[:, 0]
        self.p[:, 0] = centroid - self.mass * centroid.sum(dim=1, keepdim=True) / self.mass.sum()

    def _kinetic(self) -> Tensor:
        return (self.p.square() / (2 * self.mass)).sum(dim=(1, 2, 3))

    def _thermostat(self) -> None:
        """Half a step of all baths."""
        if self.bath.scale == 0.0 and not self.bath.local and not math.isfinite(self.bath.tau):
            return
        before = self._kinetic()
        noise = torch.randn_like(self.p)
        self.p.copy_(self.damp * self.p + self.kick * self.mass.sqrt() * noise)
        if self.bath.local:
            self._rest()
        elif math.isfinite(self.bath.tau):
            self._rescale()
        self.heat += before - self._kinetic()

    def _rescale(self) -> None:
        """Stochastic rescaling of each replica's centroids."""
        centroid = self.p[:, 0]
        kinetic = (centroid.square() / (2 * self.mass)).sum(dim=(1, 2))
        normal = torch.randn(len(kinetic), self.freedom, dtype=self.p.dtype, device=self.p.device)
        share = (1 - self.keep) * 0.5 * self.kt / kinetic
        first = normal[:, 0]
        square = (
            self.keep + share * normal.square().sum(dim=1) + 2 * first * (self.keep * share).sqrt()
        )
        self.p[:, 0] = centroid * square.sqrt()[:, None, None]


def normal_modes(n_beads: int) -> np.ndarray:
    """Orthogonal matrix (mode, bead) that makes the springs of a ring independent."""
    j = np.arange(n_beads)
    rows = [np.full(n_beads, math.sqrt(1 / n_beads))]
    for k in range(1, n_beads):
        angle = 2 * math.pi * k * j / n_beads
        if 2 * k == n_beads:
            rows.append(math.sqrt(1 / n_beads) * np.cos(angle))
        else:
            wave = np.cos(angle) if 2 * k < n_beads else np.sin(angle)
            rows.append(math.sqrt(2 / n_beads) * wave)
    return np.array(rows)
