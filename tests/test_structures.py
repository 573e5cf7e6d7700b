import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import Calculator
from ase.constraints import (
    FixAtoms,
    FixBondLengths,
    FixCartesian,
    FixCom,
    FixedLine,
    FixedPlane,
    Hookean,
)
from helpers import toy_molecules as toy

from aptnn_md.errors import InputError
from aptnn_md.structure_checks import check_structure
from aptnn_md.structures import (
    Mobility,
    calculator_charge,
    charge_of,
    degrees_of_freedom,
    mobile,
    total_charge,
)


class Charged(Calculator):
    def __init__(self):
        super().__init__(charge=-1)


@pytest.mark.parametrize("key", ["charge", "total_charge", "Charge", "net_charge", "totalCharge"])
def test_charge_of_a_frame_by_any_of_its_names(key):
    atoms = Atoms("OH", info={key: -1})
    assert charge_of(atoms) == -1.0
    assert total_charge(atoms) == total_charge(atoms, -1.0) == -1.0
    with pytest.raises(InputError, match=r"-1 e in the structure and 0 e as total charge.*option"):
        total_charge(atoms, 0.0)


def test_charge_where_the_frame_has_none():
    atoms = Atoms("OH")
    assert charge_of(atoms) is None
    assert charge_of(atoms, 2.0) == 2.0
    assert total_charge(atoms) == 0.0
    assert total_charge(atoms, -1.0) == -1.0


def test_charge_of_the_calculator():
    class Around(Calculator):
        potential = Charged()

    atoms = Atoms("OH", calculator=Around())
    assert calculator_charge(atoms.calc) == charge_of(atoms) == -1.0
    atoms.info["charge"] = 0
    with pytest.raises(InputError, match=r"0 e by 'charge' of the frame and -1 e by the calculat"):
        charge_of(atoms)


@pytest.mark.parametrize("value", ["minus one", float("nan"), [1, 2], None])
def test_a_charge_that_is_no_number_is_refused(value):
    with pytest.raises(InputError, match=r"charge: found .*, expected a finite number"):
        charge_of(Atoms("OH", info={"charge": value}))


def test_two_charges_in_a_frame_must_agree():
    with pytest.raises(InputError, match="1 e by 'charge' of the frame and -1 e by 'total_charge'"):
        charge_of(Atoms("OH", info={"charge": 1, "total_charge": -1}))
    assert charge_of(Atoms("OH", info={"charge": -1, "total_charge": -1.0})) == -1.0


class TBLite(Calculator):
    """What tblite's calculator says of charges: its parameter, or else the initial charges."""

    default_parameters = {"charge": None}  # noqa: RUF012


@pytest.mark.parametrize(
    ("charge", "initial", "of_frame", "expected"),
    [
        (None, [0.0, 0.0], None, 0.0),
        (None, [-1.0, 0.0], None, -1.0),
        (None, [-1.0, 0.0], -1, -1.0),
        (-1, [0.0, 0.0], -1, -1.0),
        (-1, [1.0, 1.0], None, -1.0),
        (None, [0.0, 0.0], -1, None),
        (None, [-1.0, 0.0], 0, None),
    ],
)
def test_calculators_that_take_initial_charges(charge, initial, of_frame, expected):
    atoms = Atoms("OH", charges=initial)
    if of_frame is not None:
        atoms.info["charge"] = of_frame
    atoms.calc = TBLite(charge=charge)
    if expected is not None:
        assert charge_of(atoms) == expected
        return
    words = rf"charge: found {of_frame} e by .* e by the calculator TBLite, .*charge={of_frame}"
    with pytest.raises(InputError, match=words):
        charge_of(atoms)


def constrained(*constraints):
    atoms = toy.structure(2)  # six atoms
    atoms.set_constraint(list(constraints))
    return atoms


@pytest.mark.parametrize(
    ("constraints", "expected", "of_atoms"),
    [
        ([], 18, [3] * 6),
        ([FixAtoms([0, 1, 2])], 9, [0, 0, 0, 3, 3, 3]),
        ([FixAtoms([0, 1, 2]), FixAtoms([2, 3])], 6, [0, 0, 0, 0, 3, 3]),
        ([FixCartesian([1], (True, False, True))], 16, [3, 1, 3, 3, 3, 3]),
        ([FixedPlane([5], (1, 1, 0))], 17, [3, 3, 3, 3, 3, 2]),
        ([FixedLine([0], (1, 2, 3))], 16, [1, 3, 3, 3, 3, 3]),
        ([FixCom()], 15, [3] * 6),
        ([FixBondLengths([[0, 1], [3, 4]])], 16, [3] * 6),
        ([Hookean(a1=0, a2=1, rt=2.0, k=1.0)], 18, [3] * 6),
    ],
)
def test_degrees_of_freedom(constraints, expected, of_atoms):
    atoms = constrained(*constraints)
    assert degrees_of_freedom(atoms) == pytest.approx(expected)
    assert Mobility.of(atoms).atoms == pytest.approx(of_atoms)
    assert mobile(atoms).tolist() == [n > 0 for n in of_atoms]


def test_constraints_in_words():
    assert Mobility.of(constrained()).summary() == ""
    assert Mobility.of(constrained(FixAtoms([0, 1]))).summary() == "2 of 6 atoms fixed"
    rigid = Mobility.of(constrained(FixBondLengths([[0, 1]])))
    assert rigid.summary() == "FixBondLengths (1 degrees of freedom)"
    assert rigid.unaccounted == ("FixBondLengths",)
    assert not Mobility.of(constrained(Hookean(a1=0, a2=1, rt=2.0, k=1.0))).unaccounted
    both = Mobility.of(constrained(FixAtoms([0]), FixCom()))
    assert both.unaccounted == ("FixCom with fixed atoms",)


@pytest.mark.parametrize(
    "constraints",
    [
        [FixAtoms([0, 4])],
        [FixCartesian([1, 3], (True, False, False))],
        [FixedPlane([5], (1, 1, 0)), FixedLine([0], (1, 2, 3))],
        [FixCom()],
    ],
)
def test_restricted_tensors_give_the_strength_of_constrained_velocities(constraints):
    atoms = constrained(*constraints)
    apt = np.random.default_rng(0).normal(size=(6, 3, 3))
    restricted = Mobility.of(atoms).restrict(apt)
    # momenta drawn freely and put through the constraints, by ASE
    random = np.random.default_rng(1)
    masses = atoms.get_masses()
    rates = []
    for _ in range(6000):
        atoms.set_momenta(random.normal(size=(6, 3)) * np.sqrt(masses)[:, None])
        rates.append(np.einsum("iab,ib->a", apt, atoms.get_momenta() / masses[:, None]))
    squares = (np.array(rates) ** 2).sum(axis=1)
    error = squares.std() / np.sqrt(len(squares))
    expected = (restricted**2 / masses[:, None, None]).sum()
    assert abs(squares.mean() - expected) < 4 * error
    assert error < 0.05 * expected


def test_water_knows_no_charge():
    assert charge_of(molecule("H2O")) is None


def test_cell_vectors_whose_lengths_nothing_compares_with():
    cell = [[-5e6, -4e6, 5e6], [-2e7, 2e7, 7e7], [4e-12, 3e-12, -2e-12]]
    atoms = Atoms("H", cell=cell, pbc=True)
    with pytest.raises(InputError, match=r"cell: found pbc .*comparable lengths"):
        check_structure(atoms)
