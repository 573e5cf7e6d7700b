"""Force providers for i-PI, called as i-PI calls them."""

import json
import logging

import ase.io
import helpers.toy_molecules as toy
import numpy as np
import pytest
from helpers.paths import DRIVERS

pytest.importorskip("ipi")

from ipi.pes import load_pes
from ipi.utils.units import UnitMap

from aptnn_md import atomic_units
from aptnn_md.atomic_units import IPI
from aptnn_md.bundled import bundled_path
from aptnn_md.engines.ase.calculator import APTCalculator
from aptnn_md.engines.client.answers import Answers
from aptnn_md.engines.client.dipole_change import DipoleChange, nearest_image
from aptnn_md.engines.client.evaluator import Evaluator
from aptnn_md.engines.client.extras import decode_tensor, tensor_key
from aptnn_md.engines.electric_field import checked_field
from aptnn_md.engines.ipi.pes import EvaluatorDriver
from aptnn_md.errors import InputError
from aptnn_md.prediction.predictor import Predictor
from aptnn_md.structure_files import read_structure

pytestmark = pytest.mark.ipi
FIELD = np.array([0.02, -0.05, 0.03])


def toy_driver(template, extras="none", efield=None, beads=1):
    evaluator = Evaluator(template, toy.Potential(), toy.Tensors())
    return EvaluatorDriver(evaluator, Answers(extras, efield, beads), verbosity=False)


def in_ipi(atoms):
    """Cell and positions as i-PI hands them over."""
    return atoms.cell.array.T / IPI.bohr, atoms.positions / IPI.bohr


@pytest.fixture(scope="module")
def water(tmp_path_factory):
    """Three shaken copies of two water molecules in a triclinic cell, and a file of the first."""
    rng = np.random.default_rng(3)
    atoms = ase.io.read(bundled_path("water64.extxyz"))[:6]
    atoms.positions += [0.0, 0.0, 0.2] - atoms.get_center_of_mass()
    atoms.set_cell([[9.0, 0, 0], [1.0, 10.0, 0], [-1.0, 0.5, 11.0]])
    frames = []
    for _ in range(3):
        frame = atoms.copy()
        frame.positions += rng.normal(scale=0.05, size=(6, 3))
        frames.append(frame)
    path = tmp_path_factory.mktemp("pes") / "start.xyz"
    ase.io.write(path, frames[0])
    return frames, path


def test_constants_are_those_of_ipi():
    assert 1.0 / float(UnitMap["length"]["angstrom"]) == atomic_units.IPI.bohr
    assert 1.0 / float(UnitMap["energy"]["electronvolt"]) == atomic_units.IPI.hartree
    # energies and lengths of i-PI give this; its own unit of force is off by 1e-7
    assert pytest.approx(1 / float(UnitMap["force"]["ev/ang"]), rel=2e-7) == IPI.force


def test_energy_forces_and_virial_in_ipi_units():
    atoms = toy.structure(2, pbc=True)
    energy, forces, virial, extras = toy_driver(atoms)(*in_ipi(atoms))
    expected = toy.energy_forces_virial(atoms.positions)
    assert energy * IPI.hartree == pytest.approx(expected[0])
    np.testing.assert_allclose(forces * IPI.force, expected[1], atol=1e-10)
    # i-PI's virial: minus the derivative of the energy by the strain of columns
    step, cell = 1e-5, atoms.cell.array
    for a, b in np.ndindex(3, 3):
        energies = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[a, b] += sign * step
            moved = atoms.copy()
            moved.set_cell(cell @ strain.T, scale_atoms=True)
            energies.append(toy_driver(atoms)(*in_ipi(moved))[0])
        assert virial[a, b] == pytest.approx(-(energies[0] - energies[1]) / (2 * step), abs=1e-8)
    assert extras == ""


def test_without_stress_the_virial_is_zero_and_this_is_said(caplog):
    atoms = toy.structure(1)
    driver = toy_driver(atoms)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            virial = driver(np.zeros((3, 3)), atoms.positions)[2]
    assert not virial.any()
    assert len(caplog.records) == 1
    assert "no stress" in caplog.text


@pytest.mark.thorough
@pytest.mark.mace
def test_potential_batched_is_the_calculator_one_by_one(water):
    from aptnn_md.potentials.loading import load_potential

    frames, path = water
    driver_class = load_pes("custom", str(DRIVERS / "aptnn_md_potential.py"))
    driver = driver_class(potential="water-mace", template=str(path), dtype="float64")
    batch = driver(*map(list, zip(*map(in_ipi, frames), strict=True)))
    calculator = load_potential("water-mace", dtype="float64")
    for frame, (energy, forces, virial, extras) in zip(frames, batch, strict=True):
        calculator.calculate(frame)
        assert energy * IPI.hartree == pytest.approx(calculator.results["energy"], abs=1e-8)
        np.testing.assert_allclose(forces * IPI.force, calculator.results["forces"], atol=1e-7)
        stress = -virial * IPI.hartree / frame.get_volume()
        voigt = stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        np.testing.assert_allclose(voigt, calculator.results["stress"], atol=1e-8)
        assert extras == ""


@pytest.mark.parametrize("model", ["water-apt", "water-apt-committee"])
def test_tensors_are_the_predictors(water, model):
    frames, path = water
    driver_class = load_pes("custom", str(DRIVERS / "aptnn_md_tensors.py"))
    driver = driver_class(model=model, template=str(path), dtype="float64")
    predictor = Predictor.from_file(model, dtype="float64")
    for frame, (energy, forces, virial, text) in zip(
        frames, driver(*map(list, zip(*map(in_ipi, frames), strict=True))), strict=True
    ):
        assert energy == 0.0
        assert not forces.any()
        assert not virial.any()
        extras = json.loads(text)
        np.testing.assert_allclose(
            decode_tensor(extras[tensor_key("apt")]), predictor.members(frame), atol=1e-12
        )
        assert extras["aptnn_md_model"] == f"{model} {predictor.sha256}"


def test_single_precision_satisfies_the_sum_rule_of_ipi(water):
    frames, path = water
    driver_class = load_pes("custom", str(DRIVERS / "aptnn_md_bec.py"))
    driver = driver_class(model="water-apt", template=str(path), dtype="float32")
    bec = np.array(json.loads(driver(*in_ipi(frames[1]))[3])["BEC"])
    # the check of ipi/engine/motion/driven_dynamics.py, with its default threshold
    assert abs(bec.reshape(6, 3, 3).sum(axis=0) / 6).max() < 1e-8 * 6


def test_field_force_is_the_calculators_and_the_derivative_of_the_dipole():
    atoms = toy.structure(2, pbc=True)
    forces = toy_driver(atoms, efield=FIELD)(*in_ipi(atoms))[1] * IPI.force
    atoms.calc = APTCalculator(toy.Tensors(), toy.Potential(), efield=FIELD)
    np.testing.assert_allclose(forces, atoms.get_forces(), atol=1e-10)

    def enthalpy(positions):
        return toy.energy_forces_virial(positions)[0] - toy.dipole(positions) @ FIELD

    step = 1e-5
    for atom, axis in np.ndindex(6, 3):
        moved = atoms.positions.copy()
        moved[atom, axis] += step
        plus = enthalpy(moved)
        moved[atom, axis] -= 2 * step
        force = -(plus - enthalpy(moved)) / (2 * step)
        assert forces[atom, axis] == pytest.approx(force, abs=1e-6)


def vibrating(n_beads, n_steps, step=0.002):
    """Positions (n_steps, n_beads, 6, 3) of beads on smooth paths of their own."""
    rng = np.random.default_rng(8)
    start = toy.structure(2).positions
    amplitude = rng.normal(scale=0.08, size=(n_beads, 6, 3))
    frequency = rng.uniform(0.5, 2.0, size=(n_beads, 6, 3))
    time = step * np.arange(n_steps)[:, None, None, None]
    return start + amplitude * np.sin(2 * np.pi * frequency * time + 0.3)


def test_energy_and_dipole_are_those_since_the_first_geometry_in_any_order_of_beads():
    atoms, paths = toy.structure(2, pbc=True), vibrating(3, 200)
    driver = toy_driver(atoms, "bec", FIELD, beads=3)
    rng, first = np.random.default_rng(1), None
    for beads in paths:
        order = rng.permutation(3)
        cells, batch = [], []
        for q in beads[order]:
            moved = atoms.copy()
            moved.positions = q
            # as a server that folds positions into the cell; the toy needs whole molecules
            moved.positions[3:] += rng.integers(-1, 2, size=3) @ atoms.cell.array
            cell, positions = in_ipi(moved)
            cells.append(cell)
            batch.append(positions)
        answers = driver(cells, batch)
        first = toy.dipole(beads[order[0]]) if first is None else first
        for q, (energy, _, _, text) in zip(beads[order], answers, strict=True):
            change = toy.dipole(q) - first
            dipole = np.array(json.loads(text)["dipole"]) * IPI.bohr
            np.testing.assert_allclose(dipole, change, atol=2e-4)
            expected = toy.energy_forces_virial(q)[0] - change @ FIELD
            assert energy * IPI.hartree == pytest.approx(expected, abs=2e-5)
    assert np.ptp(toy.dipole(paths[50, 0]) - first) > 0.02


def test_dipole_change_of_one_structure_is_of_second_order():
    errors = []
    for n_steps in (50, 100):
        paths = vibrating(1, n_steps, step=0.5 / n_steps)[:, 0]
        follow = DipoleChange()
        for q in paths:
            change = follow(np.zeros((3, 3)), q, toy.polar_tensors(q))
        errors.append(abs(change - toy.dipole(paths[-1]) + toy.dipole(paths[0])).max())
    assert errors[0] < 1e-3
    assert errors[1] < 0.4 * errors[0]


def test_nearest_image_in_a_triclinic_cell():
    cell = np.array([[5.0, 0, 0], [2.0, 6.0, 0], [-1.0, 1.5, 7.0]])
    small = np.array([[0.1, -0.2, 0.3], [0.0, 0.4, -0.1]])
    np.testing.assert_allclose(
        nearest_image(small + np.array([[1, -1, 2], [0, 3, -1]]) @ cell, cell), small, atol=1e-12
    )
    np.testing.assert_array_equal(nearest_image(9 * small, np.zeros((3, 3))), 9 * small)


def test_open_boundaries_in_spite_of_a_cell():
    atoms = toy.structure(1)
    cells, positions = np.eye(3)[None] * 20.0, atoms.positions[None]
    for periodic, expected in ((True, [True] * 3), (False, [False] * 3)):
        made = Evaluator(atoms, toy.Potential(), periodic=periodic).structures(cells, positions)
        assert made[0].pbc.tolist() == expected
    atoms.pbc = (True, True, False)
    made = Evaluator(atoms, toy.Potential()).structures(cells, positions)
    assert made[0].pbc.tolist() == [True, True, False]
    assert Evaluator(atoms).structures(0 * cells, positions)[0].cell.array.any() == np.False_


def test_bad_input_is_named(tmp_path):
    atoms = toy.structure(2)
    with pytest.raises(InputError, match=r"atoms: found 3, expected 6 as in the template.*active"):
        toy_driver(atoms)(np.zeros((3, 3)), np.zeros((3, 3)))
    with pytest.raises(InputError, match=r"file: found nothing"):
        read_structure(tmp_path / "none.xyz", positions=False)
    with pytest.raises(InputError, match="three finite numbers"):
        checked_field("0 0.1")
    np.testing.assert_array_equal(checked_field("0 0.1 -2e-1"), [0, 0.1, -0.2])
    with pytest.raises(InputError, match="extras: found 'BEC', expected one of none, tensors, bec"):
        Answers("BEC")
    with pytest.raises(InputError, match="parameter: found modle"):
        EvaluatorDriver(Evaluator(atoms), Answers(), modle="x")


def test_names_of_an_xyz_file_of_ipi(tmp_path):
    path = tmp_path / "pos.xyz"
    path.write_text(
        "3\n# CELL(abcABC):  35.2  35.2  35.2  90.0  90.0  90.0  cell{atomic_unit}  "
        "Traj: positions{atomic_unit} Step:  0  Bead:  0\nO 0 0 0\nH 0 0 1.8\nCl 3.0 0 0\n"
    )
    assert read_structure(path, positions=False).get_chemical_symbols() == ["O", "H", "Cl"]
