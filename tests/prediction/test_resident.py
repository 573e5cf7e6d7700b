"""Predictors whose structures stay on a device against the plain ones on the processor.

``pytest -m gpu`` compares a GPU; by default the same code runs on the processor.
"""

from __future__ import annotations

import copy
import pickle
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from ase import Atoms
from helpers.systems import random_checkpoint, triclinic
from torch.utils._python_dispatch import TorchDispatchMode

from aptnn_md.errors import InputError, RunError
from aptnn_md.models import resident as residence
from aptnn_md.prediction import predictor as module
from aptnn_md.prediction.captured import CALLS_BEFORE, CapturedCall
from aptnn_md.prediction.predictor import Predictor
from aptnn_md.prediction.resident import Projection
from aptnn_md.targets import TARGETS

TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
KINDS = [("ace", "apt+pgt", 1), ("ace", "apt", 3), ("dipole", "apt", 2)]


@pytest.fixture
def on_processor(monkeypatch):
    """The plain predictor of a model."""

    def make(*arguments, **options):
        with monkeypatch.context() as patch:
            patch.setattr(residence, "RESIDENT", set())
            return Predictor(*arguments, **options)

    return make


def structures():
    frames = [triclinic(seed, n_atoms=5 + 3 * seed) for seed in range(3)]
    frames[1].pbc = (True, False, True)
    return [*frames, Atoms(), Atoms("O", positions=[[1e3, 0, 0]])]


def assert_close(found, expected, tolerance):
    assert [list(each) for each in found] == [list(each) for each in expected]
    for mine, theirs in zip(found, expected, strict=True):
        for target, tensors in theirs.items():
            size = max(1.0, float(np.abs(tensors).max(initial=0.0)))
            assert mine[target].shape == tensors.shape
            assert mine[target].dtype == np.float64
            np.testing.assert_allclose(mine[target], tensors, rtol=0, atol=tolerance * size)


@pytest.mark.thorough
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("network", "target", "members"), KINDS)
def test_a_walk_gives_the_tensors_of_the_processor(
    device, on_processor, network, target, members, dtype
):
    checkpoint = random_checkpoint(network, members=members, target=target)
    options = {"dtype": dtype, "total_charge": 1.0}
    predictor = Predictor(checkpoint, device=device, **options)
    plain = on_processor(checkpoint, **options)
    random, frames = np.random.default_rng(0), structures()
    for step in range(8):
        assert_close(predictor.evaluate(frames), plain.evaluate(frames), TOLERANCE[dtype])
        for atoms in frames:
            atoms.positions += 0.04 * random.normal(size=(len(atoms), 3))
        if step > 4:
            frames[0].set_cell(frames[0].cell.array * 1.01, scale_atoms=True)


def test_another_composition_is_seen(device, on_processor):
    checkpoint = random_checkpoint()
    predictor = Predictor(checkpoint, device=device, dtype="float64")
    plain = on_processor(checkpoint, dtype="float64")
    atoms = triclinic()
    changes = [
        lambda: None,
        lambda: atoms.numbers.__setitem__(slice(None), atoms.numbers[::-1].copy()),
        lambda: atoms.__delitem__(3),
        lambda: atoms.set_pbc((True, False, True)),
        lambda: atoms.wrap(),
        lambda: atoms.info.__setitem__("charge", 2.0),
        lambda: atoms.set_cell(atoms.cell.array * 1.3),
    ]
    for change in changes:
        change()
        for _ in range(CALLS_BEFORE + 2):
            atoms.positions += 1e-3
            assert_close(predictor.evaluate([atoms]), plain.evaluate([atoms]), 1e-10)


@pytest.mark.thorough
def test_graphs_are_replayed_and_recorded_again(device, on_processor):
    """A replay reads new positions, cells and charges; tables that grow need another recording."""
    checkpoint = random_checkpoint(members=2)
    predictor = Predictor(checkpoint, device=device)
    plain = on_processor(checkpoint)
    atoms = triclinic(n_atoms=17, size=9.0)
    for _ in range(CALLS_BEFORE + 4):
        atoms.positions += 0.01
        atoms.info["charge"] = float(atoms.positions[0, 0])
        assert_close(predictor.evaluate([atoms]), plain.evaluate([atoms]), 1e-5)
    system = predictor._resident.kept([atoms], 0)
    room, replays = system.tables.room, system.captured.replays
    for _ in range(8):
        atoms.set_cell(atoms.cell.array * 0.95, scale_atoms=True)
        for _ in range(CALLS_BEFORE + 2):
            assert_close(predictor.evaluate([atoms]), plain.evaluate([atoms]), 1e-5)
    assert predictor._resident.kept([atoms], 0) is system
    assert system.tables.room.width > room.width
    assert not system.captured.failed
    if torch.device(device).type == "cuda":
        assert replays == 4
        assert system.captured.replays > replays + 8


def test_what_cannot_be_recorded_goes_on_as_usual(device, caplog):
    numbers = torch.arange(5.0, device=device)
    captured = CapturedCall(torch.device(device))

    def waits():
        return numbers + float(numbers.sum().item())

    for _ in range(CALLS_BEFORE + 3):
        numbers += 1.0
        assert captured(waits).tolist() == (numbers + numbers.sum()).tolist()
    on_gpu = torch.device(device).type == "cuda"
    assert caplog.text.count("CUDA graph: none could be recorded") == int(on_gpu)
    assert bool(captured.failed) == on_gpu
    # a failure leaves nothing behind for the next one
    other = CapturedCall(torch.device(device))

    def doubled():
        return 2.0 * numbers

    for _ in range(CALLS_BEFORE + 3):
        numbers += 1.0
        assert other(doubled).tolist() == (2.0 * numbers).tolist()
    assert other.failed == ""
    assert other.replays == (3 if on_gpu else 0)


@pytest.mark.thorough
def test_dipoles_rates_and_charges(device, on_processor):
    checkpoint = random_checkpoint("dipole", members=2)
    predictor = Predictor(checkpoint, device=device, dtype="float64", total_charge=1.0)
    plain = on_processor(checkpoint, dtype="float64", total_charge=1.0)
    frames = structures()
    velocities = np.random.default_rng(1).normal(size=(len(frames[0]), 3))
    for _ in range(3):
        np.testing.assert_allclose(predictor.dipoles(frames), plain.dipoles(frames), atol=1e-10)
        charges = predictor.charges(frames[0])
        np.testing.assert_allclose(charges, plain.charges(frames[0]), atol=1e-10)
        rates = [p.dipole_rate(frames[0], velocities) for p in (predictor, plain)]
        np.testing.assert_allclose(*rates, atol=1e-10)
        assert np.abs(rates[0]).min() > 1e-2
        frames[0].positions += 0.05 * velocities


@pytest.mark.thorough
def test_members_copies_and_threads_have_structures_of_their_own(device):
    predictor = Predictor(random_checkpoint(members=3), device=device, dtype="float64")
    walks = [[triclinic(seed=k) for _ in range(6)] for k in range(3)]
    for walk in walks:
        for step, atoms in enumerate(walk):
            atoms.positions += 0.02 * step
    expected = [[predictor(atoms) for atoms in walk] for walk in walks]
    first = predictor.select(slice(0, 1))
    assert first.members(walks[0][0]).shape == (1, 17, 3, 3)
    np.testing.assert_allclose(
        first(walks[0][0]), predictor.members(walks[0][0])[0], rtol=0, atol=1e-12
    )
    for again in (copy.deepcopy(predictor), pickle.loads(pickle.dumps(predictor))):
        np.testing.assert_allclose(again(walks[1][2]), expected[1][2], rtol=0, atol=1e-12)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda walk: [predictor(atoms) for atoms in walk], walks))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_many_structures_are_evaluated_in_few_calls(device, monkeypatch, on_processor):
    checkpoint = random_checkpoint()
    predictor = Predictor(checkpoint, device=device, dtype="float64")
    frames = [triclinic(seed=k % 4, n_atoms=10 + k % 3) for k in range(20)]
    monkeypatch.setattr(module, "LARGE_BATCH_ATOMS", 60)
    for _ in range(3):
        found = predictor.evaluate(frames)
        assert_close(found, on_processor(checkpoint, dtype="float64").evaluate(frames), 1e-10)
    monkeypatch.setattr(module, "LARGE_BATCH_ATOMS", 10**6)
    assert_close(predictor.evaluate(frames), found, 1e-10)


def test_refusals_are_those_of_the_processor(device, caplog):
    predictor = Predictor(random_checkpoint(), device=device)
    atoms = triclinic()
    predictor(atoms)
    with pytest.raises(InputError, match=r"element: found He, expected H, O, Na"):
        predictor(Atoms("HeO"))
    atoms.positions[2] = np.inf
    with pytest.raises(InputError, match=r"positions: found .* at atom 2"):
        predictor(atoms)
    with pytest.raises(InputError, match="a cell vector for every periodic direction"):
        predictor(Atoms("O", pbc=True))
    wrong = Predictor(random_checkpoint(), device=device)
    with torch.no_grad():
        wrong.networks[0].scale.fill_(torch.nan)
    with pytest.raises(RunError, match=r"APTs of .* are not finite, first that of atom 0"):
        wrong(triclinic())


@pytest.mark.thorough
def test_a_network_that_reads_no_tables(device, on_processor):
    checkpoint = random_checkpoint("simple")
    atoms = triclinic()
    expected = on_processor(checkpoint, dtype="float64")(atoms)
    found = Predictor(checkpoint, device=device, dtype="float64")(atoms)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("sizes", [(4,), (3, 3), (1, 5, 2)])
def test_projections_are_those_of_the_targets(device, target, sizes):
    tensors = np.random.default_rng(0).normal(size=(2, sum(sizes), *TARGETS[target].shape))
    charges = np.linspace(-1.0, 2.0, len(sizes))
    projection = Projection(TARGETS[target], sizes, torch.device(device))
    found = projection(*(torch.from_numpy(x).to(device) for x in (tensors, charges))).cpu().numpy()
    ends = np.cumsum(sizes)[:-1]
    for member, mine in zip(tensors, found, strict=True):
        parts = (np.split(member, ends), np.split(mine, ends), charges)
        for part, own, charge in zip(*parts, strict=True):
            expected = TARGETS[target].project(part, charge)
            np.testing.assert_allclose(own, expected, rtol=0, atol=1e-13)


class Operations(TorchDispatchMode):
    """Names of all operations of torch inside, and how many launch something."""

    def __init__(self):
        super().__init__()
        self.names: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names[str(func).removeprefix("aten.")] += 1
        flat = [*args, *(kwargs or {}).values()]
        for indices in (x for x in flat if isinstance(x, (list, tuple))):
            kinds = {x.dtype for x in indices if isinstance(x, torch.Tensor)}
            if str(func).startswith("aten.index") and torch.bool in kinds:
                self.names["index by a mask"] += 1
        return func(*args, **(kwargs or {}))


WAITING = ("nonzero", "_local_scalar_dense", "bincount", "masked_select", "unique", "lift_fresh")
WAITING += ("repeat_interleave", "item", "equal", "index by a mask", "is_nonzero")


@pytest.mark.parametrize(("network", "target", "members"), KINDS)
@pytest.mark.parametrize("same_sizes", [True, False])
def test_nothing_waits_for_the_device(device, network, target, members, same_sizes):
    """In an evaluation, no operation needs a number of the device or sends one there."""
    predictor = Predictor(
        random_checkpoint(network, members=members, target=target), device=device, total_charge=1.0
    )
    frames = [triclinic(seed, n_atoms=11 + (0 if same_sizes else seed)) for seed in range(2)]
    predictor.evaluate(frames)
    system = predictor._resident.kept(frames, 0)
    inference = network == "ace"
    with torch.inference_mode(inference), torch.no_grad(), Operations() as operations:
        system._evaluated()
    assert len(operations.names) > 10
    waiting = [name for name in operations.names if name.split(".")[0] in WAITING]
    assert waiting == []
