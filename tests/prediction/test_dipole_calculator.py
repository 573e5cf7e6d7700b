"""A calculator that knows dipoles as a model, against analytic tensors."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from helpers import toy_molecules

from aptnn_md.cli import main
from aptnn_md.errors import InputError, RunError
from aptnn_md.prediction.dipole_calculator import DipoleCalculatorModel
from aptnn_md.prediction.loading import as_model
from aptnn_md.testing import check_tensor_model

CHARGES = np.array([-0.7, 1.2, 0.5])


class Ion(Calculator):
    """The dipole of the toy molecule and of fixed charges, about an origin that may move."""

    implemented_properties = ["dipole"]  # noqa: RUF012

    def __init__(self, about: str = "origin", **keywords):
        super().__init__(**keywords)
        self.about, self.n_calls = about, 0

    def calculate(self, atoms=None, properties=("dipole",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.n_calls += 1
        positions = self.atoms.positions
        if self.about == "centre of mass":
            positions = positions - self.atoms.get_center_of_mass()
        self.results["dipole"] = toy_molecules.dipole(positions) + CHARGES @ positions


class Polarized(Calculator):
    """Pairs of unlike atoms whose dipole depends on all others, in any order of the atoms."""

    implemented_properties = ["energy", "dipole"]  # noqa: RUF012

    def calculate(self, atoms=None, properties=("dipole",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        vectors = self.atoms.positions[None] - self.atoms.positions[:, None]
        near = np.exp(-np.linalg.norm(vectors, axis=-1))
        weights = self.atoms.numbers * near.sum(axis=1) ** 2
        self.results["dipole"] = np.einsum("i,ij,ijx->x", weights, near, vectors)


def test_interface():
    structures = [toy_molecules.structure(1), toy_molecules.structure(2, seed=4)]
    model = as_model(Polarized())
    assert isinstance(model, DipoleCalculatorModel)
    check_tensor_model(model, structures)
    (apt,) = model.evaluate(structures[:1])[0]["apt"]
    assert np.abs(apt - apt.transpose(0, 2, 1)).max() > 0.1


def test_tensors_are_the_analytic_ones_by_six_evaluations_an_atom():
    atoms = toy_molecules.structure(2, seed=1)
    calculator = toy_molecules.Potential()
    found = as_model(calculator)(atoms)
    assert calculator.n_calls == 6 * len(atoms)
    expected = toy_molecules.polar_tensors(atoms.positions)
    assert np.abs(expected - expected.transpose(0, 2, 1)).max() > 0.1
    # the error is of second order in the displacement
    coarse = DipoleCalculatorModel(calculator, displacement=0.02)(atoms)
    errors = [np.abs(values - expected).max() for values in (coarse, found)]
    assert errors[1] < 1e-4
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.02)


def test_sum_rule_of_an_ion():
    atoms = toy_molecules.structure(1)
    atoms.info["charge"] = 1.0
    expected = toy_molecules.polar_tensors(atoms.positions) + CHARGES[:, None, None] * np.eye(3)
    found = as_model(Ion())(atoms)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(found.sum(axis=0), np.eye(3), atol=1e-14)
    del atoms.info["charge"]
    np.testing.assert_allclose(as_model(Ion(), total_charge=1.0)(atoms), found, atol=1e-14)
    np.testing.assert_allclose(as_model(Ion(charge=1))(atoms), found, atol=1e-14)
    with pytest.raises(InputError, match=r"charge: found 1 e by .*, expected 0 e; a dipole about"):
        as_model(Ion())(atoms)


def test_an_origin_that_moves_is_refused():
    atoms = toy_molecules.structure(1)
    atoms.info["charge"] = 1.0
    with pytest.raises(InputError, match=r"charge: found \S+ e by .*, expected 1 e; .* not move"):
        as_model(Ion("centre of mass"))(atoms)
    raw = as_model(Ion("centre of mass"), neutral=False)(atoms)
    share = atoms.get_masses() / atoms.get_masses().sum()
    fixed = as_model(Ion())(atoms) - share[:, None, None] * np.eye(3)
    np.testing.assert_allclose(raw, fixed, atol=1e-5)


def test_agrees_with_labels_of_tblite(tmp_path):
    """Those are forces in an electric field; a charged molecule, off the origin."""
    tblite = pytest.importorskip("tblite.ase", reason="needs tblite")
    atoms = Atoms("OH3", [[5, 5, 5], [5.9, 5.3, 5], [4.8, 5.9, 5.1], [4.7, 4.8, 5.9]])
    atoms.info["charge"] = 1.0
    ase.io.write(tmp_path / "in.extxyz", atoms)
    files = ["--data", str(tmp_path / "in.extxyz"), "--out", str(tmp_path / "out.extxyz")]
    main(["label", "--engine", "tblite", *files])
    expected = ase.io.read(tmp_path / "out.extxyz").arrays["apt"].reshape(-1, 3, 3)
    calculator = tblite.TBLite(method="GFN2-xTB", charge=1.0, accuracy=1e-3, verbosity=0)
    found = DipoleCalculatorModel(calculator, displacement=0.005)(atoms)
    assert np.abs(expected - expected.transpose(0, 2, 1)).max() > 3e-3
    np.testing.assert_allclose(found, expected, atol=1e-4)


class Broken(Ion):
    def calculate(self, *arguments, **keywords):
        super().calculate(*arguments, **keywords)
        self.results["dipole"] = np.array([0.0, np.nan, 0.0])


class Raising(Ion):
    def calculate(self, *arguments, **keywords):
        raise ValueError("no convergence")


@pytest.mark.parametrize(
    ("make", "atoms", "error", "message"),
    [
        (EMT, None, InputError, "calculator EMT: properties: found .*, expected .*, or dipole"),
        (lambda: DipoleCalculatorModel(LennardJones()), None, InputError, "gives none"),
        (lambda: DipoleCalculatorModel(Ion(), displacement=0.5), None, InputError, "0 to 0.1 Å"),
        (Ion, toy_molecules.structure(1, pbc=True), InputError, "expected open space"),
        (Broken, toy_molecules.structure(1), RunError, "which is not a finite vector"),
        (Raising, toy_molecules.structure(1), RunError, "raised ValueError: no convergence"),
    ],
)
def test_what_cannot_be_is_refused(make, atoms, error, message):
    with pytest.raises(error, match=message):
        as_model(make())(Atoms() if atoms is None else atoms)
