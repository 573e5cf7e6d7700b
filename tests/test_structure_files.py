import bz2
import contextlib
import gzip
import logging
import lzma
import types

import ase.io
import numpy as np
import pytest
from ase import Atoms, units
from ase.build import molecule
from helpers.paths import DATA

from aptnn_md import structure_files
from aptnn_md.errors import InputError
from aptnn_md.structure_columns import ISOTOPE_MASSES, VELOCITY_UNITS, kinetic_temperature
from aptnn_md.structure_files import read_structure, read_structures

STRUCTURES = DATA / "structures"
LATTICE = 'Lattice="6 0 0 0 6 0 0 0 6"'


def written(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def thermal_water(kelvin=300.0):
    """Water molecule with velocities, Å/fs, of that kinetic temperature."""
    atoms = molecule("H2O")
    velocities = np.random.default_rng(3).normal(size=(3, 3))
    scale = np.sqrt(kelvin / kinetic_temperature(atoms.get_masses(), velocities))
    return atoms, scale * velocities


def extxyz(path, atoms, **columns):
    atoms = atoms.copy()
    for name, values in columns.items():
        atoms.arrays[name] = np.asarray(values, dtype=float)
    ase.io.write(path, atoms, format="extxyz")
    return path


# ---------------------------------------------------------------------- files


@pytest.mark.parametrize("name", ["a@1.xyz", "a,b.xyz", "a:0.xyz", "run@-1", "x@0:2.extxyz"])
def test_an_existing_path_wins_over_separators(tmp_path, name):
    ase.io.write(tmp_path / name, [molecule("H2O"), molecule("CH4")], format="extxyz")
    assert len(read_structure(tmp_path / name)) == 5
    assert [len(atoms) for atoms in read_structures(str(tmp_path / name))] == [3, 5]


def test_an_index_after_a_file(tmp_path):
    ase.io.write(tmp_path / "a.xyz", [molecule("H2O"), molecule("CH4")])
    assert len(read_structure(f"{tmp_path / 'a.xyz'}@0")) == 3
    assert len(read_structures(f"{tmp_path / 'a.xyz'}@1:")) == 1


def test_more_atoms_than_lines_are_refused_at_once(tmp_path):
    path = written(tmp_path / "a.xyz", "999999999", "", "H 0 0 0")
    with pytest.raises(InputError, match="file: found 999999999 atoms declared, 1 lines"):
        read_structure(path)


def test_columns_that_no_line_has_are_refused_at_once(tmp_path):
    comment = "Properties=species:S:1:pos:R:999999999999:charge:R:1"
    path = written(tmp_path / "a.xyz", "1", comment, "H 0 0 0 1")
    with pytest.raises(InputError, match=r"a\.xyz: Properties: found 10+1 columns"):
        read_structure(path)


@pytest.mark.parametrize("text", ["", "two\n\nH 0 0 0\n", "1\n\nXx 0 0 0\n", "1\n\nH 0 0\n"])
def test_unreadable_files_are_named(tmp_path, text):
    path = tmp_path / "bad.xyz"
    path.write_text(text)
    for read in (read_structure, read_structures):
        with pytest.raises(InputError, match=r"bad\.xyz"):
            read(path)
    with pytest.raises(InputError, match=r"none\.xyz: file: found nothing"):
        read_structure(tmp_path / "none.xyz")


def test_columns_without_a_name_are_named_in_a_warning(tmp_path, caplog):
    path = written(tmp_path / "a.xyz", "1", "", "H 0 0 0 0.1 0.2 0.3")
    read_structure(path)
    assert "the columns after the first 4 of 7 are not used" in caplog.text


def test_columns_without_a_name_are_told_once_of_all_frames(tmp_path, caplog):
    frame = ["2", "", "H 0 0 0 0.1 0.2 0.3", "D 0 0 1 0.1 0.2 0.3"]
    path = written(tmp_path / "a.xyz", *(3 * frame))
    assert len(read_structures(path)) == 3
    assert caplog.text.count("are not used") == 1
    assert "of 7 are not used (in 3 frames): the comment line names columns" in caplog.text


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".bz2"])
def test_compressed_files_are_read_line_by_line(tmp_path, monkeypatch, suffix):
    """To seek in them is to read all that comes before again."""
    lines = ["2", "", "H 0 0 0", "D 0 0 1", "VEC1 5 0 0", "VEC2 0 6 0", "VEC3 1 0 7"]
    frame = [*lines, *lines[:4]]
    path = written(tmp_path / "a.xyz", *(20 * frame))
    compressed = path.with_name(f"a.xyz{suffix}")
    open_compressed = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}[suffix]
    with open_compressed(compressed, "wt") as out:
        out.write(path.read_text())

    @contextlib.contextmanager
    def one_way(name, mode, open_file=structure_files.open_with_compression):
        with open_file(name, mode) as file:
            yield types.SimpleNamespace(readline=file.readline)

    monkeypatch.setattr(structure_files, "open_with_compression", one_way)
    frames = read_structures(compressed)
    assert len(frames) == 40
    for atoms, same in zip(frames, read_structures(path), strict=True):
        assert atoms == same
        np.testing.assert_array_equal(atoms.get_masses(), same.get_masses())
    assert frames[0].get_masses()[1] == pytest.approx(2.014, abs=1e-3)
    np.testing.assert_array_equal(frames[0].cell.array[2], [1, 0, 7])


@pytest.mark.parametrize("factor", [0.0, 0.1])
def test_atoms_on_top_of_each_other_are_refused(tmp_path, factor):
    """As of a file in nanometres."""
    atoms = molecule("H2O")
    atoms.positions *= factor
    ase.io.write(tmp_path / "a.xyz", atoms)
    with pytest.raises(InputError, match=r"positions: found .* Å between atoms 0 and [12], expec"):
        read_structures(tmp_path / "a.xyz")
    assert len(read_structure(tmp_path / "a.xyz", positions=False)) == 3


def test_initial_charges_that_look_like_a_charge_are_named(tmp_path, caplog):
    water = molecule("OH")
    water.set_initial_charges([-1.3, 0.3])
    ase.io.write(tmp_path / "a.extxyz", water)
    read_structure(tmp_path / "a.extxyz")
    assert "the initial charges add up to -1 e, which is not taken" in caplog.text
    caplog.clear()
    water.info["charge"] = -1
    ase.io.write(tmp_path / "a.extxyz", water)
    read_structure(tmp_path / "a.extxyz")
    assert not caplog.text


def test_types_of_lammps_are_no_elements(tmp_path):
    lines = ["ITEM: TIMESTEP", "0", "ITEM: NUMBER OF ATOMS", "2", "ITEM: BOX BOUNDS pp pp pp"]
    box = ["0 9", "0 9", "0 9"]
    bare = [*lines, *box, "ITEM: ATOMS id type x y z", "1 1 0 0 0", "2 2 1 0 0"]
    with pytest.raises(InputError, match="elements: found types of LAMMPS alone"):
        read_structure(written(tmp_path / "a.lammpstrj", *bare))
    named = [*lines, *box, "ITEM: ATOMS id element x y z", "1 O 0 0 0", "2 H 1 0 0"]
    assert str(read_structure(written(tmp_path / "b.lammpstrj", *named)).symbols) == "OH"


@pytest.mark.parametrize(("style", "unit"), [("real", "Å/fs"), ("metal", "Å/ps")])
def test_velocities_of_lammps_in_either_unit(tmp_path, style, unit):
    atoms, velocities = thermal_water()
    lines = ["ITEM: TIMESTEP", "0", "ITEM: NUMBER OF ATOMS", "3", "ITEM: BOX BOUNDS pp pp pp"]
    lines += ["0 9", "0 9", "0 9", "ITEM: ATOMS id element x y z vx vy vz"]
    for k, (symbol, r, v) in enumerate(
        zip(atoms.symbols, atoms.positions, velocities / VELOCITY_UNITS[unit], strict=True)
    ):
        lines.append(f"{k + 1} {symbol} " + " ".join(f"{x:.12f}" for x in [*r, *v]))
    found = read_structure(written(tmp_path / f"{style}.lammpstrj", *lines))
    assert found.get_velocities() * units.fs == pytest.approx(velocities, rel=1e-6)


# ---------------------------------------------------------------------- i-PI


def test_comment_of_ipi_gives_cell_and_units(tmp_path):
    comment = "# CELL(abcABC): 20 22 24 90 90 90 Step: 0 Bead: 0 positions{atomic_unit} "
    path = written(tmp_path / "a.xyz", "2", comment + "cell{angstrom}", "O 0 0 0", "H 0 0 1.8")
    atoms = read_structure(path)
    assert atoms.cell.lengths() == pytest.approx([20, 22, 24])
    assert atoms.pbc.all()
    assert atoms.get_distance(0, 1) == pytest.approx(1.8 * units.Bohr)


def test_comment_of_ipi_without_units_is_refused_unless_only_elements_count(tmp_path):
    path = written(tmp_path / "a.xyz", "1", "# CELL(abcABC): 20 22 24 90 90 90", "D 0 0 0")
    with pytest.raises(InputError, match=r"no unit, expected positions\{angstrom\}"):
        read_structure(path)
    elements = read_structure(path, positions=False)
    assert elements.get_masses() == pytest.approx([ISOTOPE_MASSES["D"]])


def test_a_file_of_velocities_of_ipi_is_no_structure(tmp_path):
    comment = "# CELL(H): 9 0 0 0 9 0 0 0 9 velocities{atomic_unit} cell{atomic_unit}"
    with pytest.raises(InputError, match="velocities of i-PI, expected a file of positions"):
        read_structure(written(tmp_path / "v.xyz", "1", comment, "H 1e-4 0 0"))


# ---------------------------------------------------------------------- masses


@pytest.mark.parametrize("name", ["d2o_mass.extxyz", "d2o_D.extxyz"])
def test_masses_of_heavy_water(name, caplog):
    caplog.set_level(logging.INFO, "aptnn_md")
    atoms = read_structure(STRUCTURES / name)
    assert set(atoms.symbols) == {"O", "H"}
    assert atoms.get_masses()[atoms.numbers == 1] == pytest.approx(2.014, abs=2e-4)
    assert atoms.get_masses()[atoms.numbers == 8] == pytest.approx(15.999)
    assert "masses from" in caplog.text


def test_symbols_of_isotopes_in_any_xyz_file(tmp_path):
    path = written(tmp_path / "a.xyz", "4", "nothing", "O 0 0 0", "D 1 0 0", "T 0 1 0", "H 0 0 1")
    expected = [15.999, ISOTOPE_MASSES["D"], ISOTOPE_MASSES["T"], 1.008]
    assert read_structure(path).get_masses() == pytest.approx(expected)
    second = f"{LATTICE} Properties=pos:R:3:species:S:1:label:S:1"
    lines = ["1", "plain", "H 0 0 0", "2", second, "0 0 0 O D", "1 0 0 D T"]
    frames = read_structures(written(tmp_path / "b.extxyz", *lines))
    assert not frames[0].has("masses")
    assert frames[1].get_masses() == pytest.approx([15.999, ISOTOPE_MASSES["D"]])
    assert frames[1].arrays["label"].tolist() == ["D", "T"]


def test_isotopes_elsewhere_are_refused_with_a_way_out(tmp_path):
    text = ["D2O", "1.0", "9 0 0", "0 9 0", "0 0 9", "D O", "2 1", "Cartesian"]
    path = written(tmp_path / "POSCAR", *text, "1 0 0", "0 1 0", "0 0 0")
    with pytest.raises(InputError, match="extxyz file, which may have D and T"):
        read_structure(path)


def test_masses_are_kept_when_the_structure_is_written(tmp_path):
    atoms = read_structure(STRUCTURES / "d2o_mass.extxyz")
    ase.io.write(tmp_path / "again.extxyz", atoms)
    again = read_structure(tmp_path / "again.extxyz")
    assert again.get_masses() == pytest.approx(atoms.get_masses())


@pytest.mark.parametrize(
    ("masses", "message"),
    [
        ([16.0, -2.0, 2.0], "mass: found -2 at atom 1, expected positive"),
        ([16.0, np.nan, 2.0], "mass: found nan at atom 1, expected positive"),
        ([1.0, 1.0, 1.0], "mass: found 1 for O at atom 0, expected masses in amu"),
        ([16.0, 0.1, 2.0], "mass: found 0.1 for H at atom 1"),
    ],
)
def test_implausible_masses_are_refused(tmp_path, masses, message):
    with pytest.raises(InputError, match=message):
        read_structure(extxyz(tmp_path / "a.extxyz", molecule("H2O"), mass=masses))


def test_masses_that_contradict_each_other_are_refused(tmp_path):
    water = molecule("H2O")
    path = extxyz(tmp_path / "a.extxyz", water, mass=[16, 2.014, 2.014], masses=[16, 1, 1])
    with pytest.raises(InputError, match="other masses than 'mass'"):
        read_structure(path)
    lines = [f"{LATTICE} Properties=species:S:1:pos:R:3:mass:R:1", "D 0 0 0 1.008"]
    with pytest.raises(InputError, match=r"found 1\.008 at atom 0, expected 2\.014 amu, as its sy"):
        read_structure(written(tmp_path / "b.extxyz", "1", *lines))


def test_masses_of_other_programs_units(tmp_path):
    # QUIP: eV fs²/Å²
    path = extxyz(tmp_path / "a.extxyz", molecule("H2O"), mass=[1658.2, 208.7, 208.7])
    assert read_structure(path).get_masses() == pytest.approx([16.0, 2.014, 2.014], rel=1e-3)


# ---------------------------------------------------------------------- velocities


def test_velocities_of_gpumd():
    atoms = read_structure(STRUCTURES / "vel.extxyz")
    assert atoms.get_velocities()[0] * units.fs == pytest.approx(
        [0.00125730, -0.00132105, 0.00640423]
    )
    assert "vel" not in atoms.arrays


@pytest.mark.parametrize("column", ["vel", "velo", "velocities"])
def test_columns_in_angstrom_per_femtosecond(tmp_path, column, caplog):
    caplog.set_level(logging.INFO, "aptnn_md")
    atoms, velocities = thermal_water()
    found = read_structure(extxyz(tmp_path / "a.extxyz", atoms, **{column: velocities}))
    assert found.get_velocities() * units.fs == pytest.approx(velocities, rel=1e-5, abs=1e-7)
    assert f"velocities from column {column} in Å/fs, 300 K" in caplog.text


@pytest.mark.parametrize("unit", VELOCITY_UNITS)
@pytest.mark.parametrize("kelvin", [40.0, 300.0, 2000.0])
def test_velocities_of_an_unnamed_unit(tmp_path, unit, kelvin, caplog):
    caplog.set_level(logging.INFO, "aptnn_md")
    atoms, velocities = thermal_water(kelvin)
    path = tmp_path / "a.traj"
    path = extxyz(tmp_path / "a.extxyz", atoms)
    columns = velocities / VELOCITY_UNITS[unit]
    rows = [
        f"{s} " + " ".join(f"{x:.10g}" for x in [*r, *v])
        for s, r, v in zip(atoms.symbols, atoms.positions, columns, strict=True)
    ]
    properties = "Properties=species:S:1:pos:R:3:velocities:R:3"
    found = read_structure(written(path, "3", f'{properties} pbc="F F F"', *rows))
    assert found.get_velocities() * units.fs == pytest.approx(velocities, rel=1e-6)
    assert f"in {unit}, {kelvin:.4g} K" in caplog.text


def test_velocities_that_mean_no_plausible_temperature_are_refused(tmp_path):
    atoms, velocities = thermal_water(1e-5)
    with pytest.raises(InputError, match=r"an unknown unit \(.*expected a column whose unit is kn"):
        read_structure(extxyz(tmp_path / "a.extxyz", atoms, velocities=velocities))
    atoms, velocities = thermal_water(300.0)
    with pytest.raises(InputError, match=r"vel: found .* K in Å/fs, but 300 K in Å/ps"):
        read_structure(extxyz(tmp_path / "b.extxyz", atoms, vel=1000.0 * velocities))


def test_momenta_of_ase_are_read_as_they_are(tmp_path, caplog):
    caplog.set_level(logging.INFO, "aptnn_md")
    atoms, velocities = thermal_water()
    atoms.set_velocities(velocities / units.fs)
    ase.io.write(tmp_path / "a.extxyz", atoms)
    found = read_structure(tmp_path / "a.extxyz")
    assert found.get_velocities() * units.fs == pytest.approx(velocities, abs=1e-7)
    assert "velocities from momenta, 300 K" in caplog.text
    path = extxyz(tmp_path / "b.extxyz", atoms, vel=2.0 * velocities)
    with pytest.raises(InputError, match="vel: found velocities other than the frame's others"):
        read_structure(path)
    extxyz(path, atoms, vel=velocities)
    assert read_structure(path).get_velocities() * units.fs == pytest.approx(velocities, rel=1e-5)


def test_velocities_of_wrong_shape_are_refused(tmp_path):
    path = extxyz(tmp_path / "a.extxyz", Atoms("H"), vel=[[1.0, 2.0]])
    with pytest.raises(InputError, match=r"vel: found shape \(1, 2\)"):
        read_structure(path)
