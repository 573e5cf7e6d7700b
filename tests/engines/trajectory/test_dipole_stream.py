"""Streams of series of dipoles: of arrays, tables, CP2K, LAMMPS and i-PI."""

import logging

import ase.io
import numpy as np
import pytest
from ase import Atoms
from helpers.paths import DATA

from aptnn_md.atomic_units import BOHR, DEBYE, TIME
from aptnn_md.engines.trajectory.dipole_stream import stream_dipoles
from aptnn_md.engines.trajectory.settings import DipoleSettings
from aptnn_md.errors import InputError
from aptnn_md.stream import StreamHeader, StreamReader, StreamWriter

CP2K = DATA / "cp2k"
SPACING = 0.5


def series(n=60, seed=0):
    """A smooth dipole without symmetry, (n, 3), e Å."""
    rng = np.random.default_rng(seed)
    times = SPACING * np.arange(n)[:, None, None]
    waves = rng.normal(size=(5, 3)) * np.sin(times * rng.uniform(0.02, 0.3, 5)[:, None] + 1.0)
    return waves.sum(axis=1) + np.array([3.0, -1.0, 0.5])


def stream(tmp_path, *files, name="s", **options):
    options.setdefault("timestep", SPACING)
    settings = DipoleSettings(dipoles=files, path=tmp_path / name, **options)
    stream_dipoles(settings)
    return StreamReader(tmp_path / name)


def increments(reader):
    return reader.dipole_rate()[:, 0] * reader.spacing


def saved(tmp_path, values, name="d.npy"):
    np.save(tmp_path / name, values)
    return tmp_path / name


def test_frames_are_increments_over_the_time_between_them(tmp_path):
    values = series()
    reader = stream(tmp_path, saved(tmp_path, values), stride=4, first_step=100)
    assert reader.header.rate == "difference"
    assert (reader.header.timestep, reader.header.stride) == (SPACING, 4)
    assert reader.step.tolist() == list(range(104, 100 + 4 * 60, 4))
    np.testing.assert_allclose(reader.time, SPACING * reader.step)
    np.testing.assert_allclose(increments(reader), np.diff(values, axis=0), atol=1e-14)


def test_rates_are_taken_as_they_are(tmp_path):
    values = series()
    reader = stream(tmp_path, saved(tmp_path, values), rates=True, units="debye/ps")
    assert reader.header.rate == "instantaneous"
    np.testing.assert_allclose(reader.dipole_rate()[:, 0], values * DEBYE * 1e-3)
    assert reader.step.tolist() == list(range(60))


@pytest.mark.parametrize(
    ("units", "factor"), [(None, 1.0), ("debye", DEBYE), ("au", BOHR), ("e-nm", 10.0)]
)
def test_units(tmp_path, units, factor, caplog):
    values = series()
    reader = stream(tmp_path, saved(tmp_path, values), units=units)
    np.testing.assert_allclose(increments(reader), factor * np.diff(values, axis=0), atol=1e-13)
    assert ("does not say its unit: taken in e-angstrom" in caplog.text) == (units is None)


def test_units_of_rates_are_not_those_of_dipoles(tmp_path):
    path = saved(tmp_path, series())
    with pytest.raises(InputError, match="--units: unit: found debye/ps, expected one of dipoles"):
        stream(tmp_path, path, units="debye/ps")
    with pytest.raises(InputError, match="found debye, expected one of rates"):
        stream(tmp_path, path, units="debye", rates=True)


HEADS = {
    "csv": ("step,time (fs),mu_x [Debye],mu_y [Debye],mu_z [Debye],energy\n", ","),
    "comment": ("# step time[fs] dip_x[D] dip_y[D] dip_z[D] energy\n", " "),
    "ipi": (
        "# column   1     --> step : The current simulation time step.\n"
        "# column   2     --> time{femtosecond} : The elapsed simulation time.\n"
        "# cols.    3-5   --> dipole{debye} : The beads-averaged electric dipole moment\n"
        "# column   6     --> conserved : The value of the conserved energy quantity.\n",
        "  ",
    ),
}


@pytest.mark.parametrize("kind", HEADS)
def test_columns_are_found_by_their_names(tmp_path, kind, caplog):
    head, separator = HEADS[kind]
    values = series()
    path = tmp_path / "table.txt"
    rows = [
        separator.join(map(repr, (10 * n, 10 * n * SPACING, *map(float, d), -7.5)))
        for n, d in enumerate(values)
    ]
    path.write_text(head + "\n".join(rows) + "\n")
    with caplog.at_level(logging.INFO):
        reader = stream(tmp_path, path, timestep=None)
    assert "in debye, as the file says" in caplog.text
    assert (reader.header.timestep, reader.header.stride) == (SPACING, 10)
    np.testing.assert_allclose(increments(reader), DEBYE * np.diff(values, axis=0), atol=1e-13)
    # by names or numbers the same
    for number, columns in enumerate([("3", "4", "5"), (head_names(kind))]):
        again = stream(tmp_path, path, name=f"again-{number}", columns=columns, timestep=None)
        np.testing.assert_array_equal(again.dipole_rate(), reader.dipole_rate())


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("", BOHR / TIME), ("{ang/fs}", 1.0), ("{atomic_unit}", BOHR / TIME)],
)
def test_rates_that_ipi_wrote_in_its_units(tmp_path, unit, factor, caplog):
    """i-PI knows no unit of charge, so that a rate has one of its units of velocity."""
    rates = series()
    head = "# column   1     --> step : The step.\n"
    head += f"# cols.    2-4   --> dipole_rate{unit} : The rate of the dipole.\n"
    rows = ["  ".join(map(repr, (10 * n, *map(float, r)))) for n, r in enumerate(rates)]
    path = tmp_path / "run.out"
    path.write_text(head + "\n".join(rows) + "\n")
    with caplog.at_level(logging.INFO):
        reader = stream(tmp_path, path, rates=True, timestep=SPACING)
    np.testing.assert_allclose(reader.dipole_rate()[:, 0], factor * rates, rtol=1e-12)
    assert ("i-PI writes what has no unit in atomic units" in caplog.text) == (not unit)


def head_names(kind):
    names = {"csv": "mu_", "comment": "dip_"}
    if kind == "ipi":
        return ("dipole[1]", "dipole[2]", "dipole[3]")
    return tuple(names[kind] + axis for axis in "xyz")


def test_columns_that_cannot_be_known_are_asked_for(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b,c,d\n" + "1,2,3,4\n" * 5)
    with pytest.raises(InputError, match="found a, b, c, d, expected --columns X Y Z"):
        stream(tmp_path, path)
    with pytest.raises(InputError, match=r"found 'e', expected one of these names, .* \(a, b, c"):
        stream(tmp_path, path, columns=("a", "b", "e"))


LAMMPS_LOG = """LAMMPS (22 Jul 2025)
units metal
thermo_style custom step temp c_dip[1] c_dip[2] c_dip[3]
Step Temp c_dip[1] c_dip[2] c_dip[3]
{first}
Loop time of 0.01 on 1 procs for 20 steps with 2 atoms
some line 1 2 3 4
Per MPI rank memory allocation (min/avg/max) = 4.4 | 4.4 | 4.4 Mbytes
   Step          Temp         c_dip[1]       c_dip[2]       c_dip[3]
WARNING: something
{second}
Loop time of 0.01 on 1 procs for 20 steps with 2 atoms
"""


def lammps_rows(values, steps):
    rows = zip(steps, values.tolist(), strict=True)
    return "\n".join(f"{step} 300.1 {x!r} {y!r} {z!r}" for step, (x, y, z) in rows)


def test_lammps_thermo_output_of_two_runs(tmp_path):
    values = series(41)
    # the second run repeats the last line of the first
    rows = (
        lammps_rows(values[:21], range(0, 105, 5)),
        lammps_rows(values[20:], range(100, 205, 5)),
    )
    path = tmp_path / "log.lammps"
    path.write_text(LAMMPS_LOG.format(first=rows[0], second=rows[1]))
    reader = stream(tmp_path, path, timestep=0.25)
    assert reader.header.stride == 5
    assert reader.n_frames == 40
    np.testing.assert_allclose(increments(reader), np.diff(values, axis=0), atol=1e-13)


def test_lammps_fix_ave_time(tmp_path):
    values = series(30)
    path = tmp_path / "dip.out"
    head = "# Time-averaged data for fix dip\n# TimeStep c_dip[1] c_dip[2] c_dip[3]\n"
    rows = [f"{2 * n} {x:.12g} {y:.12g} {z:.12g}" for n, (x, y, z) in enumerate(values)]
    path.write_text(head + "\n".join(rows) + "\n")
    reader = stream(tmp_path, path)
    assert reader.header.stride == 2
    np.testing.assert_allclose(increments(reader), np.diff(values, axis=0), atol=1e-10)


def extras(values, steps):
    heads = [f" #EXTRAS(dipole)# Step:  {step:10d} \n" for step in steps]
    rows = ["  ".join(f"{v:.16e}" for v in row) + "\n" for row in values]
    return "".join(h + r for h, r in zip(heads, rows, strict=True))


def test_extras_of_ipi_of_two_beads(tmp_path):
    first, second = series(20, 1), series(20, 2)
    files = [tmp_path / "sim.dip_0", tmp_path / "sim.dip_1"]
    for path, values in zip(files, (first, second), strict=True):
        path.write_text(extras(values, range(0, 80, 4)))
    reader = stream(tmp_path, *files, n_beads=2)
    assert (reader.header.stride, reader.header.n_beads) == (4, 2)
    mean = BOHR * (first + second) / 2
    np.testing.assert_allclose(increments(reader), np.diff(mean, axis=0), atol=1e-13)
    with pytest.raises(InputError, match="as many for each of 3 beads"):
        stream(tmp_path, *files, n_beads=3, name="t")


# ------------------------------------------------------------------ Berry phases


def test_cp2k_moments_of_quickstep(tmp_path):
    reader = stream(tmp_path, CP2K / "hf-moments.dat")
    found = [line.split() for line in (CP2K / "hf-moments.dat").open() if "X=" in line]
    dipoles = DEBYE * np.array([[float(words[k]) for k in (1, 3, 5)] for words in found])
    np.testing.assert_allclose(increments(reader), np.diff(dipoles, axis=0), atol=1e-12)
    # the molecule's dipole follows its bond
    frames = ase.io.read(CP2K / "hf-pos-1.xyz", ":")
    bonds = np.array([a.positions[0] - a.positions[1] for a in frames])
    changes = np.diff(bonds, axis=0)
    assert np.corrcoef(changes.ravel(), increments(reader).ravel())[0, 1] > 0.9999


def ions():
    """Σ q r of CP2K's own trajectory of four ions, e Å."""
    frames = ase.io.read(CP2K / "ions-pos-1.xyz", ":")
    charges = np.where(frames[0].symbols == "H", 1.0, -1.0)
    return np.array([charges @ atoms.positions for atoms in frames])


def test_jumps_of_the_berry_phase_of_cp2k(tmp_path, caplog):
    """Of a force field in a triclinic cell, against Σ q r of the same run, of the other sign."""
    with caplog.at_level(logging.INFO):
        reader = stream(tmp_path, CP2K / "ions.out")
    jumps = [r.args[1] for r in caplog.records if "jumps" in r.message]
    assert jumps == [3]
    np.testing.assert_allclose(increments(reader), -np.diff(ions(), axis=0), atol=1e-6)


def folded(values, cell):
    """Values of the Berry phase, between -1/2 and 1/2 of each lattice vector."""
    fractions = values @ np.linalg.inv(cell)
    return (fractions - np.round(fractions)) @ cell


CELL = np.array([[4.0, 0.0, 0.0], [0.7, 3.6, 0.0], [-0.5, 0.4, 3.8]])


def test_unwrapping_by_the_cell_of_a_structure(tmp_path):
    structure = tmp_path / "start.extxyz"
    ase.io.write(structure, Atoms("HF", [[0, 0, 0], [1, 0, 0]], cell=CELL, pbc=True))
    values = series(200)
    printed = folded(values, CELL)
    assert np.abs(np.diff(printed, axis=0)).max() > 3.0
    path = saved(tmp_path, printed)
    reader = stream(tmp_path, path, unwrap=True, structure=structure)
    np.testing.assert_allclose(increments(reader), np.diff(values, axis=0), atol=1e-12)
    assert reader.header.volume == pytest.approx(abs(np.linalg.det(CELL)))
    with pytest.raises(InputError, match=r"row \d+: dipole: found a jump .* --unwrap takes"):
        stream(tmp_path, path, name="t")
    with pytest.raises(InputError, match="--structure FILE with that of the run"):
        stream(tmp_path, path, name="t", unwrap=True)


def test_branches_that_are_not_clear_are_refused(tmp_path):
    structure = tmp_path / "start.extxyz"
    ase.io.write(structure, Atoms("HF", [[0, 0, 0], [1, 0, 0]], cell=CELL, pbc=True))
    path = saved(tmp_path, folded(series(200)[::20], CELL))
    with pytest.raises(InputError, match=r"branches of the Berry phase are 3\.\d+ e Å apart"):
        stream(tmp_path, path, unwrap=True, structure=structure)


def test_a_jump_is_not_differenced_silently(tmp_path):
    values = series()
    values[30:] += [0.0, 0.0, 40.0]
    with pytest.raises(InputError, match=r"row 31: dipole: found a jump of 40"):
        stream(tmp_path, saved(tmp_path, values))


@pytest.mark.thorough
def test_rough_series_are_no_jumps(tmp_path):
    """White noise, the worst that a series without jumps can be, and a jump in it."""
    values = np.random.default_rng(3).normal(size=(100_000, 3))
    reader = stream(tmp_path, saved(tmp_path, values))
    assert reader.n_frames == 99_999


# ------------------------------------------------------------------ what is refused


def test_values_that_are_not_finite(tmp_path):
    values = series()
    values[17, 1] = np.nan
    with pytest.raises(InputError, match=r"d\.npy, row 18: dipole: found .* nan "):
        stream(tmp_path, saved(tmp_path, values))
    path = tmp_path / "t.csv"
    path.write_text("mu_x,mu_y,mu_z\n1,2,3\n1,inf,3\n")
    with pytest.raises(InputError, match=r"t\.csv, line 3: dipole: found 1 inf 3"):
        stream(tmp_path, path)


def table(path, times, values, name="time[fs]"):
    rows = [f"{float(t)!r},{x},{y},{z}" for t, (x, y, z) in zip(times, values, strict=True)]
    path.write_text(f"{name},mu_x,mu_y,mu_z\n" + "\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize("name", ["time[fs]", "time", "step"])
def test_gaps_in_a_time_column(tmp_path, name):
    times = [float(t) for t in range(20)]
    del times[12:15]
    path = table(tmp_path / "t.csv", times, series(17), name)
    with pytest.raises(
        InputError, match=r"t\.csv, line 14: frames: found (times|steps) 11"
    ) as found:
        stream(tmp_path, path, timestep=1.0)
    assert "without a gap; make a stream of each part (in files of their own)" in str(found.value)


@pytest.mark.parametrize(("spacing", "stride"), [(2.0, 4), (2e-3, 4), (82.7, 4), (0.5, 1)])
def test_times_without_a_unit_count_rows_and_say_no_stride(tmp_path, spacing, stride):
    path = table(tmp_path / "t.csv", spacing * np.arange(20), series(20), "time")
    reader = stream(tmp_path, path, timestep=0.5, stride=stride)
    assert (reader.header.timestep, reader.header.stride) == (0.5, stride)
    assert reader.step.tolist() == list(range(stride, 20 * stride, stride))
    if stride == 1:  # the spacing of the rows is the time step, in fs
        assert stream(tmp_path, path, timestep=0.5, name="again").header.stride == 1
        return
    words = r"time: found a column without a unit, rows .* apart, .* expected --stride N"
    with pytest.raises(InputError, match=words):
        stream(tmp_path, path, timestep=0.5, name="again")


def test_times_and_time_step_must_agree(tmp_path):
    path = table(tmp_path / "t.csv", np.arange(20) * 0.5, series(20))
    with pytest.raises(InputError, match=r"frames 0\.5 fs apart, expected 2 fs = 4 steps of 0\.5"):
        stream(tmp_path, path, stride=4)
    with pytest.raises(InputError, match="no times in the file, expected --timestep"):
        stream(tmp_path, saved(tmp_path, series()), timestep=None)


def test_restarts_write_some_rows_again(tmp_path, caplog):
    values = series(30)
    before = values[:20] + 1e-4  # what was lost, and what came instead
    times = [*range(20), *range(15, 30)]
    rows = np.concatenate([before[:15], before[15:20], values[15:]])
    path = table(tmp_path / "t.csv", [0.5 * t for t in times], rows)
    with caplog.at_level(logging.INFO):
        reader = stream(tmp_path, path)
    assert "5 frames were written again later" in caplog.text
    expected = np.diff(np.concatenate([before[:15], values[15:]]), axis=0)
    np.testing.assert_allclose(increments(reader), expected, atol=1e-12)


def test_a_torn_last_line_is_left_out_and_others_are_refused(tmp_path, caplog):
    path = table(tmp_path / "t.csv", np.arange(20), series(20))
    whole = path.read_text()
    path.write_text(whole + "20,1.0,2")
    assert stream(tmp_path, path, timestep=1.0).n_frames == 19
    assert "line 22: incomplete, left out" in caplog.text
    path.write_text(whole + "20,1.0,2\n21,1,2,3\n")
    with pytest.raises(InputError, match=r"line 22: columns: found '20,1.0,2', expected 4 numbers"):
        stream(tmp_path, path, timestep=1.0, name="t")


# ------------------------------------------------------------------ again, and beside another


def test_a_series_that_grew_is_continued(tmp_path):
    values = series(50)
    stream(tmp_path, saved(tmp_path, values[:20]))
    reader = stream(tmp_path, saved(tmp_path, values))
    assert reader.n_frames == 49
    np.testing.assert_allclose(increments(reader), np.diff(values, axis=0), atol=1e-13)
    values[4:] += 0.01
    changed = saved(tmp_path, values)
    with pytest.raises(InputError, match=r"another rate than .* gives, in frame 3"):
        stream(tmp_path, changed)


def test_run_of_another_stream(tmp_path):
    atoms = Atoms("HF", [[0, 0, 0], [1, 0, 0]], cell=CELL, pbc=True)
    header = StreamHeader.for_atoms(atoms, timestep=0.5, stride=2, run_id="ab" * 16)
    with StreamWriter(tmp_path / "md", header) as writer:
        for n in range(4):
            frame = {"bead": np.zeros((1, 3))}
            writer.append(2 * n, n, frame, temperature=300.0 + n)
    path = saved(tmp_path, series())
    like = {"stride": 2, "run_of": tmp_path / "md"}
    reader = stream(tmp_path, path, **like)
    assert reader.header.run_id == "ab" * 16
    assert reader.header.system == header.system
    assert reader.header.temperature == pytest.approx(301.5)
    assert reader.header.volume == header.volume
    # the other one has four frames only
    assert reader.read("temperature") is None
    short = stream(tmp_path, saved(tmp_path, series(4), "e.npy"), name="u", **like)
    assert short.read("temperature").tolist() == [301.0, 302.0, 303.0]
    with pytest.raises(InputError, match=r"found 0\.5 fs, expected 0\.25 fs"):
        stream(tmp_path, path, timestep=0.25, run_of=tmp_path / "md", name="t")
    other = tmp_path / "other.xyz"
    ase.io.write(other, Atoms("HCl", [[0, 0, 0], [1, 0, 0]]), format="extxyz")
    with pytest.raises(InputError, match="one trajectory has one system"):
        stream(tmp_path, path, run_of=tmp_path / "md", structure=other, name="t")
