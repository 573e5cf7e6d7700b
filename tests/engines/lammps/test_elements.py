"""Elements of LAMMPS's types: by option, label, pair coefficients and mass, or refused."""

from __future__ import annotations

import numpy as np
import pytest
from ase.data import atomic_masses_iupac2016
from helpers.lammps_runs import needs_lammps, stream_of, write_script

from aptnn_md.engines.lammps.elements import element_of_mass, elements_of_types
from aptnn_md.errors import InputError
from aptnn_md.stream import StreamReader
from aptnn_md.testing.engines import LinearDipole


@pytest.mark.parametrize(
    ("mass", "number"),
    [(1.0, 1), (1.00794, 1), (2.014, 1), (12.0, 6), (12.011, 6), (14.0067, 7), (15.9994, 8),
     (16.0, 8), (22.98977, 11), (35.5, 17), (35.453, 17), (39.948, 18), (58.6934, 28),
     (58.933, 27), (63.55, 29), (196.97, 79)],
)  # fmt: skip
def test_masses_of_elements(mass, number):
    assert element_of_mass(mass) == number


@pytest.mark.parametrize("mass", [0.0, 0.4, 14.027, 15.035, 16.043, 18.015, 40.0, 59.0, 72.0])
def test_masses_that_may_be_something_else(mass):
    """United atoms, coarse water, and what rounds to two elements."""
    assert element_of_mass(mass) is None


def test_every_element_has_its_standard_mass():
    masses = [float(mass) for mass in atomic_masses_iupac2016]
    stable = [*range(1, 43), *range(44, 61), *range(62, 84)]
    assert [element_of_mass(masses[number]) for number in stable] == stable


def test_the_order_of_the_sources():
    masses = np.array([15.999, 1.008])
    assert elements_of_types(masses).tolist() == [8, 1]
    assert elements_of_types(masses, ["N", "H"]).tolist() == [7, 1]
    assert elements_of_types(np.array([1.0, 40.0]), (), {1: "H", 2: "Ca"}).tolist() == [1, 20]
    named = elements_of_types(np.array([40.0, 1.0]), (), None, ["pot.mace", "Ar", "H"])
    assert named.tolist() == [18, 1]
    # labels that are no symbols say nothing, nor do numbers of a pair style
    assert elements_of_types(masses, (), {1: "OW", 2: "H"}, ["0.1", "3.0"]).tolist() == [8, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([14.027],), "atom type 1: found no element of mass 14.027 amu beyond doubt"),
        (([15.999, 1.008], (), {1: "H", 2: "O"}), "H by name, O by its mass of 15.999 amu"),
        (([15.999, 1.008], (), None, ["f", "H", "O"]), "H by name, O by its mass"),
        (([15.999, 1.008], ["O"]), "found 1 symbols, expected 2"),
        (([15.999], ["Q"]), "found 'Q', expected chemical symbols"),
        (([0.0],), "--elements"),
    ],
)
def test_doubt_is_refused(arguments, message):
    masses, *others = arguments
    with pytest.raises(InputError, match=message):
        elements_of_types(np.array(masses), *others)


@needs_lammps
@pytest.mark.parametrize(
    ("before", "settings", "formula"),
    [
        ("", {}, "H4Cl4O4"),
        ("labelmap atom 1 H 2 O 3 Cl", {}, "H4Cl4O4"),
        ("mass 3 40.0\nlabelmap atom 1 H 2 O 3 Ca", {}, "H4Ca4O4"),
        ("mass 3 40.0", {"elements": ("H", "O", "Ar")}, "H4Ar4O4"),
        ("mass 1 2.014", {}, "H4Cl4O4"),
    ],
)
def test_of_a_script(before, settings, formula, tmp_path):
    write_script(tmp_path, "run 5", before=before)
    stream_of(tmp_path, LinearDipole(), groups="element", **settings)
    header = StreamReader(tmp_path / "s.zarr").header
    assert header.formula == formula
    assert header.masses["H"] == ((2.014,) if "2.014" in before else (1.008,))


@needs_lammps
def test_a_script_in_doubt_is_refused(tmp_path):
    write_script(tmp_path, "run 5", before="mass 3 40.0")
    with pytest.raises(InputError, match="atom type 3: found no element of mass 40 amu"):
        stream_of(tmp_path, LinearDipole())
    assert not (tmp_path / "s.zarr").exists()
