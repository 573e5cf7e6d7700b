"""Does water-mace hold? Errors, energy conservation, long runs and structure.

    python validate.py forces --data DATA [--json errors.json]
    python validate.py nve    [--ps 2] [--dtype float64]
    python validate.py nvt    --data DATA [--ps 20] [--temperature 330] --out nvt
    python validate.py pimd   --data DATA [--ps 2]  --out pimd       (runs i-PI)
    python validate.py rdf    --data DATA --nvt nvt --pimd pimd --plot rdf.png
    python validate.py teacher --frames LABELLED.extxyz    (frames of the student)
    python validate.py student --data DATA                 (frames of the teacher)
    python validate.py box    --nvt nvt --out water64.extxyz

``teacher`` compares g(O-O) at the same temperature without a run of the teacher: classical frames
that the student sampled evenly (``teacher.py choose`` and ``label``) get the weights that they have
in the teacher's ensemble. ``student`` does the same the other way round: the teacher's classical
frames, and its ring polymers, get the weights that they have in the student's. nvt and pimd resume
where they were stopped. DATA holds train.extxyz and test.extxyz; each frame has ``config=`` with
the run it is from.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms, units
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary
from ase.md.verlet import VelocityVerlet

import aptnn_md
from aptnn_md.atoms.neighbours import neighbour_pairs
from aptnn_md.potentials.loading import load_potential
from aptnn_md.progress import Progress

TIMESTEP = 0.5  # fs
PIMD_TIMESTEP = 0.25  # fs; at 0.5 fs PILE does steady work on OH bonds
TEMPERATURE = 300.0  # K
FRAME_EVERY = 20  # steps
SAVE_EVERY = 400  # steps
BOX = Path(aptnn_md.__file__).parent / "bundled" / "water64.extxyz"
CLASSICAL, PATH_INTEGRAL = "classical-330K", "pimd-300K-8beads"
BEADS = 8
BLOCK = 10  # consecutive frames that are drawn together for errors


def forces(options: argparse.Namespace) -> None:
    """Force RMSE and energy RMSE (mean of each class taken out) on the test frames."""
    calculator = load_potential(options.model, dtype=options.dtype)
    paths = [options.frames] if options.frames else [Path(options.data) / "test.extxyz"]
    frames = [frame for path in paths for frame in ase.io.read(path, ":")]
    errors: dict[str, Any] = {}
    for kind in sorted({frame.info["config"] for frame in frames}):
        chosen = [frame for frame in frames if frame.info["config"] == kind]
        results = calculator.evaluate(chosen)
        df = np.stack([r["forces"] - f.get_forces() for r, f in zip(results, chosen, strict=True)])
        f = np.stack([frame.get_forces() for frame in chosen])
        de = np.array(
            [r["energy"] - f.get_potential_energy() for r, f in zip(results, chosen, strict=True)]
        )
        errors[kind] = {
            "frames": len(chosen),
            "force_rmse_eV_per_A": round(float(np.sqrt(np.mean(df**2))), 4),
            "force_mae_eV_per_A": round(float(np.mean(np.abs(df))), 4),
            "force_rms_eV_per_A": round(float(np.sqrt(np.mean(f**2))), 4),
            "energy_rmse_shifted_meV_per_atom": round(float(1e3 * de.std() / len(chosen[0])), 4),
            "energy_mean_error_meV_per_atom": round(float(1e3 * de.mean() / len(chosen[0])), 4),
        }
        print(kind, json.dumps(errors[kind]))
    if options.json:
        Path(options.json).write_text(json.dumps(errors, indent=1) + "\n")


def nve(options: argparse.Namespace) -> None:
    """Drift of the total energy in a microcanonical run from the bundled box."""
    atoms: Atoms = ase.io.read(BOX)
    atoms.calc = load_potential(options.model, dtype=options.dtype)
    dynamics = VelocityVerlet(atoms, TIMESTEP * units.fs)
    energies: list[float] = []
    dynamics.attach(lambda: energies.append(atoms.get_total_energy()), interval=1)
    began = time.perf_counter()
    dynamics.run(round(options.ps * 1000 / TIMESTEP))
    seconds = time.perf_counter() - began
    t = np.arange(len(energies)) * TIMESTEP * 1e-3
    e = 1e3 * (np.array(energies) - energies[0]) / len(atoms)
    slope, offset = np.polyfit(t, e, 1)
    print(
        f"NVE {options.dtype} {options.ps} ps, {TIMESTEP} fs: drift {slope:+.5f} meV/atom/ps, "
        f"rms about the line {np.std(e - slope * t - offset):.5f} meV/atom, temperature at the end "
        f"{atoms.get_temperature():.0f} K, {1e3 * seconds / (len(e) - 1):.1f} ms a step"
    )


def nvt(options: argparse.Namespace) -> None:
    """Langevin dynamics; frames and state are kept in a folder."""
    out = Path(options.out)
    out.mkdir(exist_ok=True)
    atoms, state, rng = _start(options), out / "state.json", _rng(3)
    step, log = 0, []
    if state.exists():
        saved = json.loads(state.read_text())
        step, log = saved["step"], saved["log"]
        atoms.set_positions(saved["positions"])
        atoms.set_momenta(saved["momenta"])
        rng.bit_generator.state = saved["rng"]
    n_frames = step // FRAME_EVERY
    with open(out / "frames.bin", "ab") as file:
        file.truncate(n_frames * len(atoms) * 3 * 4)
    atoms.calc = load_potential(options.model, dtype=options.dtype)
    n_steps = round(options.ps * 1000 / TIMESTEP)
    with Progress(n_steps, "NVT", every=60.0) as progress:
        progress.update(step)
        while step < n_steps:
            dynamics = Langevin(
                atoms,
                TIMESTEP * units.fs,
                temperature_K=options.temperature,
                friction=0.01 / units.fs,
                rng=rng,
            )
            frames: list[bytes] = []
            for _ in range(SAVE_EVERY // FRAME_EVERY):
                dynamics.run(FRAME_EVERY)
                frames.append(atoms.positions.astype("<f4").tobytes())
            step += SAVE_EVERY
            log.append(_log(atoms, step))
            with open(out / "frames.bin", "ab") as file:
                file.write(b"".join(frames))
            _save(state, atoms, step, log, rng)
            progress.update(SAVE_EVERY, f"{log[-1][2]:.0f} K, longest O-H {log[-1][3]:.2f} Å")
    table = np.array(log)
    late = table[len(table) // 4 :]
    energy = 1e3 * (late[:, 1] - table[0, 1]) / len(atoms)
    print(
        f"NVT {step * TIMESTEP * 1e-3:g} ps at {options.temperature:g} K, last three quarters: "
        f"temperature {late[:, 2].mean():.1f} K, potential energy {energy.mean():+.2f} ± "
        f"{energy.std():.2f} meV/atom from that of the first check, slope "
        f"{np.polyfit(late[:, 0] * TIMESTEP * 1e-3, energy, 1)[0]:+.3f} meV/atom/ps; longest O-H "
        f"bond at any check {table[:, 3].max():.3f} Å, {_molecules(atoms)}"
    )


def pimd(options: argparse.Namespace) -> None:
    """8-bead path-integral dynamics at 300 K in i-PI, PILE-G, through ffdirect."""
    out = Path(options.out)
    out.mkdir(exist_ok=True)
    atoms = _start(options)
    ase.io.write(out / "start.xyz", atoms)
    here = Path(__file__).resolve().parent
    n_steps = round(options.ps * 1000 / PIMD_TIMESTEP)
    text = (here / "pimd.xml").read_text()
    for name, value in {
        "@STEPS@": n_steps,
        "@TIMESTEP@": PIMD_TIMESTEP,
        "@TEMPERATURE@": TEMPERATURE,
        "@PES@": here.parent.parent / "drivers" / "aptnn_md_potential.py",
        "@MODEL@": Path(options.model).resolve()
        if Path(options.model).is_file()
        else options.model,
    }.items():
        text = text.replace(name, str(value))
    (out / "input.xml").write_text(text)
    saved = [file for file in (out / "RESTART", out / "pimd.checkpoint") if file.exists()]
    source = max(saved, key=lambda file: file.stat().st_mtime).name if saved else "input.xml"
    command = [str(Path(sys.executable).parent / "i-pi"), source]
    with open(out / "log", "a") as log:
        subprocess.run(command, cwd=out, check=True, stdout=log, stderr=subprocess.STDOUT)
    data = np.loadtxt(out / "pimd.out")
    late = data[len(data) // 4 :]
    print(
        f"PIMD {data[-1, 1]:.3f} ps, {len(data)} records: bead temperature "
        f"{late[:, 2].mean():.1f} ± {late[:, 2].std():.1f} K, kinetic energy (centroid virial) "
        f"{1e3 * late[:, 4].mean() / len(atoms):.1f} meV/atom, conserved quantity drift "
        f"{1e3 * np.polyfit(late[:, 1], late[:, 5], 1)[0] / len(atoms):+.3f} meV/atom/ps"
    )
    positions = _bead_positions(out)
    for name, frame in (("first", positions[0]), ("last", positions[-1])):
        beads = atoms.copy()
        worst = 0.0
        for bead in frame:
            beads.positions = bead
            worst = max(worst, float(_bonds(beads).max()))
        print(f"{name} frame: longest O-H bond of any bead {worst:.3f} Å, {_molecules(beads)}")


def rdf(options: argparse.Namespace) -> None:
    """Radial distribution functions and the teacher's, which are from its frames."""
    frames = [
        frame
        for name in ("train.extxyz", "test.extxyz")
        for frame in ase.io.read(Path(options.data) / name, ":")
    ]
    template = frames[0].copy()
    ours = {
        "classical": _nvt_positions(Path(options.nvt), len(template)),
        "path integral": _bead_positions(Path(options.pimd)).reshape(-1, len(template), 3)
        if options.pimd
        else None,
    }
    teacher = {
        "classical": np.stack([f.positions for f in frames if f.info["config"] == CLASSICAL]),
        "path integral": np.stack(
            [f.positions for f in frames if f.info["config"] == PATH_INTEGRAL]
        ),
    }
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(11, 6), layout="constrained", sharex="col")
    for row, kind in enumerate(ours):
        for column, (a, b) in enumerate(((8, 8), (8, 1), (1, 1))):
            axis = axes[row, column]
            r, g_teacher = _radial_distribution(template, teacher[kind], a, b)
            axis.plot(
                r, g_teacher, "k", lw=1, label=f"teacher ({len(teacher[kind])} configurations)"
            )
            axis.set(title=f"{kind}: g {_symbol(a)}{_symbol(b)}", xlim=(0.8, 6), ylim=(0, 4))
            positions = ours[kind]
            if positions is None:
                continue
            g = _radial_distribution(template, positions, a, b)[1]
            axis.plot(r, g, "C3--", lw=1, label=f"water-mace ({len(positions)} configurations)")
            print(f"{kind} g_{_symbol(a)}{_symbol(b)}: {_compared(r, g, g_teacher, a, b)}")
    axes[0, 0].legend(fontsize="small")
    for axis in axes[1]:
        axis.set_xlabel("r / Å")
    figure.savefig(options.plot, dpi=110)


def teacher(options: argparse.Namespace) -> None:
    """g(O-O) of the student and, by the teacher's energies of the same frames, of the teacher."""
    frames = [f for f in ase.io.read(options.frames, ":") if "disagreed" not in f.info["config"]]
    frames.sort(key=lambda frame: frame.info["config"])
    change = -_above_the_teacher(frames, options)
    _print_weighed(
        f"{len(frames)} frames of the student, {options.temperature:g} K",
        ("student", "teacher"),
        _each_goo(frames),
        change / (units.kB * options.temperature),
    )


def student(options: argparse.Namespace) -> None:
    """g(O-O) of the teacher's frames and, by the student's energies of them, of the student.

    Neither energies nor forces are closer to the teacher's on frames of the training than on those
    of the test, so both are taken. Ring polymers count with the mean of their beads' energies.
    """
    parts = [ase.io.read(Path(options.data) / f"{name}.extxyz", ":") for name in ("train", "test")]
    for kind, kelvin, n_beads in ((CLASSICAL, 330.0, 1), (PATH_INTEGRAL, 300.0, BEADS)):
        g, change, n_frames = [], [], 0
        for part in parts:
            frames = [frame for frame in part if frame.info["config"] == kind]
            n_frames += len(frames)
            # one bead after the other, each with all times
            above = _above_the_teacher(frames, options).reshape(n_beads, -1)
            each = _each_goo(frames)
            change.append(above.mean(axis=0) / (units.kB * kelvin))
            g.append(each.reshape(n_beads, -1, each.shape[-1]).mean(axis=0))
        title = f"{kind}: {n_frames} frames of the teacher, {kelvin:g} K"
        _print_weighed(title, ("teacher", "student"), np.concatenate(g), np.concatenate(change))


def _above_the_teacher(frames: list[Atoms], options: argparse.Namespace) -> np.ndarray:
    """Energies of the student less those of the labels, eV."""
    calculator = load_potential(options.model, dtype=options.dtype)
    ours = np.array([each["energy"] for each in calculator.evaluate(frames)])
    return ours - np.array([frame.get_potential_energy() for frame in frames])


def _each_goo(frames: list[Atoms]) -> np.ndarray:
    """g(O-O) of each frame."""
    return np.array([_radial_distribution(f, f.positions[None], 8, 8)[1] for f in frames])


def _print_weighed(title: str, who: tuple[str, str], g: np.ndarray, change: np.ndarray) -> None:
    """Height of the first maximum in the ensemble of the frames and in another one.

    ``change`` is the energy of the other one less that of the frames', in kT. Errors are from
    blocks of consecutive frames, drawn again and again.
    """
    change = change - change.mean()
    rng, found = _rng(2), []
    blocks = np.array_split(np.arange(len(g)), max(len(g) // BLOCK, min(len(g), 6)))
    for copy in range(401):
        drawn = rng.integers(len(blocks), size=len(blocks))
        n = np.arange(len(g)) if copy == 0 else np.concatenate([blocks[k] for k in drawn])
        moved = change[n] - change[n].mean()
        weights = (None, np.exp(-moved), 1.0 - moved)
        found.append([_height(np.average(g[n], axis=0, weights=w)) for w in weights])
    heights = np.array(found)
    value, error = heights[0], heights[1:].std(axis=0)
    ratios = heights[:, 1:] / heights[:, :1]
    ratio, spread = ratios[0], ratios[1:].std(axis=0)
    weight = np.exp(-change)
    print(
        f"{title}: energies differ by {change.std():.2f} kT; of {len(g)} frames the weights leave "
        f"{weight.sum() ** 2 / (weight**2).sum():.0f}\n"
        f"height of the maximum of g(O-O): {who[0]} {value[0]:.2f} ± {error[0]:.2f}; {who[1]} over "
        f"{who[0]} {ratio[1]:.3f} ± {spread[1]:.3f} to first order, {ratio[0]:.3f} ± "
        f"{spread[0]:.3f} by weights"
    )


def _height(g: np.ndarray) -> float:
    """Of the first maximum of g(O-O) in bins of 0.05 Å, smoothed by a Gaussian of that width."""
    kernel = np.exp(-0.5 * np.arange(-4, 5) ** 2)
    return float(np.convolve(g, kernel / kernel.sum(), mode="same").max())


def _compared(r: np.ndarray, g: np.ndarray, teacher: np.ndarray, a: int, b: int) -> str:
    """Bond and intermolecular parts: height and place of the maximum, rms difference."""
    outer = r > (2.0 if a == b else 1.35)
    parts = []
    for title, part in (("bond", ~outer), ("between molecules", outer)):
        if g[part].max() > 0.05 or teacher[part].max() > 0.05:
            maxima = [
                f"{c[part].max():.2f} at {r[part][c[part].argmax()]:.2f} Å" for c in (g, teacher)
            ]
            rms = np.sqrt(np.mean((g - teacher)[part] ** 2))
            parts.append(
                f"{title}: maximum {maxima[0]} (teacher {maxima[1]}), rms difference {rms:.3f}"
            )
    return "; ".join(parts)


def box(options: argparse.Namespace) -> None:
    """Write the state of the NVT run as a start for other runs, with momenta."""
    saved = json.loads((Path(options.nvt) / "state.json").read_text())
    atoms = Atoms(
        numbers=saved["numbers"], positions=saved["positions"], cell=saved["cell"], pbc=True
    )
    atoms.set_momenta(saved["momenta"])
    # molecules together: i-PI, demo and eye like O H H
    oxygen = np.flatnonzero(atoms.numbers == 8)
    hydrogen = np.flatnonzero(atoms.numbers == 1)
    distances = atoms.get_all_distances(mic=True)[np.ix_(oxygen, hydrogen)]
    order = [
        i for o, d in zip(oxygen, distances, strict=True) for i in (o, *hydrogen[np.argsort(d)[:2]])
    ]
    if len(set(order)) != len(atoms):
        raise SystemExit("a hydrogen does not belong to one oxygen")
    atoms = atoms[order]
    Stationary(atoms)
    for o in range(0, len(atoms), 3):
        vectors = atoms.get_distances(o, [o + 1, o + 2], mic=True, vector=True)
        atoms.positions[o + 1 : o + 3] = atoms.positions[o] + vectors
    shift = np.floor(atoms.get_scaled_positions(wrap=False)[::3]).repeat(3, axis=0)
    atoms.positions -= shift @ atoms.cell.array
    atoms.info["origin"] = (
        f"64 H2O after {saved['step'] * TIMESTEP * 1e-3:g} ps of Langevin dynamics with the "
        f"bundled potential water-mace at {TEMPERATURE:g} K, time step {TIMESTEP} fs, density of "
        "its training data (examples/water_mace/validate.py nvt, box)"
    )
    ase.io.write(options.out, atoms, format="extxyz", columns=["symbols", "positions", "momenta"])
    back = ase.io.read(options.out)
    formula, temperature = back.get_chemical_formula(), back.get_temperature()
    print(f"{options.out}: {formula}, {temperature:.1f} K, {_molecules(back)}")


def _start(options: argparse.Namespace) -> Atoms:
    """The last classical training frame, with new momenta."""
    frames = ase.io.read(Path(options.data) / "train.extxyz", ":")
    atoms: Atoms = [frame for frame in frames if frame.info["config"] == CLASSICAL][-1].copy()
    MaxwellBoltzmannDistribution(atoms, temperature_K=options.temperature, rng=_rng(1))
    Stationary(atoms)
    return atoms


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def _log(atoms: Atoms, step: int) -> list[float]:
    return [
        step,
        atoms.get_potential_energy(),
        atoms.get_temperature(),
        float(_bonds(atoms).max()),
    ]


def _save(
    path: Path, atoms: Atoms, step: int, log: list[list[float]], rng: np.random.Generator
) -> None:
    state = {
        "step": step,
        "numbers": atoms.numbers.tolist(),
        "cell": atoms.cell.array.tolist(),
        "positions": atoms.positions.tolist(),
        "momenta": atoms.get_momenta().tolist(),
        "rng": rng.bit_generator.state,
        "log": log,
    }
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(state))
    os.replace(temporary, path)


def _bonds(atoms: Atoms) -> np.ndarray:
    """Distance of each hydrogen to its nearest oxygen, Å."""
    i, j, vectors = neighbour_pairs(atoms, 2.5)
    chosen = (atoms.numbers[i] == 1) & (atoms.numbers[j] == 8)
    nearest = np.full(len(atoms), np.inf)
    np.minimum.at(nearest, i[chosen], np.linalg.norm(vectors[chosen], axis=1))
    return nearest[atoms.numbers == 1]


def _molecules(atoms: Atoms) -> str:
    """How many oxygens have 0, 1, 2, 3 ... hydrogens nearest to them."""
    i, j, vectors = neighbour_pairs(atoms, 2.5)
    chosen = (atoms.numbers[i] == 1) & (atoms.numbers[j] == 8)
    i, j, d = i[chosen], j[chosen], np.linalg.norm(vectors[chosen], axis=1)
    owner = {}
    for n in np.argsort(-d):
        owner[i[n]] = j[n]
    counts = np.bincount(
        np.bincount(list(owner.values()), minlength=len(atoms))[atoms.numbers == 8]
    )
    return ", ".join(f"{n} O with {k} H" for k, n in enumerate(counts) if n)


def _radial_distribution(
    template: Atoms, positions: np.ndarray, a: int, b: int, r_max: float = 6.0, width: float = 0.05
) -> tuple[np.ndarray, np.ndarray]:
    edges = np.arange(0.0, r_max + width / 2, width)
    counts = np.zeros(len(edges) - 1)
    first, second = np.flatnonzero(template.numbers == a), np.flatnonzero(template.numbers == b)
    lengths = np.diag(template.cell.array)
    for frame in positions:
        d = frame[first][:, None] - frame[second][None]
        r = np.linalg.norm(d - lengths * np.rint(d / lengths), axis=2)
        counts += np.histogram(r[r > 0.1], bins=edges)[0]
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    n_pairs = len(first) * (len(second) - (a == b))
    ideal = n_pairs * shells / template.get_volume() * len(positions)
    return (edges[1:] + edges[:-1]) / 2, counts / ideal


def _nvt_positions(folder: Path, n_atoms: int) -> np.ndarray:
    frames = np.fromfile(folder / "frames.bin", "<f4").reshape(-1, n_atoms, 3).astype(float)
    return frames[len(frames) // 10 :]  # the first tenth settles


def _bead_positions(folder: Path) -> np.ndarray:
    """(frames, beads, atoms, 3), Å, after the first quarter: the run starts from one point."""
    files = sorted(folder.glob("pimd.pos_*.xyz"))
    beads = [
        np.stack([f.positions for f in ase.io.read(file, ":", format="xyz")]) for file in files
    ]
    shortest = min(len(b) for b in beads)
    positions = np.stack([b[:shortest] for b in beads], axis=1)
    return positions[shortest // 4 :]


def _symbol(z: int) -> str:
    return {1: "H", 8: "O"}[z]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands: dict[str, Callable[[argparse.Namespace], None]] = {
        f.__name__: f for f in (forces, nve, nvt, pimd, rdf, teacher, student, box)
    }
    parser.add_argument("command", choices=commands)
    parser.add_argument("--data", help="folder of the reference frames")
    parser.add_argument("--model", default="water-mace", help="as for load_potential")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--ps", type=float, default=2.0)
    parser.add_argument("--temperature", type=float, default=TEMPERATURE, help="of nvt, K")
    parser.add_argument("--out")
    parser.add_argument("--json")
    parser.add_argument("--frames", help="labelled frames of teacher, or of forces")
    parser.add_argument("--nvt")
    parser.add_argument("--pimd")
    parser.add_argument("--plot", default="rdf.png")
    options = parser.parse_args()
    commands[options.command](options)


if __name__ == "__main__":
    main()
