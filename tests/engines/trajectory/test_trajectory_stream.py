"""The stream of a stored trajectory is that of the run, whatever format stored it."""

import ase.io
import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.constraints import FixAtoms
from helpers import stored_runs, toy_molecules
from helpers.paths import DATA
from helpers.stored_runs import TIMESTEP, ipi_text, stream_of, write_dump
from scipy.spatial.transform import Rotation

from aptnn_md.atomic_units import VELOCITY
from aptnn_md.engines.kinetic_temperature import temperature as kinetic_temperature
from aptnn_md.engines.trajectory.opening import open_trajectory
from aptnn_md.engines.trajectory.settings import TrajectoryFiles
from aptnn_md.errors import InputError, RunError
from aptnn_md.stream import StreamReader

CP2K = DATA / "cp2k"


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    return stored_runs.run(tmp_path_factory.mktemp("run") / "md", stride=2)


def check_same(reader, stored, rtol=1e-6):
    """Rates of all frames and groups, f-sum and temperature are those of the run itself."""
    expected = stored.stream
    assert reader.header.rate == "instantaneous"
    assert reader.step.tolist() == expected.step.tolist()
    np.testing.assert_allclose(reader.time, expected.time)
    rate = expected.dipole_rate()
    np.testing.assert_allclose(reader.dipole_rate(), rate, atol=rtol * np.abs(rate).max())
    np.testing.assert_allclose(reader.f_sum, expected.f_sum, rtol=rtol)
    np.testing.assert_allclose(reader.read("temperature"), expected.read("temperature"), rtol=rtol)
    np.testing.assert_allclose(
        reader.read("motion_temperature"), expected.read("motion_temperature"), rtol=10 * rtol
    )
    assert reader.header.system == expected.header.system
    assert reader.header.groups == expected.header.groups
    assert reader.header.volume == pytest.approx(expected.header.volume, rel=1e-6)


def test_extxyz_with_momenta(tmp_path, stored):
    ase.io.write(tmp_path / "t.extxyz", stored.frames())
    # ASE writes eight decimals
    check_same(stream_of(tmp_path / "s", [tmp_path / "t.extxyz"], stride=2), stored, 1e-5)


def test_ases_own_trajectory(tmp_path, stored):
    ase.io.write(tmp_path / "t.traj", stored.frames())
    check_same(stream_of(tmp_path / "s", [tmp_path / "t.traj"], stride=2), stored, 1e-12)


def test_another_format_of_ase(tmp_path, stored):
    ase.io.write(tmp_path / "t.json", stored.frames())
    check_same(stream_of(tmp_path / "s", [tmp_path / "t.json"], stride=2), stored, 1e-12)


def gpumd_text(stored, name="vel", factor=1.0):
    lattice = " ".join(map(repr, stored.atoms.cell.array.ravel().tolist()))
    lines = []
    for step, q, v in zip(stored.steps, stored.positions, stored.velocities, strict=True):
        lines.append(f"{len(q)}")
        lines.append(
            f'Time={step * TIMESTEP:.8f} pbc="T T T" Lattice="{lattice}" '
            f"Properties=species:S:1:pos:R:3:mass:R:1:{name}:R:3"
        )
        for symbol, mass, x, u in zip(
            stored.atoms.symbols, stored.atoms.get_masses(), q, v * factor, strict=True
        ):
            numbers = " ".join(f"{number:.14g}" for number in (*x, mass, *u))
            lines.append(f"{symbol} {numbers}")
    return "\n".join(lines) + "\n"


def test_gpumd(tmp_path, stored, caplog):
    (tmp_path / "dump.xyz").write_text(gpumd_text(stored))
    with caplog.at_level("INFO"):
        # the time step of frames two steps apart, by the times in the file
        reader = stream_of(tmp_path / "s", [tmp_path / "dump.xyz"], timestep=None, stride=2)
    check_same(reader, stored, 1e-9)
    assert reader.header.timestep == TIMESTEP
    assert "velocities: column vel in Å/fs" in caplog.text


def test_velocities_in_an_unnamed_unit(tmp_path, stored):
    (tmp_path / "t.xyz").write_text(gpumd_text(stored, "velocities", 1e3))
    check_same(stream_of(tmp_path / "a", [tmp_path / "t.xyz"], stride=2), stored, 1e-9)
    (tmp_path / "t.xyz").write_text(gpumd_text(stored, "velo", 1e2))
    given = {"stride": 2, "velocity_unit": "nm/ps"}
    check_same(stream_of(tmp_path / "b", [tmp_path / "t.xyz"], **given), stored, 1e-9)
    with pytest.raises(InputError, match=r"velocities: found 0\.00104 times the differences"):
        stream_of(tmp_path / "c", [tmp_path / "t.xyz"], stride=2, velocity_unit="m/s")


@pytest.mark.parametrize(
    ("columns", "options"),
    [
        ("x y z vx vy vz", {}),
        ("xs ys zs vx vy vz", {"wrapped": True, "origin": (-3.0, 1.5, 20.0)}),
        ("vx vy vz xu yu zu", {"origin": (1.0, 0.0, 0.0)}),
        ("xsu ysu zsu vx vy vz", {}),
    ],
)
def test_lammps_dump(tmp_path, stored, columns, options):
    """Triclinic, in another orientation: the rates turn with it."""
    write_dump(tmp_path / "t.lammpstrj", stored, columns, **options)
    # the analytic molecules must be whole
    given = {"lammps_units": "metal", "model": WholeMolecules(stored.atoms)}
    reader = stream_of(tmp_path / "s", [tmp_path / "t.lammpstrj"], **given)
    assert reader.header.stride == 2
    turn, _ = stored_runs.lammps_cell(stored.atoms.cell.array)
    expected = stored.stream.dipole_rate() @ turn
    np.testing.assert_allclose(reader.dipole_rate(), expected, atol=1e-9 * np.abs(expected).max())
    np.testing.assert_allclose(reader.f_sum, stored.stream.f_sum, rtol=1e-9)


class WholeMolecules:
    """The analytic tensors, of molecules that a boundary may cut."""

    name = "whole"

    def __init__(self, atoms):
        self.n_molecules = len(atoms) // 3

    def __call__(self, atoms):
        q = atoms.get_positions()
        for n in range(self.n_molecules):
            for k in (1, 2):
                vector = atoms.get_distance(3 * n, 3 * n + k, mic=True, vector=True)
                q[3 * n + k] = q[3 * n] + vector
        return toy_molecules.polar_tensors(q)


def test_lammps_dumps_say_what_they_lack(tmp_path, stored):
    path = tmp_path / "t.lammpstrj"
    write_dump(path, stored)
    with pytest.raises(InputError, match="found none in the file, expected --lammps-units"):
        stream_of(tmp_path / "s", [path])
    text = path.read_text()
    path.write_text("ITEM: UNITS\nmetal\n" + text)
    assert stream_of(tmp_path / "s", [path]).n_frames == 30
    with pytest.raises(InputError, match="units: found metal, expected real, as given"):
        stream_of(tmp_path / "t", [path], lammps_units="real")
    types = text.replace(" element ", " type ")
    for number, symbol in enumerate(("O", "H", "Cl"), start=1):
        types = types.replace(f" {symbol} ", f" {number} ")
    path.write_text(types)
    with pytest.raises(InputError, match="found types alone, expected --elements"):
        stream_of(tmp_path / "t", [path], lammps_units="metal")
    reader = stream_of(tmp_path / "t", [path], lammps_units="metal", elements=("O", "H", "Cl"))
    assert reader.header.system == stored.stream.header.system


def test_cp2k_positions_velocities_and_cells(tmp_path):
    """Charges on CP2K's own ions: Ṁ = Σ q v, and its integral is the change of Σ q r."""
    frames = ase.io.read(CP2K / "ions-pos-1.xyz", ":")
    charges = np.where(frames[0].symbols == "H", 1.0, -1.0)

    def tensors(atoms):
        return charges[:, None, None] * np.eye(3)

    files = {
        "velocity_files": (CP2K / "ions-vel-1.xyz",),
        "cell_file": CP2K / "ions-1.cell",
    }
    given = {"model": tensors, "timestep": None, "groups": "all"}
    reader = stream_of(tmp_path / "s", [CP2K / "ions-pos-1.xyz"], **files, **given)
    assert reader.header.timestep == 0.5
    assert reader.header.volume == pytest.approx(287.232)
    velocities = np.array([a.positions for a in ase.io.read(CP2K / "ions-vel-1.xyz", ":")])
    rates = VELOCITY * np.einsum("a,nac->nc", charges, velocities)
    np.testing.assert_allclose(reader.dipole_rate()[:, 0], rates, atol=1e-12)
    dipoles = np.array([charges @ atoms.positions for atoms in frames])
    central = (dipoles[2:] - dipoles[:-2]) / (2 * 0.5)
    # positions have ten decimals and masses are CP2K's: velocity Verlet is a central difference
    np.testing.assert_allclose(reader.dipole_rate()[1:-1, 0], central, atol=1e-6)
    temperature = [line.split()[3] for line in (CP2K / "ions-1.ener").open() if line[0] != "#"]
    np.testing.assert_allclose(reader.read("temperature"), np.array(temperature, float), rtol=0.4)


# ------------------------------------------------------------------ beads


def bead_files(tmp_path, positions, velocities, atoms, steps):
    """(steps, beads, atoms, 3) in i-PI's files, velocities in atomic units."""
    files = [], []
    for bead in range(positions.shape[1]):
        for kind, values, unit, which in (
            ("positions", positions, "angstrom", files[0]),
            ("velocities", velocities / VELOCITY, "atomic_unit", files[1]),
        ):
            path = tmp_path / f"sim.{kind[:3]}_{bead}.xyz"
            path.write_text(ipi_text(steps, bead, values[:, bead], atoms, kind, unit))
            which.append(path)
    return files


def ring(n_frames=20, n_beads=3):
    """Beads of two molecules that vibrate, and their exact velocities."""
    atoms = toy_molecules.structure(2, seed=4, pbc=True)
    rng = np.random.default_rng(2)
    amplitude, omega = rng.normal(scale=0.05, size=(6, 3)), rng.uniform(0.1, 0.3, (6, 3))
    offset, phase = rng.normal(scale=0.03, size=(n_beads, 6, 3)), rng.uniform(0, 6, (n_beads, 6, 3))
    time = TIMESTEP * np.arange(n_frames)[:, None, None, None]
    positions = atoms.positions + offset + amplitude * np.sin(omega * time + phase)
    return atoms, positions, omega * amplitude * np.cos(omega * time + phase)


def test_beads_of_ipi_by_all_estimators(tmp_path):
    atoms, q, v = ring()
    files, velocity_files = bead_files(tmp_path, q, v, atoms, range(len(q)))
    names = ("bead", "centroid-apt", "apt-at-centroid")
    # in any order: the files say which bead they are of
    order = [2, 0, 1]
    reader = stream_of(
        tmp_path / "s",
        [files[k] for k in order],
        velocity_files=tuple(velocity_files[k] for k in order),
        n_beads=3,
        estimators=names,
    )
    apt = np.array([[toy_molecules.polar_tensors(x) for x in beads] for beads in q])
    centre = np.array([toy_molecules.polar_tensors(beads.mean(axis=0)) for beads in q])
    mean = v.mean(axis=1)
    expected = {
        "bead": np.einsum("fkaij,fkaj->fi", apt, v) / 3,
        "centroid-apt": np.einsum("faij,faj->fi", apt.mean(axis=1), mean),
        "apt-at-centroid": np.einsum("faij,faj->fi", centre, mean),
    }
    for name in names:
        found = reader.dipole_rate(name).sum(axis=1)
        scale = np.abs(expected[name]).max()
        np.testing.assert_allclose(found, expected[name], atol=1e-7 * scale, err_msg=name)
    assert reader.header.n_beads == 3
    # without velocities the mean of the beads' increments
    increments = stream_of(tmp_path / "i", files, n_beads=3, groups="all", estimators=("bead",))
    dipole = np.array([[toy_molecules.dipole(x) for x in beads] for beads in q]).mean(axis=1)
    change = TIMESTEP * increments.dipole_rate()[:, 0]
    np.testing.assert_allclose(
        np.cumsum(change, axis=0), dipole[1:] - dipole[0], atol=1e-3 * np.ptp(dipole)
    )


def test_beads_and_classical_frames_have_the_temperature_of_their_kinetic_energy(tmp_path):
    atoms, q, v = ring()
    files, velocity_files = bead_files(tmp_path, q, v, atoms, range(len(q)))
    reader = stream_of(tmp_path / "s", files, velocity_files=tuple(velocity_files), n_beads=3)
    masses = atoms.get_masses()[:, None]
    momentum = (masses * v).sum(axis=2).mean(axis=1)
    kinetic = 0.5 * (masses * v**2).sum(axis=(1, 2, 3))
    kinetic -= 3 * 0.5 * (momentum**2).sum(axis=-1) / masses.sum()
    joule = kinetic * units._amu * 1e10
    kelvin = 2 * joule / ((3 * 6 * 3 - 3) * 3 * units._k)
    np.testing.assert_allclose(reader.read("temperature"), kelvin, rtol=1e-6)


# ------------------------------------------------------------------ binary formats


@pytest.mark.parametrize("suffix", [".dcd", ".xtc", ".trr", ".h5md", ".ncdf"])
def test_formats_of_mdanalysis(tmp_path, suffix, caplog):
    mda = pytest.importorskip("MDAnalysis", reason="needs MDAnalysis")
    # up to nine atoms are not rounded in xtc
    stored = stored_runs.run(tmp_path / "md", stride=2, n_molecules=4)
    path, structure = tmp_path / f"t{suffix}", tmp_path / "start.extxyz"
    ase.io.write(structure, stored.atoms)
    n_atoms = len(stored.atoms)
    universe = mda.Universe.empty(n_atoms, trajectory=True, velocities=True)
    turn, cell = stored_runs.lammps_cell(stored.atoms.cell.array)
    lengths = Atoms(cell=cell).cell.cellpar()
    units_of_file = {"lengthunit": "A", "timeunit": "ps", "velocityunit": "A/ps"}
    options = units_of_file if suffix == ".h5md" else {"dt": 1e-3 * TIMESTEP * 2}
    options |= {"velocities": True} if suffix == ".ncdf" else {}
    with mda.Writer(str(path), n_atoms, **options) as writer:
        for n, (q, v) in enumerate(zip(stored.positions, stored.velocities, strict=True)):
            frame = universe.trajectory.ts
            frame.positions, frame.velocities = q @ turn, v @ turn * 1e3
            frame.dimensions, frame.frame = lengths, n
            frame.time, frame.data["step"] = 1e-3 * TIMESTEP * 2 * n, 2 * n
            writer.write(universe.atoms)
    given = {"structure": structure, "stride": 2}
    with caplog.at_level("INFO"):
        reader = stream_of(tmp_path / "s", [path], **given)
    assert reader.header.volume == pytest.approx(stored.atoms.get_volume(), rel=1e-5)
    if suffix in (".trr", ".h5md", ".ncdf"):
        expected = stored.stream.dipole_rate() @ turn
        scale = np.abs(expected).max()
        np.testing.assert_allclose(reader.dipole_rate(), expected, atol=1e-5 * scale)
        return
    assert reader.header.rate == "difference"
    assert ("positions are rounded to 0.01 Å" in caplog.text) == (suffix == ".xtc")
    dipole = np.array([toy_molecules.dipole(q) for q in stored.positions]) @ turn
    change = reader.spacing * reader.dipole_rate().sum(axis=1)
    error = np.abs(np.cumsum(change, axis=0) - (dipole[1:] - dipole[0])).max()
    assert error < (0.2 if suffix == ".xtc" else 3e-3) * np.ptp(dipole, axis=0).max()


@pytest.mark.parametrize("turned", [True, False], ids=["as the structure", "as usual"])
@pytest.mark.parametrize("dense", [True, False], ids=["crystal", "gas"])
def test_orientation_of_cells_with_lengths_and_angles_alone(tmp_path, turned, dense):
    """Of DCD: CP2K leaves the atoms where they are, LAMMPS and others turn them."""
    mda = pytest.importorskip("MDAnalysis", reason="needs MDAnalysis")
    start = bulk("Cu", a=3.6) * (3, 3, 3) if dense else stored_runs.run(tmp_path / "md").atoms
    rotation = Rotation.from_rotvec([0.4, -0.9, 0.7]).as_matrix()
    start.set_cell(start.cell.array @ rotation, scale_atoms=True)
    ase.io.write(tmp_path / "start.extxyz", start)
    usual = Atoms(cell=start.cell.cellpar(), pbc=True).cell.array
    fractions = start.get_scaled_positions(wrap=dense)
    universe = mda.Universe.empty(len(start), trajectory=True)
    rng = np.random.default_rng(0)
    with mda.Writer(str(tmp_path / "t.dcd"), len(start)) as writer:
        for _ in range(3):
            moved = fractions + rng.normal(scale=5e-3, size=fractions.shape)
            universe.trajectory.ts.positions = moved @ (start.cell.array if turned else usual)
            universe.trajectory.ts.dimensions = start.cell.cellpar()
            writer.write(universe.atoms)
    files = TrajectoryFiles((tmp_path / "t.dcd",), structure=tmp_path / "start.extxyz")
    with open_trajectory(files) as frames:
        expected = start.cell.array if turned else usual
        np.testing.assert_allclose(frames.read(1).cell, expected, atol=1e-4)


def test_times_in_single_precision_late_in_a_run(tmp_path, caplog):
    """After 100 ns they are known to 8 fs: they are not used, and drop no frames."""
    mda = pytest.importorskip("MDAnalysis", reason="needs MDAnalysis")
    stored = stored_runs.run(tmp_path / "md", stride=2)
    path, structure = tmp_path / "t.ncdf", tmp_path / "start.extxyz"
    ase.io.write(structure, stored.atoms)
    n_atoms = len(stored.atoms)
    universe = mda.Universe.empty(n_atoms, trajectory=True, velocities=True)
    with mda.Writer(str(path), n_atoms, dt=1e-3 * TIMESTEP * 2) as writer:
        for n, q in enumerate(stored.positions):
            frame = universe.trajectory.ts
            frame.positions, frame.velocities = q, np.zeros_like(q)
            frame.dimensions, frame.frame = stored.atoms.cell.cellpar(), n
            frame.time, frame.data["step"] = 1e5 + 1e-3 * TIMESTEP * 2 * n, 2 * n
            writer.write(universe.atoms)
    given = {"structure": structure, "increments": True}
    reader = stream_of(tmp_path / "s", [path], stride=2, **given)
    assert reader.n_frames == len(stored.positions) - 1
    assert reader.spacing == 2 * TIMESTEP
    assert "times are known to 7.8 fs only, and not used" in caplog.text
    with pytest.raises(InputError, match="expected --timestep FS"):
        stream_of(tmp_path / "t", [path], timestep=None, **given)


def test_binary_formats_need_a_structure(tmp_path):
    (tmp_path / "t.dcd").write_bytes(b"")
    with pytest.raises(InputError, match="elements: found none in such files, expected --struct"):
        stream_of(tmp_path / "s", [tmp_path / "t.dcd"])
    assert not (tmp_path / "s").exists()
    assert StreamReader


@pytest.mark.parametrize("increments", [False, True])
def test_atoms_that_never_move_have_no_velocity_whatever_the_file_says(
    increments, tmp_path, stored, caplog
):
    """As of atoms that were frozen after their velocities were drawn."""
    frames = stored.frames()
    for atoms in frames:
        velocities = atoms.get_velocities()
        atoms.positions[:3] = frames[0].positions[:3]
        velocities[:3] = frames[0].get_velocities()[:3]
        atoms.set_velocities(velocities)
    ase.io.write(tmp_path / "t.extxyz", frames)
    given = {"stride": 2, "increments": increments}
    with caplog.at_level("INFO"):
        reader = stream_of(tmp_path / "s", [tmp_path / "t.extxyz"], **given)
    assert "3 of 6 atoms never move" in caplog.text
    np.testing.assert_array_equal(reader.dipole_rate()[:, 0], 0.0)
    f_sum, of_run = reader.read("f_sum"), stored.stream.read("f_sum")
    np.testing.assert_array_equal(f_sum[:, 0], 0.0)
    np.testing.assert_allclose(f_sum[:, 1], of_run[int(increments) :, 1], rtol=1e-5)
    if increments:
        return
    expected = stored.stream.dipole_rate()[:, 1]
    np.testing.assert_allclose(reader.dipole_rate()[:, 1], expected, atol=1e-6)
    frames[0].set_constraint(FixAtoms(range(3)))
    moving = kinetic_temperature(frames[0], frames[0].get_velocities() * units.fs)
    assert reader.read("temperature")[0] == pytest.approx(moving, rel=1e-6)


def test_positions_that_are_rounded_do_not_make_atoms_rest(tmp_path, stored, caplog):
    """Those of a heavy atom may be the same for as long as a short trajectory."""
    frames = stored.frames()
    places = np.mean([atoms.positions[2] for atoms in frames], axis=0)
    for atoms in frames:
        velocities = atoms.get_velocities()
        atoms.positions[2] = places
        velocities[2] = 1e-4 * velocities[2]
        atoms.set_velocities(velocities)
    ase.io.write(tmp_path / "t.extxyz", frames)
    with caplog.at_level("INFO"):
        stream_of(tmp_path / "s", [tmp_path / "t.extxyz"], stride=2)
    assert "never move" not in caplog.text


def test_an_atom_that_moves_in_a_frame_that_was_not_looked_at_is_found(tmp_path):
    frames = stored_runs.run(tmp_path / "run", n_frames=120).frames(velocities=False)
    for number, atoms in enumerate(frames):
        atoms.positions[4] = frames[0].positions[4] + 0.01 * (number == 58)
    ase.io.write(tmp_path / "t.extxyz", frames)
    with pytest.raises(RunError, match=r"frame 58.*atom 4 moves, though it is at the same place"):
        stream_of(tmp_path / "s", [tmp_path / "t.extxyz"])
