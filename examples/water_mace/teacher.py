"""The teacher: labels frames with a committee potential in n2p2's format, run by CP2K.

    python teacher.py choose --frames beads.npz --config pimd-32beads --n 180 --out CHOSEN.extxyz
    python teacher.py label  --committee DIR --frames FRAMES.extxyz --out LABELLED.extxyz
    python teacher.py check  --committee DIR --frames LABELLED.extxyz

``choose`` takes configurations that ``examples/water_gpu/run.py frames`` kept: one half evenly over
the run, the other where the students disagree most; of those that ``run.py dynamics --keep`` kept,
whose disagreement is not known, all evenly. ``config`` has ``-evenly`` or ``-disagreed`` after the
name. Each member of the committee is a subdirectory of DIR with ``input.nn``,
``scaling.data`` and ``weights.*.data``. CP2K (Debian: ``apt-get install cp2k``) takes one scaling
file for all of them and gives the mean. Labelling resumes where it was stopped: frames that
LABELLED.extxyz already has are counted off. All frames have the same atoms in the same order.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.calculators.singlepoint import SinglePointCalculator
from ase.calculators.socketio import SocketIOCalculator

INPUT = """&GLOBAL
  PROJECT teacher
  RUN_TYPE DRIVER
  PRINT_LEVEL SILENT
&END GLOBAL
&MOTION
  &DRIVER
    UNIX
    HOST {name}
  &END DRIVER
&END MOTION
&FORCE_EVAL
  METHOD NNP
  &NNP
    NNP_INPUT_FILE_NAME {first}/input.nn
    SCALE_FILE_NAME {first}/scaling.data
{members}
  &END NNP
  &SUBSYS
    &CELL
{cell}
    &END CELL
    &COORD
{coordinates}
    &END COORD
  &END SUBSYS
&END FORCE_EVAL
"""


@contextmanager
def teacher(committee: str | Path, atoms: Atoms) -> Iterator[Calculator]:
    """The committee's mean as an ASE calculator for these atoms, in this cell."""
    members = sorted(path.parent for path in Path(committee).resolve().glob("*/input.nn"))
    if not members:
        raise SystemExit(f"{committee}: found no subdirectory with input.nn")
    name = f"teacher_{os.getpid()}"
    text = INPUT.format(
        name=name,
        first=members[0],
        members="\n".join(
            f"    &MODEL\n      WEIGHTS {m}/weights\n    &END MODEL" for m in members
        ),
        cell=_lines(zip("ABC", atoms.cell.array, strict=True)),
        coordinates=_lines(zip(atoms.get_chemical_symbols(), atoms.positions, strict=True)),
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder, SocketIOCalculator(unixsocket=name) as server:
        Path(folder, "cp2k.inp").write_text(text)
        client = subprocess.Popen(
            ["cp2k", "-i", "cp2k.inp", "-o", "cp2k.out"],
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        try:
            yield server
        finally:
            server.close()
            client.wait(60)


def _lines(rows: Iterator[tuple[str, np.ndarray]]) -> str:
    return "\n".join(f"      {name} {x:.10f} {y:.10f} {z:.10f}" for name, (x, y, z) in rows)


def choose(options: argparse.Namespace) -> None:
    """Configurations worth a label."""
    kept = np.load(options.frames)
    positions = kept["positions"]
    n_copies = positions.shape[1]
    positions = positions.reshape(-1, *positions.shape[2:])
    spread = np.full(len(positions), np.nan)
    n_even = min(options.n, len(positions))
    if "spread" in kept:
        spread, n_even = kept["spread"].ravel(), (options.n + 1) // 2
    # times and copies advance together, so that neither is left out
    times = np.arange(n_even) * (len(positions) // n_copies) // n_even
    even = np.unique(times * n_copies + (7 * np.arange(n_even)) % n_copies)
    worst = [k for k in np.argsort(-spread) if k not in set(even)][: options.n - n_even]
    frames = []
    for kind, chosen in (("evenly", even), ("disagreed", sorted(worst))):
        for k in chosen:
            atoms = Atoms(kept["numbers"], positions[k].astype(float), cell=kept["cell"], pbc=True)
            atoms.info["config"] = f"{options.config}-{kind}"
            frames.append(atoms)
    ase.io.write(options.out, frames, format="extxyz")
    print(
        f"{options.out}: {len(even)} evenly (disagreement {spread[even].mean():.4f} eV/Å), "
        f"{len(worst)} where it is largest ({spread[worst].mean():.4f} eV/Å)"
    )


def label(options: argparse.Namespace) -> None:
    """Energies and forces of all frames, written one by one."""
    frames = ase.io.read(options.frames, ":")
    done = len(ase.io.read(options.out, ":")) if Path(options.out).exists() else 0
    began = time.perf_counter()
    with teacher(options.committee, frames[0]) as calculator:
        for frame in frames[done:]:
            labelled = _labelled(frame, calculator)
            ase.io.write(options.out, labelled, format="extxyz", append=True)
    seconds = (time.perf_counter() - began) / max(len(frames) - done, 1)
    print(f"{options.out}: {len(frames)} frames, {done} of them before, {seconds:.2f} s a frame")


def check(options: argparse.Namespace) -> None:
    """Differences from labels that are there."""
    frames = ase.io.read(options.frames, ":")
    with teacher(options.committee, frames[0]) as calculator:
        again = [_labelled(frame, calculator) for frame in frames]
    df = np.stack([a.get_forces() - f.get_forces() for a, f in zip(again, frames, strict=True)])
    de = np.array(
        [
            a.get_potential_energy() - f.get_potential_energy()
            for a, f in zip(again, frames, strict=True)
        ]
    )
    print(
        f"{len(frames)} frames: forces differ by at most {np.abs(df).max():.2e} eV/Å, energies by "
        f"{np.abs(de).max():.2e} eV"
    )


def _labelled(frame: Atoms, calculator: Calculator) -> Atoms:
    atoms = frame.copy()
    atoms.calc = calculator
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
    return atoms


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = {"choose": choose, "label": label, "check": check}
    parser.add_argument("command", choices=commands)
    parser.add_argument("--committee", help="directory of the members")
    parser.add_argument("--frames", required=True, help="of the same atoms; npz of choose")
    parser.add_argument("--out", help="extxyz of choose and label")
    parser.add_argument("--config", default="", help="name of what choose takes")
    parser.add_argument("--n", type=int, default=100, help="how many choose takes")
    options = parser.parse_args()
    commands[options.command](options)


if __name__ == "__main__":
    main()
