"""Runs of the analytic molecules, streamed while they ran and stored in files of many formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.md.verlet import VelocityVerlet

from aptnn_md.engines.ase.observer import StreamObserver
from aptnn_md.engines.trajectory.opening import open_trajectory
from aptnn_md.engines.trajectory.settings import TrajectoryFiles, TrajectorySettings
from aptnn_md.engines.trajectory.trajectory_stream import stream_trajectory
from aptnn_md.prediction.loading import as_model
from aptnn_md.stream import StreamReader
from helpers import toy_molecules as toy

TIMESTEP = 0.5


@dataclass
class StoredRun:
    """A run of constant energy: its frames, and the stream that was written beside it.

    Attributes
    ----------
    atoms : at the start
    stride : steps between frames
    positions, velocities : (n, n_atoms, 3), Å and Å/fs
    stream : written by an observer of ASE
    """

    atoms: Atoms
    stride: int
    positions: np.ndarray
    velocities: np.ndarray
    stream: StreamReader

    @property
    def steps(self) -> range:
        """Of the frames."""
        return range(0, self.stride * len(self.positions), self.stride)

    def frames(self, velocities: bool = True) -> list[Atoms]:
        """Frames as structures."""
        found = []
        for q, v in zip(self.positions, self.velocities, strict=True):
            atoms = self.atoms.copy()
            atoms.positions = q
            if velocities:
                atoms.set_velocities(v / units.fs)
            elif atoms.has("momenta"):
                del atoms.arrays["momenta"]
            found.append(atoms)
        return found


def run(path: Path, n_frames: int = 30, stride: int = 1, seed: int = 3, n_molecules: int = 2):
    """A run and its stream."""
    atoms = toy.structure(n_molecules, seed=seed, pbc=True)
    start = atoms.copy()
    atoms.calc = toy.Potential()
    dynamics = VelocityVerlet(atoms, toy.timestep(TIMESTEP))
    positions, velocities = [], []

    def remember():
        positions.append(atoms.positions.copy())
        velocities.append(atoms.get_velocities() * units.fs)

    with StreamObserver(
        dynamics, path, toy.Tensors(), stride=stride, groups="molecule"
    ) as observer:
        dynamics.attach(observer, interval=stride)
        dynamics.attach(remember, interval=stride)
        dynamics.run(stride * (n_frames - 1))
    moved = np.array(positions), np.array(velocities)
    return StoredRun(start, stride, *moved, StreamReader(path))


def stream_of(path: Path, files: Sequence[Path], model=None, workers=None, **options):
    """The stream of a trajectory; options of both settings."""
    names = set(TrajectoryFiles.__dataclass_fields__)
    of_files = {name: options.pop(name) for name in list(options) if name in names}
    options = {"timestep": TIMESTEP, "groups": "molecule", **options}
    made = as_model(toy.Tensors() if model is None else model)
    with open_trajectory(TrajectoryFiles(tuple(files), **of_files)) as frames:
        stream_trajectory(frames, made, TrajectorySettings(path, **options), workers)
    return StreamReader(path)


# ---------------------------------------------------------------------- formats


def write_dump(path: Path, stored: StoredRun, columns: str = "x y z vx vy vz", **options) -> None:
    """A LAMMPS dump in metal units, atoms in another order in each frame.

    ``shift``: of the origin; ``wrapped``: positions folded into the cell.
    """
    rng = np.random.default_rng(1)
    turn, cell = lammps_cell(stored.atoms.cell.array)
    origin = np.array(options.get("origin", (0.0, 0.0, 0.0)))
    lines = []
    for step, q, v in zip(stored.steps, stored.positions, stored.velocities, strict=True):
        fractions = q @ np.linalg.inv(stored.atoms.cell.array)
        if options.get("wrapped"):
            fractions = fractions % 1.0
        known = {
            "x": fractions @ cell + origin,
            "xs": fractions,
            "v": v @ turn * 1e3,
        }
        known |= {"xu": known["x"], "xsu": fractions}
        lines += [f"ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n{len(q)}"]
        lines += [box_lines(cell, origin)]
        lines += [f"ITEM: ATOMS id element {columns}"]
        for k in rng.permutation(len(q)):
            numbers = [known[_base(name)][k]["xyz".index(_axis(name))] for name in columns.split()]
            text = " ".join(f"{number:.15g}" for number in numbers)
            lines.append(f"{k + 1} {stored.atoms.symbols[k]} {text}")
    path.write_text("\n".join(lines) + "\n")


def _base(name: str) -> str:
    return "v" if name[0] == "v" else "x" + name[1:]


def _axis(name: str) -> str:
    return name[1] if name[0] == "v" else name[0]


def box_lines(cell, origin) -> str:
    """Bounds of a triclinic box as LAMMPS writes them."""
    (xx, _, _), (xy, yy, _), (xz, yz, zz) = cell
    low = np.array(origin) + np.array([min(0.0, xy, xz, xy + xz), min(0.0, yz), 0.0])
    high = np.array(origin) + np.array([xx, yy, zz])
    high = high + np.array([max(0.0, xy, xz, xy + xz), max(0.0, yz), 0.0])
    columns = zip(low.tolist(), high.tolist(), map(float, (xy, xz, yz)), strict=True)
    rows = [f"{a!r} {b!r} {c!r}" for a, b, c in columns]
    return "\n".join(["ITEM: BOX BOUNDS xy xz yz pp pp pp", *rows])


def lammps_cell(cell):
    """Rotation, and the cell that is a lower triangle with it: vectors @ rotation are LAMMPS'."""
    q, r = np.linalg.qr(cell.T)
    signs = np.sign(np.diag(r))
    return q * signs, (r.T * signs)


def ipi_text(stored_steps, bead, values, atoms, quantity="positions", unit="angstrom", digits=12):
    """A file of i-PI of one bead."""
    a, b, c, alpha, beta, gamma = atoms.cell.cellpar()
    lines = []
    for step, rows in zip(stored_steps, values, strict=True):
        lines.append(f"{len(rows)}")
        sides = f"{a:10.5f} {b:10.5f} {c:10.5f} {alpha:10.5f} {beta:10.5f} {gamma:10.5f}"
        head = f"# CELL(abcABC): {sides} Step: {step:10d} Bead: {bead:7d}"
        lines.append(f"{head} {quantity}{{{unit}}} cell{{angstrom}}")
        for symbol, (x, y, z) in zip(atoms.symbols, rows, strict=True):
            lines.append(f"{symbol:>8} {x:.{digits}e} {y:.{digits}e} {z:.{digits}e}")
    return "\n".join(lines) + "\n"
