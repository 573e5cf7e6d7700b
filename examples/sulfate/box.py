"""SO₄²⁻ with 64 H₂O in a periodic box, moved by a force field in OpenMM.

    python box.py frames OUT.extxyz [--count 30] [--apart 1.0] [--seed 1]
    python box.py run STREAM --model MODEL.pt [--ps 20] [--seed 2]
    python box.py shell FRAMES.extxyz
    python box.py parts IR.csv RAMAN.csv

The first command writes frames, a time apart, ps; the second one runs with the stream of a model's
tensors; the third one prints where the water around the ion is, and the last one what ion and water
have of bands.

Water is flexible SPC. Of the ion, springs between its bonded atoms, their angles and its oxygens
give 521, 569, 990 and 1102 cm⁻¹, where 451, 613, 981 and 1104 are measured in water. Its charge is
made up for by a uniform background, as Ewald sums have it, so the box as OpenMM sees it is neutral;
the polar tensors add up to -2.
"""

from __future__ import annotations

import argparse
from itertools import combinations
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.geometry import get_distances
from openmm import (
    HarmonicAngleForce,
    HarmonicBondForce,
    LangevinMiddleIntegrator,
    LocalEnergyMinimizer,
    NonbondedForce,
    System,
)
from openmm.app import Element, Simulation, Topology

from aptnn_md import StreamReporter

N_WATER, EDGE, CHARGE = 64, 12.48, -2  # edge in Å: 30 Å³ for the ion beside the volume of water
SO, OH, HOH = 1.49, 1.012, np.radians(113.24)
KCAL = 4.184  # kJ
TEMPERATURE, FRICTION, TIMESTEP = 300.0, 1.0, 0.5e-3  # K, 1/ps, ps
EQUILIBRATION = 20.0  # ps
STRIDE = 4
IN_ION = ["sulfur", "oxygen", "sulfur x oxygen"]
GROUPS = "sulfur=index:0 oxygen=index:1-4 water=index:5-196"


def start(seed: int) -> Atoms:
    """The ion in the middle, waters at random places of a grid that are not too near to it."""
    random = np.random.default_rng(seed)
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3.0)
    atoms = Atoms("SO4", [[0, 0, 0], *(SO * corners)], cell=[EDGE] * 3, pbc=True)
    atoms.info["charge"] = CHARGE
    places = EDGE / 5 * np.stack(np.meshgrid(*[np.arange(5)] * 3), axis=-1).reshape(-1, 3)
    _, distances = get_distances(places, atoms.positions, cell=atoms.cell, pbc=True)
    free = places[distances.min(axis=1) > 2.4]
    half = OH * np.array([np.sin(HOH / 2), np.cos(HOH / 2)])
    water = np.array([[0, 0, 0], [half[0], half[1], 0], [-half[0], half[1], 0]])
    for place in free[random.permutation(len(free))[:N_WATER]]:
        rotation, _ = np.linalg.qr(random.normal(size=(3, 3)))
        atoms += Atoms("OHH", place + water @ rotation.T)
    return atoms


def simulation_of(atoms: Atoms, seed: int) -> Simulation:
    """The force field, and a thermostat of TEMPERATURE."""
    system, topology = System(), Topology()
    system.setDefaultPeriodicBoxVectors(*(atoms.cell.array / 10.0))
    bonds, angles, pairs = HarmonicBondForce(), HarmonicAngleForce(), NonbondedForce()
    pairs.setNonbondedMethod(NonbondedForce.PME)
    pairs.setCutoffDistance(0.6)
    pairs.setUseDispersionCorrection(False)
    chain = topology.addChain()

    def molecule(name: str, symbols: str, parameters: dict[str, tuple[float, float, float]]) -> int:
        """Its atoms, of charge, size in nm and depth in kcal/mol; the number of the first."""
        first, residue = system.getNumParticles(), topology.addResidue(name, chain)
        for symbol in symbols:
            element = Element.getBySymbol(symbol)
            topology.addAtom(symbol, element, residue)
            system.addParticle(element.mass)
            charge, size, depth = parameters[symbol]
            pairs.addParticle(charge, size, depth * KCAL)
        for i, j in combinations(range(first, first + len(symbols)), 2):
            pairs.addException(i, j, 0.0, 0.1, 0.0)
        return first

    s = molecule("SO4", "SOOOO", {"S": (2.0, 0.355, 0.25), "O": (-1.0, 0.315, 0.20)})
    oxygens = range(s + 1, s + 5)
    for o in oxygens:
        bonds.addBond(s, o, SO / 10.0, 880.0 * KCAL * 100.0)
    for i, j in combinations(oxygens, 2):
        angles.addAngle(i, s, j, np.arccos(-1.0 / 3.0), 190.0 * KCAL)
        bonds.addBond(i, j, SO * np.sqrt(8.0 / 3.0) / 10.0, 113.0 * KCAL * 100.0)
    for _ in range(N_WATER):
        o = molecule("HOH", "OHH", {"O": (-0.82, 0.3165492, 0.1554253), "H": (0.41, 0.1, 0.0)})
        for h in (o + 1, o + 2):
            bonds.addBond(o, h, OH / 10.0, 1059.162 * KCAL * 100.0)
        angles.addAngle(o + 1, o, o + 2, HOH, 75.90 * KCAL)
    for force in (bonds, angles):
        force.setUsesPeriodicBoundaryConditions(True)
    for force in (bonds, angles, pairs):
        system.addForce(force)
    integrator = LangevinMiddleIntegrator(TEMPERATURE, FRICTION, TIMESTEP)
    integrator.setRandomNumberSeed(seed)
    simulation = Simulation(topology, system, integrator)
    simulation.context.setPositions(atoms.positions / 10.0)
    return simulation


def equilibrated(seed: int) -> tuple[Atoms, Simulation]:
    """The box after EQUILIBRATION; steps count from there."""
    atoms = start(seed)
    simulation = simulation_of(atoms, seed)
    LocalEnergyMinimizer.minimize(simulation.context, 10.0, 500)
    simulation.context.setVelocitiesToTemperature(TEMPERATURE, seed)
    simulation.step(round(EQUILIBRATION / TIMESTEP))
    simulation.currentStep = 0
    return atoms, simulation


def frames(out: Path, count: int, apart: float, seed: int) -> None:
    """Write frames of one trajectory."""
    atoms, simulation = equilibrated(seed)
    found = []
    for _ in range(count):
        simulation.step(round(apart / TIMESTEP))
        state = simulation.context.getState(getPositions=True)
        frame = atoms.copy()
        frame.positions = 10.0 * state.getPositions(asNumpy=True)._value
        found.append(frame)
    ase.io.write(out, found)


def run(stream: Path, model: str, picoseconds: float, seed: int) -> None:
    """Write the stream of another trajectory."""
    _, simulation = equilibrated(seed)
    with StreamReporter(model, stream, STRIDE, groups=GROUPS, total_charge=CHARGE) as reporter:
        simulation.reporters.append(reporter)
        simulation.step(round(picoseconds / TIMESTEP) + 1)  # a frame is complete one step later


def shell(path: Path) -> None:
    """Print the distance of sulfur and the waters' oxygens, and how many are in the first shell."""
    found = []
    for atoms in ase.io.read(path, ":"):
        oxygens = [k for k, z in enumerate(atoms.numbers) if z == 8 and k > 4]
        found.append(atoms.get_distances(0, oxygens, mic=True))
    distances = np.array(found)
    edges = np.arange(2.0, 6.21, 0.1)
    counts, _ = np.histogram(distances, edges)
    shells = 4.0 / 3.0 * np.pi * (edges[1:] ** 3 - edges[:-1] ** 3)
    density = N_WATER / EDGE**3 * len(distances)
    most = np.argmax(counts / shells)
    print(
        f"S-O(water): most at {edges[most] + 0.05:.2f} Å, "
        f"{counts[most] / shells[most] / density:.1f} times the mean density; "
        f"{np.mean((distances < 4.5).sum(axis=1)):.1f} waters within 4.5 Å"
    )


def parts(infrared: Path, raman: Path) -> None:
    """Print integrals of both spectra in ranges: of the ion, with the cross term of its elements,
    and of the water."""
    ranges = {"bend of the ion": (480, 620), "symmetric stretch": (940, 1060)}
    ranges |= {"asymmetric stretch": (1060, 1200), "OH stretches": (3400, 3900)}
    km_mol = 602.214 * EDGE**3 / 1e8  # (n α) of a box, cm⁻², as an intensity in km/mol
    grid, columns = table(infrared)
    for name, limits in ranges.items():
        ion = integral(grid, columns, IN_ION, limits) * km_mol
        water = integral(grid, columns, ["water"], limits) * km_mol
        print(f"{name}: infrared, km/mol: ion {ion:.0f}, {N_WATER} waters {water:.0f}")
    grid, columns = table(raman)
    for name, limits in ranges.items():
        iso, aniso = (
            integral(grid, columns, [f"{part} {kind}" for part in IN_ION], limits)
            for kind in ("isotropic 45a^2", "anisotropic gamma^2")
        )
        print(f"{name}: Raman of the ion, Å⁴/amu: 45a² {iso:.1f}, γ² {aniso:.1f}")


def table(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Wavenumbers, and the columns of a table of spectra by their names, without units."""
    lines = path.read_text(encoding="utf-8").splitlines()
    names = next(line for line in lines if line.startswith("# wavenumber"))[2:].split(",")
    values = np.loadtxt(lines, delimiter=",", comments="#")
    columns = {name.partition(" (")[0]: c for name, c in zip(names, values.T, strict=True)}
    return columns["wavenumber"], columns


def integral(
    grid: np.ndarray, columns: dict[str, np.ndarray], names: list[str], limits: tuple[int, int]
) -> float:
    """Of the sum of columns in a range."""
    inside = (grid >= limits[0]) & (grid < limits[1])
    return float(sum(columns[name][inside].sum() for name in names) * (grid[1] - grid[0]))


def main() -> None:
    """One of the commands."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("frames")
    one.add_argument("out", type=Path)
    one.add_argument("--count", type=int, default=30)
    one.add_argument("--apart", type=float, default=1.0)
    one.add_argument("--seed", type=int, default=1)
    two = commands.add_parser("run")
    two.add_argument("stream", type=Path)
    two.add_argument("--model", required=True)
    two.add_argument("--ps", type=float, default=20.0)
    two.add_argument("--seed", type=int, default=2)
    three = commands.add_parser("shell")
    three.add_argument("frames", type=Path)
    four = commands.add_parser("parts")
    four.add_argument("infrared", type=Path)
    four.add_argument("raman", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "frames":
        frames(arguments.out, arguments.count, arguments.apart, arguments.seed)
    elif arguments.command == "run":
        run(arguments.stream, arguments.model, arguments.ps, arguments.seed)
    elif arguments.command == "shell":
        shell(arguments.frames)
    else:
        parts(arguments.infrared, arguments.raman)


if __name__ == "__main__":
    main()
