"""A batch of joined frames is worth its frames one by one."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from helpers.systems import ELEMENTS, SETTINGS, triclinic

from aptnn_md.models.tensor_network import TensorNetwork, fresh_model
from aptnn_md.structures import total_charge
from aptnn_md.targets import TARGETS
from aptnn_md.training.batches import Batch, FrameSet
from aptnn_md.training.dataset import LabelledFrame
from aptnn_md.training.settings import TrainingSettings, divided
from aptnn_md.training.trainer import Trainer


def frame(atoms: Atoms, seed: int, charge: float = 0.0, missing: tuple[int, ...] = ()):
    """Random labels that obey the sum rules, and none for some atoms."""
    random = np.random.default_rng(seed)
    atoms.info["charge"] = charge
    apt = TARGETS["apt"].project(random.normal(size=(len(atoms), 3, 3)), charge)
    pgt = random.normal(size=(len(atoms), 3, 3, 3))
    pgt = TARGETS["pgt"].project(pgt + np.swapaxes(pgt, 1, 2), charge)
    apt[list(missing)] = np.nan
    pgt[list(missing[:1])] = np.nan
    return LabelledFrame(atoms, {"apt": apt, "pgt": pgt})


def mixed_frames() -> list[LabelledFrame]:
    """Periodic in three directions, in two, in none; of several sizes, elements and charges."""
    slab = triclinic(2, n_atoms=9, size=4.5)
    slab.pbc = (True, False, True)
    molecule = triclinic(3, n_atoms=6, size=4.0)
    molecule.pbc, molecule.cell = False, None
    hydroxide = Atoms("OH", positions=[[0, 0, 0], [0.3, 0.2, 0.9]])
    without_pgt = frame(triclinic(6, n_atoms=5, size=4.0), 6)
    without_pgt.labels["pgt"][:] = np.nan
    return [
        frame(triclinic(1), 1, missing=(3, 5)),
        frame(slab, 2, charge=1.0),
        frame(molecule, 3, charge=-1.0),
        frame(hydroxide, 4, charge=-1.0),
        frame(Atoms("Na", positions=[[7.0, -3.0, 1.0]]), 5, charge=1.0),
        without_pgt,
        frame(triclinic(7, n_atoms=11, size=5.0), 7, missing=(0,)),
    ]


def double_model(network: str) -> TensorNetwork:
    return fresh_model(network, "apt+pgt", ELEMENTS, SETTINGS[network], 3).double()


def squares(model: TensorNetwork, batch: Batch) -> dict[str, torch.Tensor]:
    predicted = model(batch.geometry, batch.species)
    return {
        target: (predicted[target][labels.atoms] - labels.tensors).square().sum()
        for target, labels in batch.labels.items()
    }


def gradients(model: TensorNetwork, loss: torch.Tensor) -> list[torch.Tensor]:
    found = torch.autograd.grad(
        loss, list(model.parameters()), allow_unused=True, retain_graph=True
    )
    return [
        torch.zeros_like(p) if g is None else g
        for p, g in zip(model.parameters(), found, strict=True)
    ]


@pytest.mark.thorough
@pytest.mark.parametrize("network", ["ace", "simple"])
def test_losses_and_gradients_are_sums_over_the_frames(network: str) -> None:
    model, frames = double_model(network), mixed_frames()
    known = FrameSet(frames, model)
    model.fit_inputs([batch.geometry for batch in known.in_order()])
    order = [4, 0, 2, 6, 5, 1, 3]
    batch = known.batch(order)
    assert batch.sizes == tuple(len(frames[k].atoms) for k in order)
    together = squares(model, batch)
    single: dict[str, torch.Tensor] = {}
    for k in order:
        # each frame in a set of its own: nothing can have been joined
        for target, square in squares(model, FrameSet([frames[k]], model).batch([0])).items():
            single[target] = single.get(target, 0.0) + square
    assert set(together) == set(single) == {"apt", "pgt"}
    for target, square in together.items():
        assert square.item() == pytest.approx(single[target].item(), rel=1e-12)
        ours, theirs = gradients(model, square), gradients(model, single[target])
        largest = max(float(g.abs().max()) for g in theirs)
        assert largest > 0.0
        for one, other in zip(ours, theirs, strict=True):
            assert float((one - other).abs().max()) < 1e-12 * largest


def test_labels_of_a_batch_are_those_of_its_frames() -> None:
    frames = mixed_frames()
    known = FrameSet(frames, double_model("ace"))
    batch = known.batch([5, 0, 4])
    apt, pgt = batch.labels["apt"], batch.labels["pgt"]
    starts = {5: 0, 0: 5, 4: 22}
    expected = [starts[k] + a for k in starts for a in np.flatnonzero(frames[k].has_label("apt"))]
    assert apt.atoms.tolist() == expected
    assert 5 + 3 not in expected
    # frame 5 has no gradients at all
    assert pgt.atoms.tolist() == [5 + k for k in range(17) if k != 3] + [22]
    numbers = np.concatenate([frames[k].atoms.numbers for k in starts])
    assert [ELEMENTS[k] for k in batch.species.tolist()] == numbers.tolist()
    assert torch.equal(apt.species, batch.species[apt.atoms])
    whole = apt.tensors[-1].numpy()
    assert np.allclose(whole, total_charge(frames[4].atoms) * np.eye(3))
    species, tensors = known.all_labels("pgt")
    assert len(species) == len(tensors) == sum(f.has_label("pgt").sum() for f in frames)


def test_what_is_kept_is_bounded() -> None:
    frames, model = mixed_frames(), double_model("ace")
    plenty, none = FrameSet(frames, model), FrameSet(frames, model, kept_bytes=0)
    assert plenty.batch([1]) is plenty.batch([1])
    # frames joined at random never come again
    assert plenty.batch([1, 2]) is not plenty.batch([1, 2])
    assert [id(b) for b in plenty.in_order()] == [id(b) for b in plenty.in_order()]
    first, second = none.batch([1]), none.batch([1])
    assert first is not second
    assert torch.equal(first.geometry.density, second.geometry.density)
    assert torch.equal(first.geometry.density, plenty.batch([1]).geometry.density)


def test_batches_are_divided_by_atoms() -> None:
    sizes = [6, 6, 384, 6, 400, 6, 6, 6]
    assert divided(range(8), sizes, 20) == [[0, 1], [2], [3], [4], [5, 6, 7]]
    assert divided([7, 2, 0, 1, 3], sizes, 12) == [[7], [2], [0, 1], [3]]
    assert divided([], sizes, 12) == []
    settings = TrainingSettings(batch_atoms=60)
    # as many as ten steps an epoch where there are frames enough
    assert [len(b) for b in settings.batches(range(200), [6] * 200)] == [10] * 20
    assert [len(b) for b in settings.batches(range(50), [6] * 50)] == [5] * 10
    assert settings.batches(range(3), [6] * 3) == [[0], [1], [2]]
    by_frames = TrainingSettings(batch_size=3)
    assert by_frames.batches([4, 0, 3, 1, 2], sizes) == [[4, 0, 3], [1, 2]]


def test_learning_rate_grows_with_the_frames_of_a_batch() -> None:
    settings = TrainingSettings(learning_rate=2e-3)
    assert settings.highest_learning_rate([384] * 9) == 2e-3
    adamw = replace(settings, optimizer="adamw")
    assert adamw.highest_learning_rate([6] * 160) == pytest.approx(2e-3 * math.sqrt(10.0))
    assert adamw.highest_learning_rate([1] * 5000) == pytest.approx(2e-3 * 5.0)
    # where matrices are turned
    assert settings.highest_learning_rate([24] * 160) == pytest.approx(2e-3 * 2.0 * math.sqrt(2.0))
    assert settings.highest_learning_rate([6] * 160) == pytest.approx(2e-3 * 6.0)
    given = TrainingSettings(learning_rate=2e-3, batch_size=16)
    assert given.highest_learning_rate([6] * 160) == 2e-3


def test_warm_ups_are_a_small_part_of_short_trainings() -> None:
    methanol = [6] * 200  # 20 batches
    assert TrainingSettings(epochs=70).steps_of_warmup(methanol) == 40
    assert TrainingSettings(epochs=8).steps_of_warmup(methanol) == 20
    assert TrainingSettings(epochs=2).steps_of_warmup(methanol) == 10
    assert TrainingSettings(epochs=8, warmup_steps=3).steps_of_warmup(methanol) == 3
    assert TrainingSettings(epochs=8, warmup_steps=0).steps_of_warmup(methanol) == 1
    assert TrainingSettings(epochs=156).steps_of_warmup([384] * 9) == 40


@pytest.mark.thorough
def test_the_learning_rate_is_highest_after_the_warm_up() -> None:
    frames = [frame(triclinic(seed, n_atoms=5, size=4.5), seed) for seed in range(20)]
    settings = TrainingSettings(epochs=12, batch_size=1, warmup_steps=40, ema_decay=0.5)
    trainer = Trainer(fresh_model("ace", "apt", ELEMENTS, SETTINGS["ace"], 0), frames, [], settings)
    rates = [trainer.run_epoch().learning_rate for _ in range(2)]
    # of the last of 20 steps, and of the last of 40, long after the 30th
    assert rates[0] == pytest.approx(5e-3 * 20 / 30 * cosine(19 / 240))
    assert rates[1] == pytest.approx(5e-3 * cosine(39 / 240))


def cosine(fraction: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * fraction))


def test_joined_frames_are_learned_by_turned_matrices():
    settings = TrainingSettings()
    assert settings.chosen_optimizer([6] * 160) == "muon"
    assert settings.chosen_optimizer([384] * 9) == "adamw"
    assert settings.chosen_optimizer([6]) == "adamw"
    # batches in frames are as the settings say
    assert replace(settings, batch_size=8).chosen_optimizer([6] * 160) == "adamw"
    for kind in ("muon", "adamw"):
        chosen = replace(settings, optimizer=kind)
        assert chosen.chosen_optimizer([6] * 160) == chosen.chosen_optimizer([384] * 9) == kind
