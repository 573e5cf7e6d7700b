"""Several files, restarts, gaps, and frames without velocities."""

import gzip
import re
import tracemalloc
from dataclasses import replace
from typing import get_args

import ase.io
import numpy as np
import pytest
from ase import units
from ase.md.langevin import Langevin
from ase.md.verlet import VelocityVerlet
from helpers import stored_runs, toy_molecules
from helpers.stored_runs import TIMESTEP, ipi_text, stream_of, write_dump

from aptnn_md.atoms.rotation import WholeRotation
from aptnn_md.engines.ase.observer import StreamObserver
from aptnn_md.engines.trajectory.dipole_stream import stream_dipoles
from aptnn_md.engines.trajectory.dipole_units import DIPOLE_UNITS, RATE_UNITS
from aptnn_md.engines.trajectory.displacements import displacement
from aptnn_md.engines.trajectory.frames import Frame
from aptnn_md.engines.trajectory.lammps_dump import LAMMPS_UNITS
from aptnn_md.engines.trajectory.opening import open_trajectory
from aptnn_md.engines.trajectory.settings import (
    UNITS,
    VELOCITY_OPTION,
    DipoleSettings,
    LammpsUnit,
    TrajectoryFiles,
    TrajectorySettings,
    VelocityUnit,
)
from aptnn_md.engines.trajectory.trajectory_stream import stream_trajectory
from aptnn_md.engines.trajectory.velocity_check import check_velocities
from aptnn_md.errors import InputError, RunError
from aptnn_md.prediction.loading import as_model
from aptnn_md.spectra import difference, spectrum_of_streams
from aptnn_md.stream import StreamReader
from aptnn_md.structure_columns import VELOCITY_UNITS
from aptnn_md.structures import charge_of
from aptnn_md.testing import check_engine


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    return stored_runs.run(tmp_path_factory.mktemp("run") / "md", n_frames=40)


def part(stored, frames):
    """Some frames of a run; ``steps`` are those of the whole one."""
    cut = stored_runs.StoredRun(
        stored.atoms, stored.stride, stored.positions[frames], stored.velocities[frames], None
    )
    return cut, range(len(stored.positions))[frames]


def dumps(tmp_path, stored, *parts):
    """A dump of each part."""
    paths = []
    for number, frames in enumerate(parts):
        path = tmp_path / f"{number}.lammpstrj"
        cut, steps = part(stored, frames)
        write_dump(path, cut)
        text = path.read_text()
        for n in reversed(range(len(steps))):
            text = text.replace(f"ITEM: TIMESTEP\n{n}\n", f"ITEM: TIMESTEP\n{steps[n]}\n")
        paths.append(path)
        path.write_text(text)
    return paths


METAL = {"lammps_units": "metal"}


def whole(tmp_path, stored):
    return stream_of(tmp_path / "whole", dumps(tmp_path, stored, slice(None)), **METAL)


def test_parts_of_a_run_and_frames_that_a_restart_wrote_again(tmp_path, stored, caplog):
    expected = whole(tmp_path, stored)
    files = dumps(tmp_path, stored, slice(0, 20), slice(15, 33), slice(32, 40))
    with caplog.at_level("INFO"):
        reader = stream_of(tmp_path / "s", files, **METAL)
    assert "6 frames were written again later" in caplog.text
    np.testing.assert_array_equal(reader.step, np.arange(40))
    np.testing.assert_array_equal(reader.dipole_rate(), expected.dipole_rate())


def test_frames_written_again_in_one_file(tmp_path, stored):
    """As by i-PI, which appends to its files after it was killed: the later ones count."""
    steps = [*range(20), *range(12, 40)]
    q, v = stored.positions[steps], stored.velocities[steps]
    q[12:20] += 1e-3  # of the run that ended there
    files = []
    for kind, values, unit in (("positions", q, "angstrom"), ("velocities", v, "ase")):
        values = values / (1.0 if kind == "positions" else units.fs)
        path = tmp_path / f"{kind}.xyz"
        path.write_text(ipi_text(steps, 0, values, stored.atoms, kind, unit))
        files.append(path)
    reader = stream_of(tmp_path / "s", files[:1], velocity_files=tuple(files[1:]))
    np.testing.assert_array_equal(reader.step, np.arange(40))
    expected = stored.stream.dipole_rate()
    scale = np.abs(expected).max()
    np.testing.assert_allclose(reader.dipole_rate(), expected, atol=1e-6 * scale)


def test_a_compressed_dump(tmp_path, stored):
    (path,) = dumps(tmp_path, stored, slice(None))
    packed = tmp_path / "dump.lammpstrj.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    reader = stream_of(tmp_path / "s", [packed], **METAL)
    np.testing.assert_array_equal(reader.dipole_rate(), whole(tmp_path, stored).dipole_rate())


def test_units_of_settings_are_those_of_the_tables():
    assert set(get_args(VelocityUnit)) == set(VELOCITY_UNITS) == set(VELOCITY_OPTION.values())
    assert set(get_args(LammpsUnit)) == set(LAMMPS_UNITS)
    assert set(UNITS) == {*DIPOLE_UNITS, *RATE_UNITS}


def test_a_gap_is_named_with_the_way_out(tmp_path, stored):
    expected = whole(tmp_path, stored).dipole_rate()
    files = dumps(tmp_path, stored, slice(0, 20), slice(23, 40))
    with pytest.raises(
        InputError, match=r"1\.lammpstrj, frame 0: frames: found steps 19 and 23 .*--frames 20: is"
    ):
        stream_of(tmp_path / "s", files, **METAL)
    parts = ("0:20", "20:")
    found = [stream_of(tmp_path / f"p{p[0]}", files, frames=p, **METAL) for p in parts]
    assert [reader.n_frames for reader in found] == [20, 17]
    assert found[1].step[0] == 23
    np.testing.assert_array_equal(found[1].dipole_rate(), expected[23:])


def test_files_without_steps_share_a_frame_at_their_border(tmp_path, stored, caplog):
    frames = stored.frames()
    ase.io.write(tmp_path / "a.traj", frames[:21])
    ase.io.write(tmp_path / "b.traj", frames[20:])
    with caplog.at_level("INFO"):
        reader = stream_of(tmp_path / "s", [tmp_path / "a.traj", tmp_path / "b.traj"])
    assert "begins with the last frame of" in caplog.text
    expected = stored.stream.dipole_rate()
    np.testing.assert_allclose(reader.dipole_rate(), expected, rtol=1e-9, atol=1e-15)


def test_a_torn_last_frame_is_left_out(tmp_path, stored, caplog):
    (path,) = dumps(tmp_path, stored, slice(None))
    path.write_text(path.read_text()[:-90])
    reader = stream_of(tmp_path / "s", [path], **METAL)
    assert reader.n_frames == 39
    assert "the last frame is incomplete and left out" in caplog.text


@pytest.mark.parametrize("count", ["9" * 30, "9" * 5000], ids=["30 digits", "5000 digits"])
def test_counts_and_steps_beyond_all_measure(tmp_path, stored, count, caplog):
    (dump,) = dumps(tmp_path, stored, slice(0, 2))
    text = dump.read_text()
    dump.write_text(text.replace("ITEM: NUMBER OF ATOMS\n6", f"ITEM: NUMBER OF ATOMS\n{count}", 1))
    with pytest.raises(InputError, match="frames"):
        open_trajectory(TrajectoryFiles((dump,), lammps_units="metal"))
    dump.write_text(text.replace("ITEM: TIMESTEP\n0", f"ITEM: TIMESTEP\n{count}", 1))
    with pytest.raises(InputError, match="step"):
        open_trajectory(TrajectoryFiles((dump,), lammps_units="metal"))
    xyz = tmp_path / "t.xyz"
    ase.io.write(xyz, stored.frames()[:2], format="extxyz")
    text = xyz.read_text()
    xyz.write_text(text.replace("6", count, 1))
    with pytest.raises(InputError, match="frames"):
        open_trajectory(TrajectoryFiles((xyz,)))
    beads = tmp_path / "beads.xyz"
    of_ipi = ipi_text(range(2), 0, stored.positions[:2], stored.atoms)
    beads.write_text(re.sub(r"(Step:\s*)1\b", rf"\g<1>{count}", of_ipi))
    with pytest.raises(InputError, match="step"):
        open_trajectory(TrajectoryFiles((beads,)))
    beads.write_text(of_ipi.replace("Bead:       0", f"Bead: {count}", 1))
    with open_trajectory(TrajectoryFiles((beads,))) as frames:
        assert len(frames) == 2  # of a file alone the bead's number does not matter
    extras = tmp_path / "d.extras"
    extras.write_text(f"#EXTRAS(dipole)# Step: {count}\n0 1 2\n#EXTRAS(dipole)# Step: 1\n0 1 2\n")
    with pytest.raises(InputError, match="step"):
        stream_dipoles(DipoleSettings((extras,), tmp_path / "s", timestep=0.5))


def test_atoms_in_another_order_or_number_are_refused(tmp_path, stored):
    frames = stored.frames()
    frames[5] = frames[5][[1, 0, 2, 3, 4, 5]]
    ase.io.write(tmp_path / "t.extxyz", frames)
    with pytest.raises(InputError, match="frame 5: species: found others"):
        stream_of(tmp_path / "s", [tmp_path / "t.extxyz"])
    frames[5] = frames[4][:5]
    ase.io.write(tmp_path / "t.extxyz", frames)
    with pytest.raises(InputError, match="frame 5: atoms: found 5, expected 6"):
        stream_of(tmp_path / "s", [tmp_path / "t.extxyz"])


def test_the_check_of_engines(tmp_path, stored):
    """Positions and velocities of one time, every step once, and a stream that is continued."""
    first, all_of_it = dumps(tmp_path, stored, slice(0, 25), slice(None))

    def run(model, path, file=first):
        settings = TrajectorySettings(path, TIMESTEP, batch=1)
        with open_trajectory(TrajectoryFiles((file,), **METAL)) as frames:
            stream_trajectory(frames, as_model(model), settings)

    check_engine(run, tmp_path / "s", lambda model, path: run(model, path, all_of_it))


# ------------------------------------------------------------------ increments


def folded(stored):
    """Positions in the cell, and at other images in every frame."""
    cell = stored.atoms.cell.array
    rng = np.random.default_rng(1)
    images = rng.integers(-1, 2, size=(*stored.positions.shape[:2], 3))
    return (stored.positions @ np.linalg.inv(cell) % 1.0 + images) @ cell


def test_increments_of_wrapped_positions(tmp_path, stored):
    """Against M itself; molecules stay whole for the analytic tensors, so the images are those of
    atoms of a linear dipole."""
    charges = np.random.default_rng(4).normal(size=(6, 3, 3))
    frames = stored.frames(velocities=False)
    for atoms, q in zip(frames, folded(stored), strict=True):
        atoms.positions = q
    ase.io.write(tmp_path / "t.traj", frames)
    reader = stream_of(tmp_path / "s", [tmp_path / "t.traj"], model=lambda atoms: charges)
    assert reader.header.rate == "difference"
    assert reader.step.tolist() == list(range(1, 40))
    dipole = np.einsum("aij,naj->ni", charges, stored.positions)
    change = TIMESTEP * reader.dipole_rate().sum(axis=1)
    np.testing.assert_allclose(change, np.diff(dipole, axis=0), atol=1e-12)


def test_increments_though_there_are_velocities(tmp_path, stored):
    ase.io.write(tmp_path / "t.traj", stored.frames())
    reader = stream_of(tmp_path / "s", [tmp_path / "t.traj"], increments=True)
    dipole = np.array([toy_molecules.dipole(q) for q in stored.positions])
    change = np.cumsum(TIMESTEP * reader.dipole_rate().sum(axis=1), axis=0)
    assert np.abs(change - (dipole[1:] - dipole[0])).max() < 1e-3 * np.ptp(dipole, axis=0).max()
    with pytest.raises(InputError, match="rate: found 'difference', expected 'instantaneous'"):
        stream_of(tmp_path / "s", [tmp_path / "t.traj"])


def test_frames_that_are_too_far_apart(tmp_path, stored):
    frames = stored.frames(velocities=False)
    for n, atoms in enumerate(frames):
        atoms.positions += [0.0, 0.0, 1.3 * n]
    ase.io.write(tmp_path / "t.traj", frames)
    with pytest.raises(
        RunError, match=r"t\.traj, frame 1: an atom moved 1\.\d+ Å .* frames are miss"
    ):
        stream_of(tmp_path / "s", [tmp_path / "t.traj"])


CELL = np.array([[3.0, 0.0, 0.0], [0.5, 3.2, 0.0], [-0.4, 0.3, 3.1]])


def test_displacements_in_a_cell_that_changes():
    """Strain takes atoms along and is no motion of theirs; images of both frames are arbitrary."""
    rng = np.random.default_rng(0)
    strained = CELL @ (np.eye(3) + rng.normal(scale=0.005, size=(3, 3)))
    scaled = rng.uniform(size=(5, 3))
    moved = rng.normal(scale=0.02, size=(5, 3))
    images = rng.integers(-2, 3, size=(2, 5, 3))
    pbc = (True, True, True)
    before = Frame((scaled + images[0]) @ CELL, None, CELL, pbc)
    now = Frame((scaled + moved + images[1]) @ strained, None, strained, pbc)
    np.testing.assert_allclose(displacement(before, now, ""), moved @ (CELL + strained) / 2)
    turned = Frame(now.positions, None, CELL[[1, 0, 2]], pbc)
    with pytest.raises(RunError, match=r"the cell changed by .* it was flipped or turned"):
        displacement(before, turned, "")


def test_displacements_whose_image_is_not_clear():
    pbc = (True, True, True)
    before = Frame(np.zeros((1, 3)), None, CELL, pbc)
    now = Frame(np.array([[0.9, 0.0, 0.0]]), None, CELL, pbc)
    with pytest.raises(RunError, match=r"0\.90 Å since the frame before in a cell of 3\.00 Å"):
        displacement(before, now, "")
    # rows that are long, of a lattice whose shortest vector is their difference
    skewed = np.array([[10.0, 0.0, 0.0], [9.0, 3.0, 0.0], [0.0, 0.0, 10.0]])
    with pytest.raises(RunError, match=r"in a cell of 3\.16 Å"):
        displacement(Frame(before.positions, None, skewed, pbc), replace(now, cell=skewed), "")
    slab = (False, True, True)  # its shortest one is a row that is left
    shown = displacement(
        Frame(before.positions, None, skewed, slab), replace(now, cell=skewed, pbc=slab), ""
    )
    np.testing.assert_array_equal(shown, now.positions)
    free = Frame(np.array([[0.9, 0.0, 0.0]]), None, None)
    np.testing.assert_array_equal(displacement(Frame(np.zeros((1, 3))), free, ""), free.positions)


def test_volumes_of_a_cell_that_changes(tmp_path, stored):
    frames = stored.frames()
    for n, atoms in enumerate(frames):
        atoms.set_cell(atoms.cell.array * (1.0 + 1e-4 * n), scale_atoms=True)
    ase.io.write(tmp_path / "t.traj", frames)
    for increments in (False, True):
        path = tmp_path / f"s{increments}"
        reader = stream_of(path, [tmp_path / "t.traj"], increments=increments)
        assert reader.header.volume is None
        volumes = [atoms.get_volume() for atoms in frames][int(increments) :]
        np.testing.assert_allclose(reader.read("volume"), volumes)


# ------------------------------------------------------------------ velocities of another time


def lagging(stored, by):
    """Frames whose velocities are ``by`` frames late, by interpolation of the run's own."""
    frames = stored.frames()
    v = stored.velocities
    for n, atoms in enumerate(frames):
        other = v[max(n - 1, 0)] if by > 0 else v[min(n + 1, len(v) - 1)]
        atoms.set_velocities(((1 - abs(by)) * v[n] + abs(by) * other) / units.fs)
    return frames


@pytest.mark.parametrize(("by", "word"), [(0.5, "late"), (-0.5, "early")])
def test_velocities_of_leap_frog_are_refused(tmp_path, stored, by, word):
    ase.io.write(tmp_path / "t.traj", lagging(stored, by)[1:-1])
    words = rf"found values that are 0\.2\d* ± \S+ fs {word} compared .*half a step as leap-frog"
    with pytest.raises(InputError, match=words):
        stream_of(tmp_path / "s", [tmp_path / "t.traj"])
    reader = stream_of(tmp_path / "s", [tmp_path / "t.traj"], increments=True)
    assert reader.n_frames == 37


@pytest.mark.parametrize("stride", [2, 5])
def test_velocities_of_leap_frog_in_frames_that_are_farther_apart(tmp_path, stride):
    """Half a step of 0.5 fs is found in frames every 1 and 2.5 fs, and not where there is none."""
    run = stored_runs.run(tmp_path / "md", n_frames=60 * stride)
    frames = lagging(run, 0.5)[1::stride]
    ase.io.write(tmp_path / "late.traj", frames)
    with pytest.raises(InputError, match="fs late compared with"):
        stream_of(tmp_path / "s", [tmp_path / "late.traj"], stride=stride)
    ase.io.write(tmp_path / "good.traj", run.frames()[::stride])
    reader = stream_of(tmp_path / "s", [tmp_path / "good.traj"], stride=stride)
    expected = run.stream.dipole_rate()[::stride]
    np.testing.assert_allclose(reader.dipole_rate(), expected, rtol=1e-9, atol=1e-15)


def test_a_wrong_time_step_is_found_by_the_positions(tmp_path, stored):
    ase.io.write(tmp_path / "t.traj", stored.frames())
    with pytest.raises(InputError, match=r"found 4(\.\d+)? times the differences .* --timestep"):
        stream_of(tmp_path / "s", [tmp_path / "t.traj"], timestep=4 * TIMESTEP)


# ------------------------------------------------------------------ again, and beside another


def test_a_stream_of_something_else_is_not_continued(tmp_path, stored):
    half, all_of_it = dumps(tmp_path, stored, slice(0, 20), slice(None))
    stream_of(tmp_path / "s", [half], **METAL)
    before = StreamReader(tmp_path / "s").dipole_rate()
    other = stored_runs.run(tmp_path / "md", n_frames=40, seed=8)
    ase.io.write(tmp_path / "other.traj", other.frames())
    with pytest.raises(InputError, match=r"found another rate than .*other\.traj, frame 19 gives"):
        stream_of(tmp_path / "s", [tmp_path / "other.traj"])
    assert StreamReader(tmp_path / "s").n_frames == 20
    reader = stream_of(tmp_path / "s", [all_of_it], **METAL)
    assert reader.n_frames == 40
    np.testing.assert_array_equal(reader.dipole_rate()[:20], before)
    # nothing is left to do
    assert stream_of(tmp_path / "s", [all_of_it], **METAL).n_frames == 40
    with pytest.raises(InputError, match="frames: found 40, expected at most 20"):
        stream_of(tmp_path / "s", [half], **METAL)


@pytest.mark.thorough
def test_streams_of_the_same_run_are_paired(tmp_path):
    """Rates of the run, rates of its frames, increments of them, and increments of its dipoles."""
    run = stored_runs.run(tmp_path / "md", n_frames=1200, stride=2)
    ase.io.write(tmp_path / "t.traj", run.frames())
    path = tmp_path / "t.traj"
    like = {"run_of": tmp_path / "md", "stride": 2}
    rates = stream_of(tmp_path / "rates", [path], **like)
    increments = stream_of(tmp_path / "increments", [path], increments=True, **like)
    np.save(tmp_path / "d.npy", [toy_molecules.dipole(q) for q in run.positions])
    given = DipoleSettings((tmp_path / "d.npy",), tmp_path / "truth", timestep=TIMESTEP, **like)
    stream_dipoles(given)
    names = ("md", "rates", "increments", "truth")
    md, *others = (spectrum_of_streams([tmp_path / name], 120.0) for name in names)
    band = 200.0, 4500.0
    total = md.integral(*band)[0]
    for name, other, share in zip(names[1:], others, (1e-9, 0.1, 0.1), strict=True):
        found = difference(md, other)
        assert found.paired, name
        assert abs(found.integral(*band)[0]) < share * total, name
        apart = difference(md, other, paired=False).integral(*band)[1]
        assert found.integral(*band)[1] < 0.3 * apart, name
    assert rates.header.run_id == increments.header.run_id == run.stream.header.run_id
    both = difference(others[1], others[2])
    assert both.paired
    assert abs(both.integral(*band)[0]) < 2e-3 * total
    other = stored_runs.run(tmp_path / "other", n_frames=20, stride=2, seed=8)
    ase.io.write(tmp_path / "o.traj", other.frames())
    with pytest.raises(InputError, match=r"frame \d+: temperature: found .* the same run\?"):
        stream_of(tmp_path / "wrong", [tmp_path / "o.traj"], **like)


@pytest.mark.thorough
def test_memory_does_not_grow_with_the_trajectory(tmp_path):
    """By what Python and numpy allocate at most, for ten times as many frames."""
    atoms = toy_molecules.structure(60, seed=1, pbc=True)
    line = 'Lattice="{}" Properties=species:S:1:pos:R:3 Time={}\n'
    lattice = " ".join(map(str, atoms.cell.array.ravel()))
    row = "{} {:.6f} {:.6f} {:.6f}\n"
    most = []
    apt = np.eye(3)[None] * np.ones((180, 1, 1))
    for n_frames in (100, 800):
        path = tmp_path / f"{n_frames}.xyz"
        with path.open("w") as file:
            for n in range(n_frames):
                file.write(f"{len(atoms)}\n" + line.format(lattice, n))
                q = atoms.positions + np.array([0.001, 0.002, 0.003]) * n
                file.writelines(row.format(s, *x) for s, x in zip(atoms.symbols, q, strict=True))
        tracemalloc.start()
        given = {"timestep": 1.0, "groups": "all", "model": lambda _: apt, "commit_seconds": 0.1}
        reader = stream_of(tmp_path / f"s{n_frames}", [path], **given)
        most.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert reader.n_frames == n_frames - 1
    # 700 frames of positions would be 3 MB as numbers, 12 MB as words; streams keep a last chunk
    assert most[1] - most[0] < 1.5e6


@pytest.mark.parametrize("friction", [0.02, 0.1])
def test_velocities_of_a_thermostat_are_of_the_time_of_the_positions(friction):
    """Of ASE's Langevin dynamics at a friction of 50 and of 10 fs."""
    atoms = toy_molecules.structure(6, seed=2)
    atoms.calc = toy_molecules.Potential()
    rng = np.random.default_rng(0)
    settings = {"temperature_K": 300.0, "friction": friction / units.fs, "fixcm": False}
    dynamics = Langevin(atoms, toy_molecules.timestep(TIMESTEP), rng=rng, **settings)
    frames = []

    def remember():
        frames.append(Frame(atoms.positions.copy(), atoms.get_velocities() * units.fs))

    dynamics.attach(remember)
    dynamics.run(200)
    found = check_velocities(frames, TIMESTEP, TIMESTEP, str)
    assert found is not None
    assert abs(found.lag) < 5 * found.lag_error + 0.01
    assert found.lag_error < 0.1 * TIMESTEP


def test_a_molecule_whose_rotation_was_removed(tmp_path):
    """f-sum, temperature and header are those of the stream of the run, which says so."""
    atoms = toy_molecules.structure(1, seed=5)
    whole_rotation = WholeRotation.of(atoms)
    velocities = atoms.get_velocities()
    turn = whole_rotation.angular_velocity(atoms.positions, velocities)
    relative = atoms.positions - atoms.get_center_of_mass()
    atoms.set_velocities(velocities - np.cross(turn, relative))
    atoms.calc = toy_molecules.Potential()
    dynamics = VelocityVerlet(atoms, toy_molecules.timestep(TIMESTEP))
    frames = []
    tensors = toy_molecules.Tensors()
    with StreamObserver(
        dynamics, tmp_path / "md", tensors, groups="all", no_rotation=whole_rotation
    ) as observer:
        dynamics.attach(observer)
        dynamics.attach(lambda: frames.append(atoms.copy()))
        dynamics.run(20)
    ase.io.write(tmp_path / "t.traj", frames)
    given = {"groups": "all", "run_of": tmp_path / "md"}
    reader = stream_of(tmp_path / "s", [tmp_path / "t.traj"], **given)
    expected = StreamReader(tmp_path / "md")
    assert reader.header.rotation == "removed"
    for name in ("dipole_rate/bead", "f_sum", "temperature"):
        np.testing.assert_allclose(reader.read(name), expected.read(name), rtol=1e-9, atol=1e-15)
    alone = stream_of(tmp_path / "a", [tmp_path / "t.traj"], groups="all")
    assert (alone.f_sum > 1.01 * expected.f_sum).all()


# ------------------------------------------------------------ what files say of themselves


def extended(path, frames, comments):
    """An extended xyz file whose comment lines begin with something of their own."""
    ase.io.write(path, frames, columns=["symbols", "positions"])
    lines = path.read_text().splitlines()
    size = len(frames[0]) + 2
    for n, comment in enumerate(comments):
        lines[n * size + 1] = f"{comment} {lines[n * size + 1]}"
    path.write_text("\n".join(lines) + "\n")
    return path


def lammps_xyz(path, stored, numbers, unit=LAMMPS_UNITS["metal"]):
    """As LAMMPS' ``dump extxyz`` writes it: steps, times and velocities in its units."""
    lines = []
    for n in numbers:
        cell = " ".join(f"{x / unit.length:.10g}" for x in stored.atoms.cell.array.ravel())
        properties = "species:S:1:pos:R:3:vel:R:3"
        time = n * TIMESTEP / unit.time
        lines += [f"{len(stored.atoms)}"]
        lines += [
            f'Timestep={n} Time={time:.9g} pbc="T T T" Lattice="{cell}" Properties={properties}'
        ]
        q, v = stored.positions[n] / unit.length, stored.velocities[n] / unit.velocity
        for symbol, row in zip(stored.atoms.symbols, np.hstack([q, v]), strict=True):
            lines.append(" ".join([symbol, *(f"{x:.12g}" for x in row)]))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("name", ["metal", "real", "si", "electron"])
def test_extended_xyz_of_lammps_is_in_its_units(tmp_path, stored, name):
    path = lammps_xyz(tmp_path / "t.extxyz", stored, range(40), LAMMPS_UNITS[name])
    reader = stream_of(tmp_path / "s", [path], lammps_units=name, timestep=None)
    assert reader.spacing == pytest.approx(TIMESTEP)
    expected = whole(tmp_path, stored)
    scale = np.abs(expected.dipole_rate()).max()
    turn, _ = stored_runs.lammps_cell(stored.atoms.cell.array)
    np.testing.assert_allclose(
        reader.dipole_rate() @ turn, expected.dipole_rate(), atol=1e-6 * scale
    )
    with pytest.raises(InputError, match="units: found none in the file, expected --lammps-units"):
        stream_of(tmp_path / "t", [path], timestep=None)


def test_steps_of_extended_xyz_of_lammps(tmp_path, stored, caplog):
    numbers = [*range(20), *range(15, 40)]
    path = lammps_xyz(tmp_path / "again.extxyz", stored, numbers)
    with caplog.at_level("INFO"):
        reader = stream_of(tmp_path / "s", [path], **METAL)
    assert "5 frames were written again later" in caplog.text
    np.testing.assert_array_equal(reader.step, np.arange(40))
    path = lammps_xyz(tmp_path / "gap.extxyz", stored, [*range(20), *range(21, 40)])
    with pytest.raises(InputError, match=r"frame 20: frames: found steps 19 and 21 one after"):
        stream_of(tmp_path / "g", [path], **METAL)


def test_parts_whose_counters_begin_anew_are_no_repetition(tmp_path, stored):
    files = dumps(tmp_path, stored, slice(0, 20), slice(20, 40))
    text = files[1].read_text()
    for n in range(20):
        text = text.replace(f"ITEM: TIMESTEP\n{20 + n}\n", f"ITEM: TIMESTEP\n{n}\n")
    files[1].write_text(text)
    with pytest.raises(InputError, match=r"found 0 once more, .* Å \(rms\) from the frame that"):
        stream_of(tmp_path / "s", files, **METAL)


def test_files_in_another_order_and_other_runs_are_no_repetition(tmp_path, stored):
    first, second = dumps(tmp_path, stored, slice(0, 20), slice(20, 40))
    with pytest.raises(InputError, match="found back to 0, which no frame before has"):
        stream_of(tmp_path / "order", [second, first], **METAL)
    # another run from the same place, whose atoms begin with other velocities
    other = stored_runs.StoredRun(
        stored.atoms,
        stored.stride,
        2.0 * stored.positions[0] - stored.positions,
        -stored.velocities,
        None,
    )
    write_dump(tmp_path / "other.lammpstrj", other)
    (one,) = dumps(tmp_path, stored, slice(None))
    with pytest.raises(InputError, match="0 once more, after which the atoms move otherwise"):
        stream_of(tmp_path / "runs", [one, tmp_path / "other.lammpstrj"], **METAL)


def test_counters_that_begin_anew_in_one_file(tmp_path, stored):
    """--frames takes one of the parts."""
    steps = [*range(20), *range(20)]
    text = ipi_text(steps, 0, stored.positions, stored.atoms)
    (tmp_path / "p.xyz").write_text(text)
    with pytest.raises(InputError, match="found 0 once more"):
        stream_of(tmp_path / "s", [tmp_path / "p.xyz"])
    reader = stream_of(tmp_path / "s", [tmp_path / "p.xyz"], frames="20:")
    assert reader.n_frames == 19  # increments


def test_times_of_few_digits_beside_steps(tmp_path, stored):
    """As of LAMMPS in ps, with three digits: the steps tell that no frame is missing."""
    path = lammps_xyz(tmp_path / "t.extxyz", stored, range(40))
    lines = path.read_text().splitlines()
    for k, line in enumerate(lines):
        if line.startswith("Timestep="):
            n = int(re.search(r"Timestep=(\d+)", line)[1])
            lines[k] = re.sub(r"Time=\S+", f"Time={1e-3 * TIMESTEP * n:.3f}", line)
    path.write_text("\n".join(lines) + "\n")
    reader = stream_of(tmp_path / "s", [path], **METAL)
    assert reader.spacing == pytest.approx(TIMESTEP)
    with pytest.raises(InputError, match=r"time step: found known to .* % only, expected --time"):
        stream_of(tmp_path / "t", [path], **METAL, timestep=None)


def test_a_time_step_of_the_user_in_the_comment_is_no_step(tmp_path, stored):
    comments = [f"Timestep=0.5 step={n}" for n in range(40)]
    path = extended(tmp_path / "t.extxyz", stored.frames(velocities=False), comments)
    assert stream_of(tmp_path / "s", [path]).header.stride == 1


def test_masses_of_the_trajectory_and_of_the_structure(tmp_path, stored):
    """Those that either says count; they must agree where both do."""
    frames = stored.frames()
    masses = np.array([17.999, 2.014, 36.966] * 2)
    for atoms in frames:
        atoms.set_masses(masses)
        atoms.set_velocities(atoms.get_velocities())
    heavy, plain = tmp_path / "heavy.extxyz", tmp_path / "start.extxyz"
    ase.io.write(heavy, frames, columns=["symbols", "positions", "masses"])
    ase.io.write(plain, stored.atoms, columns=["symbols", "positions"])
    for structure in (None, plain):
        with open_trajectory(TrajectoryFiles((heavy,), structure=structure)) as opened:
            np.testing.assert_allclose(opened.template.get_masses(), masses)
    others = frames[0].copy()
    others.set_masses(masses * [1.0, 1.0, 1.0, 1.0, 1.0, 0.95])
    ase.io.write(plain, others, columns=["symbols", "positions", "masses"])
    with pytest.raises(InputError, match=r"mass of atom 5: .*, as in --structure or another file"):
        open_trajectory(TrajectoryFiles((heavy,), structure=plain))


def test_charges_of_the_trajectory_and_of_the_structure(tmp_path, stored):
    frames = stored.frames(velocities=False)
    charged = extended(tmp_path / "charged.extxyz", frames, ["charge=1"] * 40)
    start = tmp_path / "start.extxyz"
    for said, message in ((None, ""), (1.0, ""), (0.0, "charge: found 1 e, expected 0 e, as in")):
        atoms = stored.atoms.copy()
        if said is not None:
            atoms.info["charge"] = said
        ase.io.write(start, atoms)
        if message:
            with pytest.raises(InputError, match=message):
                open_trajectory(TrajectoryFiles((charged,), structure=start))
            continue
        with open_trajectory(TrajectoryFiles((charged,), structure=start)) as opened:
            assert charge_of(opened.template) == 1.0
    quoted = extended(tmp_path / "q.extxyz", frames, ['note="total charge=3"'] * 40)
    with open_trajectory(TrajectoryFiles((quoted,))) as opened:
        assert opened.read(1).charge is None
    for form in ("charge='1'", 'charge="1"', "charge = 1"):
        path = extended(tmp_path / "f.extxyz", frames, [form] * 40)
        with open_trajectory(TrajectoryFiles((path,))) as opened:
            assert opened.read(1).charge == 1.0
    changing = extended(tmp_path / "c.extxyz", frames, ["charge=1"] * 20 + ["total_charge=0"] * 20)
    with open_trajectory(TrajectoryFiles((changing,))) as opened:
        opened.read(19)
        with pytest.raises(InputError, match="frame 20: charge: found 0 e, expected 1 e, as at"):
            opened.read(20)
    atoms = [a.copy() for a in frames]
    atoms[3].info["charge"] = -1
    ase.io.write(tmp_path / "c.traj", atoms)
    message = "frame 3: charge: found -1 e, expected none, as at"
    with (
        open_trajectory(TrajectoryFiles((tmp_path / "c.traj",))) as opened,
        pytest.raises(InputError, match=message),
    ):
        opened.read(3)


def test_velocities_of_another_bead(tmp_path, stored):
    files = {}
    for kind in ("positions", "velocities"):
        for bead in (0, 1):
            values, unit = (
                getattr(stored, kind),
                {"positions": "angstrom", "velocities": "m/s"}[kind],
            )
            files[kind, bead] = tmp_path / f"{kind}_{bead}.xyz"
            files[kind, bead].write_text(
                ipi_text(stored.steps, bead, values, stored.atoms, kind, unit)
            )
    positions = tuple(files["positions", bead] for bead in (0, 1))
    given = {"n_beads": 2, "velocity_files": tuple(files["velocities", bead] for bead in (1, 0))}
    with pytest.raises(InputError, match=r"bead: found 1, expected 0, as of .*positions_0.xyz"):
        open_trajectory(TrajectoryFiles(positions, **given))


@pytest.mark.parametrize(("given", "fits"), [(0.48378, True), (0.48, False), (0.475, False)])
def test_a_time_step_that_is_not_that_of_the_file(tmp_path, stored, given, fits):
    """CP2K prints three digits; of many frames these tell more than that."""
    comments = [f"i = {n}, time = {0.48378 * n:.3f}," for n in range(40)]
    path = extended(tmp_path / "t.xyz", stored.frames(velocities=False), comments)
    if fits:
        assert stream_of(tmp_path / "s", [path], timestep=given).header.timestep == given
        return
    with pytest.raises(InputError, match=r"time step: found frames 0\.4837\d* fs apart, expected"):
        stream_of(tmp_path / "s", [path], timestep=given)
