"""One interface for whatever gives tensors: all adapters of the same networks agree."""

from __future__ import annotations

import copy
import itertools
import pickle
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from helpers.systems import random_checkpoint, triclinic

from aptnn_md import targets
from aptnn_md.engines.ase.calculator import APTCalculator
from aptnn_md.engines.client.evaluator import Evaluator, Results
from aptnn_md.engines.client.extras import read_tensor_extras, tensor_extras
from aptnn_md.engines.client.ranks import RankPool, filled, shares
from aptnn_md.errors import InputError, RunError
from aptnn_md.prediction.calculator_model import CalculatorModel
from aptnn_md.prediction.callable_model import CallableModel
from aptnn_md.prediction.interface import TensorModel, member_slices
from aptnn_md.prediction.joined import JoinedModel
from aptnn_md.prediction.loading import as_model
from aptnn_md.prediction.model_file import write_model_file
from aptnn_md.prediction.predictor import Predictor
from aptnn_md.testing import check_tensor_model

STRUCTURES = [
    triclinic(0),
    triclinic(1, n_atoms=5),
    Atoms("OH2", positions=[[0, 0, 0], [0.9, 0.2, 0], [-0.3, 0.9, 0.1]]),
]
N_APT, N_PGT = 2, 3


class Function:
    """The APTs of a network behind a plain function of one structure."""

    def __init__(self, predictor):
        self.predictor = predictor

    def __call__(self, atoms):
        return self.predictor.evaluate([atoms])[0]["apt"].mean(axis=0)


class WithMembers(Function):
    """The committee's members one structure after the other."""

    name = "with-members"
    n_members = N_APT

    def members(self, atoms):
        return self.predictor.evaluate([atoms])[0]["apt"]


class WithTensors(WithMembers):
    """Both targets of several structures, from committees of different sizes."""

    name = "with-tensors"
    targets = ("apt", "pgt")

    def __init__(self, predictor):
        super().__init__(predictor)
        self.committee_sizes = {"apt": N_APT, "pgt": N_PGT}

    def tensors(self, structures):
        return self.predictor.evaluate(structures)


class Properties(Calculator):
    """Means of committees among the properties of an ASE calculator."""

    implemented_properties = ("born_effective_charges", "polarizability_gradients")

    def __init__(self, predictor):
        super().__init__()
        self.predictor = predictor

    def calculate(self, atoms=None, properties=(), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        for name, values in self.predictor.evaluate([self.atoms])[0].items():
            self.results[targets.TARGETS[name].ase_name] = values.mean(axis=0)


class OneRank:
    """The communicator of a rank that is never asked to communicate."""

    def Get_rank(self):
        return 0

    def Get_size(self):
        return 1


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two files: a committee of two for APTs, one of three for PGTs."""
    place = tmp_path_factory.mktemp("models")
    write_model_file(place / "dipole.pt", random_checkpoint(members=N_APT))
    write_model_file(place / "raman.pt", random_checkpoint(target="pgt", seed=5, members=N_PGT))
    return place


def predictors(place):
    return [Predictor.from_file(place / f"{n}.pt", dtype="float64") for n in ("dipole", "raman")]


ADAPTERS = {
    "file": lambda place: place / "dipole.pt",
    "two files": lambda place: f"{place}/raman.pt,{place}/dipole.pt",
    "predictor": lambda place: predictors(place)[0],
    "joined": lambda place: JoinedModel(predictors(place)),
    "joined, in another order": lambda place: JoinedModel(predictors(place)[::-1]),
    "function": lambda place: Function(predictors(place)[0]),
    "function with members": lambda place: WithMembers(predictors(place)[0]),
    "function with tensors": lambda place: WithTensors(JoinedModel(predictors(place))),
    "function joined with a file": lambda place: JoinedModel(
        [CallableModel(WithMembers(predictors(place)[0])), predictors(place)[1]]
    ),
    "calculator": lambda place: Properties(JoinedModel(predictors(place))),
    "APTCalculator": lambda place: APTCalculator(f"{place}/dipole.pt", dtype="float64"),
}


@pytest.fixture(params=ADAPTERS, scope="module")
def model(place, request):
    return as_model(ADAPTERS[request.param](place), dtype="float64")


def test_every_adapter_obeys_the_interface(model):
    check_tensor_model(model, STRUCTURES, tolerance=1e-9)


def test_all_adapters_give_the_same_numbers(place, model):
    """Members where an adapter knows them, means in any case, of a batch with a lopsided cell."""
    reference = {
        name: [each[name] for each in predictor.evaluate(STRUCTURES)]
        for name, predictor in zip(("apt", "pgt"), predictors(place), strict=True)
    }
    found = model.evaluate(STRUCTURES)
    for name, size in model.committee_sizes.items():
        assert size in (1, {"apt": N_APT, "pgt": N_PGT}[name])
        for k, expected in enumerate(reference[name]):
            mean = found[k][name].mean(axis=0)
            np.testing.assert_allclose(mean, expected.mean(axis=0), atol=1e-10)
            if size > 1:
                np.testing.assert_allclose(found[k][name], expected, atol=1e-10)
    np.testing.assert_allclose(model(STRUCTURES[0]), reference["apt"][0].mean(axis=0), atol=1e-10)
    np.testing.assert_allclose(model(STRUCTURES)[1], reference["apt"][1].mean(axis=0), atol=1e-10)
    assert len(model.members(STRUCTURES[0])) == model.n_members == model.committee_sizes["apt"]


def test_what_is_a_model_already_is_left_alone(model):
    assert isinstance(model, TensorModel)
    assert as_model(model) is model


def test_a_model_travels_to_other_processes(place):
    for source in (WithTensors(JoinedModel(predictors(place))), f"{place}/dipole.pt"):
        model = as_model(source, dtype="float64")
        for duplicate in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            (found,), (expected,) = (m.evaluate(STRUCTURES[:1]) for m in (duplicate, model))
            np.testing.assert_array_equal(found["apt"], expected["apt"])


def test_slices_cut_committees_of_different_sizes(place):
    joined = as_model(f"{place}/dipole.pt,{place}/raman.pt", dtype="float64")
    assert dict(joined.committee_sizes) == {"apt": N_APT, "pgt": N_PGT}
    first, last = joined.select(slice(0, 1)), joined.select(slice(1, 2))
    assert dict(first.committee_sizes) == {"apt": 1, "pgt": 1}
    assert dict(last.committee_sizes) == {"apt": 1, "pgt": 2}
    assert first.name == last.name == joined.name
    assert last.sha256 == joined.sha256
    # a selection of a selection
    function = as_model(WithTensors(JoinedModel(predictors(place))))
    again = function.select(slice(1, 2)).select(slice(0, 1))
    (found,), (whole,) = again.evaluate(STRUCTURES[:1]), joined.evaluate(STRUCTURES[:1])
    for name in ("apt", "pgt"):
        np.testing.assert_allclose(found[name], whole[name][1:], atol=1e-10)


@pytest.mark.parametrize("sizes", [(1, 3), (3, 1), (4, 4), (5, 2), (2, 0)])
def test_slices_give_each_member_once(sizes):
    n_first, n_other = sizes
    for cuts in ([0, n_first], sorted({0, 1, n_first}), list(range(n_first + 1)), [0, 0, n_first]):
        seen = {"a": [], "b": []}
        for start, stop in itertools.pairwise(cuts):
            slices = member_slices({"a": n_first, "b": n_other}, slice(start, stop))
            for name, size in (("a", n_first), ("b", n_other)):
                seen[name] += range(size)[slices[name]]
        assert seen == {"a": list(range(n_first)), "b": list(range(n_other))}


def test_only_the_models_that_are_needed_are_asked(place):
    joined = as_model(f"{place}/dipole.pt,{place}/raman.pt")
    assert joined.for_targets(("apt",)).name == "dipole"
    assert joined.for_targets(("pgt",)).name == "raman"
    assert joined.for_targets(("pgt", "apt")).targets == ("apt", "pgt")
    calculator = Properties(JoinedModel(predictors(place)))
    assert CalculatorModel(calculator).for_targets(("apt",)).targets == ("apt",)


def zeros(atoms):
    return np.zeros((len(atoms), 3, 3))


class Announced:
    """Says one thing and does another."""

    name = "liar"

    def __init__(self, **attributes):
        self.__dict__.update(attributes)

    def __call__(self, atoms):
        return zeros(atoms)

    def members(self, atoms):
        return np.zeros((2, len(atoms), 3, 3))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (7, "APT model: type: found int, expected a file, a name, a callable or an ASE"),
        (Announced(targets=("charge",)), "model liar: target: found 'charge', expected apt"),
        (Announced(targets=("pgt",)), "model liar: targets: found pgt, expected apt, too"),
        (EMT(), "calculator EMT: properties: found .*, expected born_effective_charges"),
    ],
)
def test_what_is_no_model_is_refused(source, message):
    with pytest.raises(InputError, match=message):
        as_model(source)


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda atoms: zeros(atoms)[0], InputError, r"APT model: shape: found \(3, 3\), expected"),
        (lambda atoms: zeros(atoms) * np.nan, RunError, "APTs of H2O are not finite"),
        (
            Announced(n_members=3),
            InputError,
            "APT model: committee members: found 2, expected 3, as it announces",
        ),
        (
            Announced(
                targets=("apt", "pgt"), tensors=lambda s: [{"apt": zeros(a)[None]} for a in s]
            ),
            InputError,
            "model liar: tensors: found apt, expected pgt, too",
        ),
    ],
)
def test_foreign_numbers_are_checked_once(function, error, message):
    model = as_model(function)
    with pytest.raises(error, match=message):
        model.evaluate(STRUCTURES[2:])


def test_the_kit_sees_what_is_wrong():
    """Each fault in a model that is right otherwise is named."""

    def asymmetric(atoms):
        return np.stack([np.eye(3) * (k + 1) for k in range(len(atoms))])

    def fixed_frame(atoms):
        return np.stack([np.diag([1.0, 2.0, 3.0]) * z for z in atoms.numbers])

    def origin(atoms):
        return np.stack([np.eye(3) * np.linalg.norm(q) for q in atoms.positions])

    def remembers(atoms, calls=[]):  # noqa: B006  # the fault that is to be found
        calls.append(0)
        return zeros(atoms) + len(calls) * np.eye(3)

    check_tensor_model(as_model(fixed_frame), STRUCTURES, rotations=False)
    for function, message in (
        (asymmetric, "another order"),
        (fixed_frame, "turned with the structure"),
        (origin, "all atoms moved"),
        (remembers, "one by one and in a batch"),
    ):
        with pytest.raises(AssertionError, match=message):
            check_tensor_model(as_model(function), STRUCTURES)


def test_a_new_target_passes_through(monkeypatch):
    """A target is described in targets.py alone; calculator, evaluator, ranks, extras follow."""
    made_up = replace(
        targets.PGT, name="quad", title="QUAD", ase_name="quadrupole_gradients", unit="e Å"
    )
    monkeypatch.setitem(targets.TARGETS, "quad", made_up)
    rng = np.random.default_rng(0)
    apt, quad = rng.normal(size=(2, 3, 3, 3)), rng.normal(size=(3, 3, 3, 3, 3))

    class Both:
        name, targets = "both", ("apt", "quad")

        def __init__(self):
            self.committee_sizes = {"apt": 2, "quad": 3}

        def tensors(self, structures):
            return [
                {"apt": apt * atoms.positions[1, 0], "quad": quad * atoms.positions[1, 0]}
                for atoms in structures
            ]

    atoms = STRUCTURES[2].copy()
    atoms.positions[1, 0] = 1.0
    calculator = APTCalculator(Both())
    found = calculator.get_property("quadrupole_gradients", atoms)
    np.testing.assert_allclose(found, quad.mean(axis=0))
    std = calculator.get_property("quadrupole_gradients_std", atoms)
    np.testing.assert_allclose(std, quad.std(axis=0, ddof=1))
    evaluator = Evaluator(atoms, None, Both())
    assert evaluator.committee_sizes == {"apt": 2, "quad": 3}
    positions = np.stack([atoms.positions * factor for factor in (1.0, 1.1, 1.2, 1.3)])
    results = evaluator(np.zeros((4, 3, 3)), positions)
    np.testing.assert_allclose(results.tensors["quad"][3], 1.3 * quad)
    assert results.tensors["quad"].shape == (4, 3, 3, 3, 3, 3)
    rows = np.concatenate([np.zeros((4, 9)), positions.reshape(4, -1)], axis=1)
    for n_ranks in (1, 3, 8):
        pool, divided = RankPool(evaluator, OneRank()), shares(4, {"apt": 2, "quad": 3}, n_ranks)
        parts = [pool.own_part(share, rows[share.structures], True)[1:] for share in divided]
        gathered = filled(Results.zeros(4, 3, evaluator.committee_sizes), divided, parts)
        for name, values in results.tensors.items():
            np.testing.assert_array_equal(gathered.tensors[name], values)
    sent = tensor_extras({name: values[0] for name, values in results.tensors.items()})
    received = read_tensor_extras({key: [text] for key, text in sent.items()})
    np.testing.assert_array_equal(received["quad"], quad[None])
    alone = Evaluator(atoms, None, Both(), targets=("apt",))
    assert list(alone(np.zeros((4, 3, 3)), positions).tensors) == ["apt"]
