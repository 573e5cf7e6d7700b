"""APTCalculator: what it gives, when it evaluates the network, and the field."""

from __future__ import annotations

import copy
import pickle

import ase.io
import helpers.toy_molecules as toy
import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.emt import EMT
from ase.calculators.fd import calculate_numerical_forces
from ase.calculators.singlepoint import SinglePointCalculator
from ase.md.nptberendsen import NPTBerendsen
from ase.md.verlet import VelocityVerlet
from helpers.systems import random_checkpoint, triclinic

from aptnn_md.engines.ase.calculator import APTCalculator
from aptnn_md.errors import InputError
from aptnn_md.potentials.loading import load_potential
from aptnn_md.prediction.joined import JoinedModel
from aptnn_md.prediction.model_file import write_model_file
from aptnn_md.prediction.predictor import Predictor

FIELD = np.array([0.11, -0.23, 0.31])


@pytest.fixture
def atoms():
    return toy.structure(n_molecules=2, pbc=True)


def test_toy_tensors_and_forces_are_derivatives(atoms):
    """The analytic reference of all tests, against finite differences."""
    start, step = atoms.positions, 1e-5
    numerical = np.zeros((len(atoms), 3, 3))
    for i in range(len(atoms)):
        for b in range(3):
            plus, minus = start.copy(), start.copy()
            plus[i, b] += step
            minus[i, b] -= step
            numerical[i, :, b] = (toy.dipole(plus) - toy.dipole(minus)) / (2 * step)
    exact = toy.polar_tensors(start)
    np.testing.assert_allclose(exact, numerical, atol=1e-8)
    antisymmetric = exact - exact.transpose(0, 2, 1)
    assert np.abs(antisymmetric).max() > 0.3
    atoms.calc = toy.Potential()
    np.testing.assert_allclose(
        atoms.get_forces(), calculate_numerical_forces(atoms, eps=1e-5), atol=1e-7
    )


def test_results_are_the_potentials_and_the_models(atoms):
    atoms.calc = APTCalculator(toy.Tensors(), toy.Potential())
    reference = atoms.copy()
    reference.calc = toy.Potential()
    assert atoms.get_potential_energy() == reference.get_potential_energy()
    assert atoms.get_potential_energy(force_consistent=True) == reference.get_potential_energy()
    np.testing.assert_array_equal(atoms.get_forces(), reference.get_forces())
    np.testing.assert_array_equal(atoms.get_stress(), reference.get_stress())
    apt = atoms.calc.get_property("born_effective_charges", atoms)
    np.testing.assert_array_equal(apt, toy.polar_tensors(atoms.positions))
    np.testing.assert_array_equal(atoms.calc.results["born_effective_charges"], apt)


def test_network_is_evaluated_only_when_asked_for_and_once(atoms):
    model, potential = toy.Tensors(), toy.Potential()
    atoms.calc = APTCalculator(model, potential)
    VelocityVerlet(atoms, toy.timestep(0.5)).run(10)
    assert (model.n_calls, potential.n_calls) == (0, 11)
    for _ in range(3):
        atoms.calc.get_property("born_effective_charges", atoms)
        atoms.get_forces()
        atoms.get_potential_energy()
    assert (model.n_calls, potential.n_calls) == (1, 11)
    for change in (
        lambda: atoms.rattle(0.01),
        lambda: atoms.set_cell(atoms.cell.array * 1.01),
        lambda: atoms.set_pbc((True, True, False)),
        lambda: atoms.symbols.__setitem__(2, "Br"),
    ):
        before = model.n_calls
        change()
        atoms.calc.get_property("born_effective_charges", atoms)
        assert model.n_calls == before + 1
    atoms.set_initial_charges(np.ones(len(atoms)))
    atoms.calc.get_property("born_effective_charges", atoms)
    assert model.n_calls == before + 1, "initial charges do not enter"


def test_field_force_is_the_derivative_of_the_enthalpy(atoms):
    """F = -∂(U - M·E)/∂r by finite differences; tensors transposed would be far off."""
    atoms.calc = APTCalculator(toy.Tensors(), toy.Potential(), efield=FIELD)

    def enthalpy(positions):
        return toy.energy_forces_virial(positions)[0] - toy.dipole(positions) @ FIELD

    forces, step = atoms.get_forces(), 1e-5
    numerical = np.zeros_like(forces)
    for index in np.ndindex(forces.shape):
        plus, minus = atoms.positions.copy(), atoms.positions.copy()
        plus[index] += step
        minus[index] -= step
        numerical[index] = -(enthalpy(plus) - enthalpy(minus)) / (2 * step)
    np.testing.assert_allclose(forces, numerical, atol=1e-7)
    assert atoms.get_potential_energy() == toy.energy_forces_virial(atoms.positions)[0]
    wrong = APTCalculator(toy.Tensors(transposed=True), toy.Potential(), efield=FIELD)
    assert np.abs(wrong.get_forces(atoms) - numerical).max() > 0.05


def test_field_evaluates_once_a_step_and_can_be_changed(atoms):
    model, potential = toy.Tensors(), toy.Potential()
    atoms.calc = APTCalculator(model, potential, efield=FIELD)
    VelocityVerlet(atoms, toy.timestep(0.5)).run(5)
    assert (model.n_calls, potential.n_calls) == (6, 6)
    with_field = atoms.get_forces()
    atoms.calc.efield = 2 * FIELD
    twice = atoms.get_forces()
    atoms.calc.efield = None
    without = atoms.get_forces()
    np.testing.assert_allclose(twice - with_field, with_field - without, atol=1e-12)
    assert (model.n_calls, potential.n_calls) == (6, 6), "a new field needs no new evaluation"


def test_field_does_not_ask_a_separate_model_of_gradients():
    atoms = triclinic(0)
    parts = [Predictor(random_checkpoint(seed=k, target=t)) for k, t in enumerate(("pgt", "apt"))]
    model = JoinedModel(parts)
    atoms.calc = APTCalculator(model, efield=FIELD)
    forces = atoms.get_forces()
    np.testing.assert_allclose(forces, np.einsum("nab,a->nb", parts[1](atoms), FIELD), atol=1e-7)
    assert atoms.calc.n_evaluations == 1
    tensors = atoms.calc.tensors(atoms)
    assert atoms.calc.n_evaluations == 2  # of the gradients, no second one of the APTs
    for target, expected in model.evaluate([atoms])[0].items():
        np.testing.assert_array_equal(tensors[target], expected)
    atoms.rattle(0.01, seed=1)
    assert set(atoms.calc.tensors(atoms)) == {"apt", "pgt"}
    assert np.abs(atoms.calc.tensors(atoms)["pgt"] - tensors["pgt"]).max() > 1e-6
    assert atoms.calc.n_evaluations == 4


def test_energy_first_does_not_leave_forces_without_the_field(atoms):
    model = toy.Tensors()
    atoms.calc = APTCalculator(model, toy.Potential(), efield=FIELD)
    atoms.get_potential_energy()
    assert model.n_calls == 0
    plain = toy.energy_forces_virial(atoms.positions)[1]
    assert np.abs(atoms.get_forces() - plain).max() > 0.01


def test_field_alone_gives_field_forces(atoms):
    atoms.calc = APTCalculator(toy.Tensors(), efield=FIELD)
    expected = np.einsum("nab,a->nb", toy.polar_tensors(atoms.positions), FIELD)
    np.testing.assert_allclose(atoms.get_forces(), expected, atol=1e-15)


@pytest.mark.parametrize("name", ["energy", "forces", "stress", "free_energy"])
def test_without_a_potential_the_error_says_what_to_do(atoms, name):
    atoms.calc = APTCalculator(toy.Tensors())
    with pytest.raises(
        PropertyNotImplementedError, match=f"{name}: APTCalculator has no potential"
    ):
        atoms.calc.get_property(name, atoms)


def test_no_stress_in_a_field(atoms):
    atoms.calc = APTCalculator(toy.Tensors(), toy.Potential(), efield=FIELD)
    with pytest.raises(PropertyNotImplementedError, match="stress: not available in an electric"):
        atoms.get_stress()
    with pytest.raises(PropertyNotImplementedError, match="magmoms: not a property of Potential"):
        atoms.get_magnetic_moments()


def test_any_ase_calculator_as_potential():
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=1)
    atoms.calc = APTCalculator(lambda a: np.zeros((len(a), 3, 3)), EMT())
    reference = atoms.copy()
    reference.calc = EMT()
    for name in ("energy", "forces", "stress", "energies"):
        np.testing.assert_allclose(
            atoms.calc.get_property(name, atoms), reference.calc.get_property(name, reference)
        )
    first = atoms.get_forces()
    kept = atoms.calc.results["forces"]
    atoms.rattle(0.05, seed=2)
    atoms.get_forces()
    np.testing.assert_array_equal(kept, first)


def test_committee_gives_its_standard_deviation(atoms):
    model = toy.Committee()
    atoms.calc = APTCalculator(model, toy.Potential())
    mean = atoms.calc.get_property("born_effective_charges", atoms)
    std = atoms.calc.get_property("born_effective_charges_std", atoms)
    assert model.n_calls == 1
    factors, tensors = toy.Committee.factors, toy.polar_tensors(atoms.positions)
    np.testing.assert_allclose(mean, factors.mean() * tensors, atol=1e-14)
    np.testing.assert_allclose(std, factors.std(ddof=1) * np.abs(tensors), atol=1e-14)
    properties = atoms.get_properties(["energy", "born_effective_charges"])
    np.testing.assert_array_equal(properties["born_effective_charges"], mean)


@pytest.mark.parametrize("members", [1, 3])
def test_a_model_file_gives_the_numbers_of_its_predictor(tmp_path, members):
    path = tmp_path / "model.pt"
    write_model_file(path, random_checkpoint(members=members))
    atoms = triclinic()
    expected = Predictor.from_file(path, total_charge=2.0).members(atoms)
    for duplicate in (lambda c: c, copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))):
        calc = duplicate(APTCalculator(path, total_charge=2.0))
        apt = calc.get_property("born_effective_charges", atoms)
        np.testing.assert_array_equal(apt, expected.mean(0))
        np.testing.assert_allclose(apt.sum(0), 2.0 * np.eye(3), atol=1e-6)
        assert ("born_effective_charges_std" in calc.results) == (members > 1)
    double = APTCalculator(str(path), total_charge=2.0, dtype="float64")
    difference = double.get_property("born_effective_charges", atoms) - expected.mean(0)
    assert 0 < np.abs(difference).max() < 1e-4
    atoms.numbers[0] = 17
    with pytest.raises(InputError, match="element: found Cl, expected H, O, Na"):
        double.get_property("born_effective_charges", atoms)
    with pytest.raises(InputError, match=r"none.pt: model: found no such file"):
        APTCalculator(tmp_path / "none.pt")


@pytest.mark.thorough
@pytest.mark.mace
def test_bundled_potential_by_name():
    water = molecule("H2O", vacuum=3.0)
    water.calc = APTCalculator(toy.Tensors(), "water-mace")
    expected = water.copy()
    expected.calc = load_potential("water-mace")
    # the first evaluation of a process is by TorchScript's code before it is optimised
    expected.get_forces()
    expected.calc.reset()
    np.testing.assert_array_equal(water.get_forces(), expected.get_forces())


def test_get_properties_after_a_change_gives_no_stale_result(atoms):
    atoms.calc = APTCalculator(toy.Tensors(), toy.Potential())
    atoms.calc.get_property("born_effective_charges", atoms)
    atoms.rattle(0.05)
    fresh = atoms.get_properties(["forces"])
    np.testing.assert_array_equal(fresh["forces"], toy.energy_forces_virial(atoms.positions)[1])
    assert "born_effective_charges" not in fresh


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))]
)
def test_copies_work(atoms, duplicate):
    atoms.calc = APTCalculator(toy.Tensors(), toy.Potential(), efield=FIELD)
    expected = atoms.get_forces()
    other = atoms.copy()
    assert other.calc is None
    other.calc = duplicate(atoms.calc)
    np.testing.assert_array_equal(other.get_forces(), expected)
    other.rattle(0.1)
    assert not np.array_equal(other.get_forces(), expected)
    np.testing.assert_array_equal(atoms.get_forces(), expected)


def test_written_and_read_by_ase(atoms, tmp_path):
    atoms.calc = APTCalculator(toy.Tensors(), toy.Potential(), efield=FIELD)
    forces = atoms.get_forces()
    apt = atoms.calc.get_property("born_effective_charges", atoms)
    for name in ("a.traj", "a.json"):
        ase.io.write(tmp_path / name, atoms)
        results = ase.io.read(tmp_path / name).calc.results
        np.testing.assert_array_equal(results["born_effective_charges"], apt)
        np.testing.assert_array_equal(results["forces"], forces)
    ase.io.write(tmp_path / "a.extxyz", atoms, write_results=False)
    frozen = SinglePointCalculator(atoms, **atoms.calc.results)
    np.testing.assert_array_equal(frozen.get_property("born_effective_charges", atoms), apt)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: APTCalculator(model=3), "APT model: type: found int, expected a file"),
        (
            lambda: APTCalculator(toy.Tensors(), potential=3),
            "potential: found int, expected an ASE",
        ),
        (
            lambda: APTCalculator(toy.Tensors(), efield=(1, 2)),
            r"efield: found \(1, 2\), expected three",
        ),
        (lambda: APTCalculator(toy.Tensors(), efield=(1, 2, np.inf)), "efield: found"),
        (lambda: APTCalculator(toy.Tensors(), efield="x"), "efield: found x, expected three"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize("name", ["born_effective_charges", "forces"])
def test_bad_structures(name):
    calc = APTCalculator(toy.Tensors(), toy.Potential())
    atoms = toy.structure()
    atoms.positions[1, 2] = np.nan
    with pytest.raises(InputError, match=r"positions: found .*nan.* expected finite numbers"):
        calc.get_property(name, atoms)
    atoms = toy.structure()
    atoms.pbc = True
    with pytest.raises(
        InputError, match=r"cell: found .* expected a cell vector for every periodic"
    ):
        calc.get_property(name, atoms)
    wrong = APTCalculator(lambda a: np.zeros((len(a), 9)))
    with pytest.raises(InputError, match=r"APT model: shape: found \(1, 9\), expected \(1, 3, 3\)"):
        wrong.get_property("born_effective_charges", Atoms("H"))


class NoStress(toy.Potential):
    implemented_properties = ["energy", "forces"]  # noqa: RUF012 as in ASE


@pytest.mark.parametrize("options", [{"potential": NoStress()}, {"efield": FIELD}])
def test_constant_pressure_without_a_stress_is_refused(atoms, options):
    """ASE asks for the stress, and nothing here makes one up."""
    atoms.calc = APTCalculator(toy.Tensors(), **{"potential": toy.Potential(), **options})
    dynamics = NPTBerendsen(
        atoms, 0.5 * units.fs, temperature_K=300, pressure_au=0.0, compressibility_au=1.0
    )
    with pytest.raises(PropertyNotImplementedError, match="stress"):
        dynamics.run(2)


def test_the_log_says_what_error_is_expected_of_each_molecule(caplog):
    """A run streams it; whoever only asks for the tensors is told, too, once for each molecule."""
    calculator = APTCalculator("organic-apt")
    caplog.set_level("INFO", logger="aptnn_md")
    for name in ("CH3CH2OH", "SO2"):
        atoms = molecule(name)
        atoms.calc = calculator
        for _ in range(2):
            atoms.rattle(0.01)
            calculator.get_property("born_effective_charges", atoms)
    told = [message for message in caplog.messages if ": expected error of the APTs" in message]
    assert [message.split(":")[0] for message in told] == [
        "model organic-apt, C2H6O",
        "model organic-apt, O2S",
    ]
