"""The charge of each structure is its own: predictions, evaluation, calculator, streams."""

from __future__ import annotations

import json
from dataclasses import replace

import ase.io
import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.md.verlet import VelocityVerlet
from helpers import toy_molecules
from helpers.paths import DATA
from helpers.systems import random_checkpoint

from aptnn_md.cli import main
from aptnn_md.engines.ase.calculator import APTCalculator
from aptnn_md.engines.ase.md import MDSettings, run_md
from aptnn_md.engines.ase.observer import StreamObserver
from aptnn_md.engines.client.evaluator import Evaluator
from aptnn_md.errors import InputError
from aptnn_md.prediction.charge_checks import ChargeOfStructures
from aptnn_md.prediction.charges import log_charge
from aptnn_md.prediction.loading import as_model
from aptnn_md.prediction.model_file import write_model_file
from aptnn_md.prediction.predictor import Predictor
from aptnn_md.stream import StreamReader
from aptnn_md.structure_files import read_structure, read_structures
from aptnn_md.structures import total_charge
from aptnn_md.targets import APT

IONS = DATA / "structures" / "ions.extxyz"  # H3O+ with charge=1, H2O without
HYDROXIDE = DATA / "structures" / "oh_minus_tc.extxyz"  # total_charge=-1


def sums(tensors):
    return [apt.sum(axis=0) for apt in tensors]


def is_charge(residues, charges):
    for found, charge in zip(residues, charges, strict=True):
        assert found == pytest.approx(charge * np.eye(3), abs=1e-6)
    return True


class Still(Calculator):
    """No forces, and a charge of its own if it is given one."""

    implemented_properties = ("energy", "forces")

    def __init__(self, **parameters):
        super().__init__(**parameters)

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": 0.0, "forces": np.zeros((len(self.atoms), 3))}


@pytest.fixture
def model_file(tmp_path):
    write_model_file(tmp_path / "model.pt", random_checkpoint())
    return tmp_path / "model.pt"


def test_a_file_that_mixes_charges():
    frames = [*read_structures(IONS), read_structure(HYDROXIDE)]
    predictor = Predictor(random_checkpoint())
    assert is_charge(sums(predictor(frames)), [1, 0, -1])
    assert is_charge([predictor(frames[2]).sum(axis=0)], [-1])


def test_the_option_is_for_frames_without_a_charge():
    ion, water = read_structures(IONS)
    predictor = Predictor(random_checkpoint(), total_charge=1.0)
    assert is_charge(sums(predictor([ion, water])), [1, 1])
    with pytest.raises(InputError, match="1 e in the structure and 0 e as total charge"):
        Predictor(random_checkpoint(), total_charge=0.0)([water, ion])


def test_a_charge_that_was_not_trained_on_warns_once(caplog):
    checkpoint = replace(random_checkpoint(), card={"charges": [0.0, 1.0]})
    predictor = Predictor(checkpoint, name="mine")
    predictor([*read_structures(IONS)])
    assert not caplog.text
    for _ in range(3):
        predictor(read_structure(HYDROXIDE))
    assert caplog.text.count("mine: a structure of charge -1 e (HO); it was trained on char") == 1
    assert "charges 0, 1" in caplog.text


def test_tensors_that_nothing_makes_add_up_to_a_charge(caplog):
    """They are used as they are, so that no charge is taken for them, and none is spoken of."""
    caplog.set_level("INFO", "aptnn_md")
    predictor = Predictor(random_checkpoint(), name="mine")
    for source in (toy_molecules.Tensors(), lambda atoms: np.zeros((len(atoms), 3, 3)), predictor):
        caplog.clear()
        as_model(source, total_charge=2.0)
        assert "nothing makes them add up to the total charge of 2 e" in caplog.text
    caplog.clear()
    log_charge(as_model(toy_molecules.Tensors()), None, "i-PI")
    assert caplog.messages == ["model toy: its tensors are used as it gives them"]


def test_where_an_engine_knows_no_charge_it_is_said_in_the_log(tmp_path, caplog):
    caplog.set_level("INFO", "aptnn_md")

    def said(charges, charge=None, **options):
        caplog.clear()
        predictor = Predictor(
            replace(random_checkpoint(), card={"charges": charges}), name="mine", **options
        )
        log_charge(predictor, charge, "i-PI")
        (record,) = caplog.records
        return record.levelname, record.getMessage()

    assert said([0.0, -1.0], -1.0) == ("INFO", "charge of the system: -1 e")
    assert said([0.0, -1.0], total_charge=-2.0) == ("INFO", "charge of the system: -2 e")
    assert said([], 0.0) == ("INFO", "charge of the system: 0 e")
    level, text = said([0.0])
    assert level == "INFO"
    assert text.startswith("i-PI says no charge, so the APTs add up to 0 e; --total-charge")
    level, text = said([0.0, -1.0])
    assert level == "WARNING"
    assert "model mine was trained on charges -1, 0: if the system is an ion, give --t" in text


@pytest.mark.parametrize("own", [True, False])
def test_the_driver_says_which_charge_it_takes(tmp_path, model_file, caplog, own):
    caplog.set_level("INFO", "aptnn_md")
    ion = read_structure(HYDROXIDE)
    if not own:
        ion.info.clear()
    ase.io.write(tmp_path / "ion.extxyz", ion)
    address = ["--address", str(tmp_path / "nobody"), "--unix", "--wait", "0"]
    arguments = [*address, "--template", str(tmp_path / "ion.extxyz"), "--model", str(model_file)]
    assert main(["driver", *arguments]) == 1
    expected = "charge of the system: -1 e" if own else "ion.extxyz says no charge"
    assert expected in caplog.text


def test_predict_and_evaluate_a_file_that_mixes_charges(tmp_path, model_file, capsys):
    predicted = tmp_path / "predicted.extxyz"
    arguments = ["--model", str(model_file), "--data"]
    assert not main(["predict", *arguments, str(IONS), "--out", str(predicted)])
    frames = ase.io.read(predicted, ":")
    assert is_charge([a.arrays["apt"].reshape(-1, 3, 3).sum(axis=0) for a in frames], [1, 0])
    capsys.readouterr()
    assert not main(["evaluate", *arguments, str(predicted), "--json"])
    figures = json.loads(capsys.readouterr().out)
    assert figures["rmse"] < 1e-5
    assert figures["sum_rule_model"] < 1e-6
    assert figures["sum_rule_labels"] < 1e-6
    assert {q: part["n_frames"] for q, part in figures["by_charge"].items()} == {"0": 1, "+1": 1}
    assert all(part["sum_rule_labels"] < 1e-6 for part in figures["by_charge"].values())
    assert not main(["evaluate", *arguments, str(predicted), "--plot", str(tmp_path / "p.png")])
    assert "charge +1 e: 1 frames, RMSE 0.00000, sum rule: model" in capsys.readouterr().out
    assert main(["evaluate", *arguments, str(predicted), "--total-charge", "0"]) == 2
    assert "leave the option (--total-charge) out" in capsys.readouterr().err


def test_calculator_takes_the_charge_of_frame_and_potential(model_file):
    atoms = read_structure(HYDROXIDE)
    atoms.calc = APTCalculator(model_file, Still())

    def total():
        return [atoms.calc.get_property("born_effective_charges", atoms).sum(axis=0)]

    assert is_charge(total(), [-1])
    atoms.info["total_charge"] = 1  # not among what ASE watches
    assert is_charge(total(), [1])
    del atoms.info["total_charge"]
    assert is_charge(total(), [0])
    atoms.calc = APTCalculator(model_file, Still(charge=-1))
    assert is_charge(total(), [-1])
    atoms.info["charge"] = -2
    with pytest.raises(InputError, match="-2 e by 'charge' of the frame and -1 e by the calculato"):
        total()
    atoms.calc = APTCalculator(model_file, Still(), total_charge=-1.0)
    with pytest.raises(InputError, match="-2 e in the structure and -1 e as total charge"):
        total()


def test_a_charge_that_a_calculator_takes_for_want_of_one_is_no_statement(caplog):
    """tblite's calculator computes for the sum of initial charges, 0 e where there are none."""

    class TBLite(Still):
        pass

    nitrate = Atoms("NO3", [[0, 0, 0], [1.25, 0, 0], [-0.63, 1.08, 0], [-0.63, -1.08, 0]])
    nitrate.calc = TBLite()
    charge = ChargeOfStructures("mine", None, (-1.0, 0.0))
    assert charge(nitrate) == 0.0
    assert "mine: NO3, of which no charge is said, has an odd number of electrons" in caplog.text
    expected = (
        r"0 e by the calculator TBLite and -1 e as total charge, expected the same charge: ch"
    )
    with pytest.raises(InputError, match=expected + "arge=-1 among"):
        total_charge(nitrate, -1.0)
    caplog.clear()
    for said in (
        {"calc": TBLite(charge=-1)},
        {"initial": [-1.0, 0, 0, 0]},
        {"info": {"charge": -1}, "calc": TBLite(charge=-1)},
    ):
        ion = nitrate.copy()
        ion.info |= said.get("info", {})
        ion.set_initial_charges(said.get("initial", np.zeros(4)))
        ion.calc = said.get("calc", TBLite())
        assert ChargeOfStructures("mine", None, ())(ion) == -1.0
    assert not caplog.text


def test_md_refuses_a_potential_of_another_charge(tmp_path, model_file):
    atoms = read_structure(HYDROXIDE)
    atoms.calc = APTCalculator(model_file, Still(charge=0))
    with pytest.raises(InputError, match="-1 e by 'total_charge' of the frame and 0 e by the calc"):
        run_md(atoms, tmp_path / "s", MDSettings(picoseconds=0.001))
    assert not (tmp_path / "s").exists()


def test_streams_of_ions(tmp_path, model_file):
    rates = {}
    for name, charge in (("own", None), ("neutral", 0)):
        atoms = read_structure(HYDROXIDE)
        if charge is not None:
            atoms.info = {"charge": charge}
        atoms.calc = Still()
        atoms.set_momenta(np.ones((2, 3)))  # the ion as a whole moves
        dynamics = VelocityVerlet(atoms, 0.1)
        with StreamObserver(dynamics, tmp_path / name, model_file) as observer:
            dynamics.attach(observer, interval=1)
            dynamics.run(2)
        rates[name] = StreamReader(tmp_path / name).dipole_rate().sum(axis=1)
    # the charge of -1 moves with the mean velocity of the atoms
    velocities = np.ones((2, 3)) / atoms.get_masses()[:, None] * units.fs
    expected = -velocities.mean(axis=0)
    assert rates["own"] - rates["neutral"] == pytest.approx(np.tile(expected, (3, 1)), abs=1e-6)


@pytest.mark.thorough
def test_md_command_refuses_a_conflict_before_anything_is_written(tmp_path, model_file, capsys):
    command = ["md", str(HYDROXIDE), "--potential", "ase.calculators.lj:LennardJones"]
    command += ["--model", str(model_file), "--stream", str(tmp_path / "s"), "--ps", "0.002"]
    assert main([*command, "--total-charge", "-2"]) == 2
    assert "-1 e in the structure and -2 e as total charge" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()
    assert not main([*command, "--total-charge", "-1"])


def test_the_driver_takes_the_charge_of_its_template():
    template = read_structure(HYDROXIDE)
    evaluator = Evaluator(template, model=Predictor(random_checkpoint()))
    cells, positions = np.zeros((1, 3, 3)), template.positions[None]
    assert is_charge(sums(evaluator(cells, positions).mean(APT)), [-1])


def test_normal_modes_take_the_charge_of_the_structure(tmp_path, model_file, capsys):
    np.save(tmp_path / "h.npy", np.eye(6))
    command = ["spectrum", "normal-modes", str(HYDROXIDE), "--hessian", str(tmp_path / "h.npy")]
    command += ["--model", str(model_file)]
    assert not main(command)
    assert not main([*command, "--total-charge", "-1"])
    assert main([*command, "--total-charge", "1"]) == 2
    assert "-1 e in the structure and 1 e as total charge" in capsys.readouterr().err


def test_an_odd_number_of_electrons_is_doubted_once_where_no_charge_is_said(caplog):
    model = Predictor(random_checkpoint())
    water, hydroxyl = Atoms("OH2", np.eye(3)), Atoms("OH", [[0, 0, 0], [0, 0, 1]])
    for _ in range(2):
        model.evaluate([water, hydroxyl])
    assert caplog.text.count("has an odd number of electrons and is taken for neutral") == 1
    assert "HO, of which no charge is said" in caplog.text
    caplog.clear()
    again = Predictor(random_checkpoint(), total_charge=-1.0)
    again.evaluate([hydroxyl])
    said, periodic = hydroxyl.copy(), hydroxyl.copy()
    said.info["charge"] = 0
    periodic.set_cell([9.0] * 3)
    periodic.pbc = True
    Predictor(random_checkpoint()).evaluate([said, periodic])
    assert "odd number" not in caplog.text


def test_what_a_model_of_ions_takes_for_neutral_is_said_once(caplog):
    checkpoint = random_checkpoint()
    knows_ions = replace(checkpoint, card={**checkpoint.card, "charges": [-2.0, 0.0]})
    water, wider = Atoms("OH2", np.eye(3)), Atoms("OH2", 1.1 * np.eye(3))
    with caplog.at_level("INFO", "aptnn_md"):
        for model in (checkpoint, knows_ions):
            predictor = Predictor(model)
            predictor.evaluate([water])
            predictor.evaluate([wider])
    assert caplog.text.count("H2O, of which no charge is said, is taken for neutral") == 1
    caplog.clear()
    water.info["charge"] = 0
    with caplog.at_level("INFO", "aptnn_md"):
        Predictor(knows_ions).evaluate([water])
        Predictor(knows_ions, total_charge=-2.0).evaluate([wider])
    assert "taken for neutral" not in caplog.text
