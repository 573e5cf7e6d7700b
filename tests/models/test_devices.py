"""Devices by name, and errors of torch for a lack of memory."""

from __future__ import annotations

import pytest
import torch
from ase.build import molecule
from helpers.systems import random_checkpoint, triclinic

from aptnn_md.errors import InputError, RunError
from aptnn_md.models.devices import enough_memory, torch_device
from aptnn_md.potentials.loading import load_potential
from aptnn_md.prediction.predictor import Predictor

ABSENT = ["tpu9", "", "meta", "xla", "hip"]
if not torch.cuda.is_available():
    ABSENT += ["cuda", "cuda:1"]


@pytest.mark.parametrize("name", ABSENT)
def test_devices_that_are_not_there_are_named(name):
    with pytest.raises(
        InputError, match=f"--device: {name}: found .*a device of this machine: cpu"
    ):
        torch_device(name)


def test_models_and_potentials_ask():
    assert torch_device("cpu") == torch.device("cpu")
    with pytest.raises(InputError, match="--device: tpu9"):
        Predictor(random_checkpoint(), device="tpu9")


def test_potentials_ask():
    with pytest.raises(InputError, match="--device: tpu9"):
        load_potential("water-mace", device="tpu9")


def test_a_lack_of_memory_is_a_sentence():
    place = ("big thing", "use less")
    with pytest.raises(RunError, match="big thing: out of memory; use less"), enough_memory(*place):
        torch.empty(2**52)
    with pytest.raises(RunError, match="big thing: out of memory"), enough_memory(*place):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate")
    with pytest.raises(RuntimeError, match="something else"), enough_memory(*place):
        raise RuntimeError("something else")


def test_a_model_without_memory_says_how_large_its_structure_is(monkeypatch):
    predictor = Predictor(random_checkpoint())

    def full(*_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(predictor.networks[0], "forward", full)
    with pytest.raises(RunError, match=r"model model, 17 atoms, \d+ pairs: out of memory; give it"):
        predictor(triclinic())
    with pytest.raises(InputError, match="element"):
        predictor(molecule("CH4"))
