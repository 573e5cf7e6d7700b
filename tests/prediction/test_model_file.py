import dataclasses
import pickle

import pytest
import torch
from helpers.systems import random_checkpoint

from aptnn_md.errors import InputError
from aptnn_md.prediction import model_file as module
from aptnn_md.prediction.model_file import read_model_file, write_model_file
from aptnn_md.training.dataset import file_sha256


@pytest.fixture
def model_file(tmp_path):
    path = tmp_path / "model.pt"
    write_model_file(path, random_checkpoint(members=2))
    return path


def test_round_trip(model_file):
    original, read = random_checkpoint(members=2), read_model_file(model_file)
    assert read.sha256 == file_sha256(model_file)
    for field in ("network", "config", "target", "card"):
        assert getattr(read, field) == getattr(original, field)
    for one, other in zip(read.members, original.members, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_nothing_but_data_is_unpickled(tmp_path):
    class Code:
        def __reduce__(self):
            return (print, ("executed",))

    path = tmp_path / "evil.pt"
    torch.save({"format": module.FORMAT, "version": 1, "members": [Code()]}, path)
    with pytest.raises(InputError, match=r"evil\.pt: content"):
        read_model_file(path)


def test_bad_files_are_named(tmp_path, model_file):
    content = model_file.read_bytes()
    for size in (0, 3, 100, len(content) // 2, len(content) - 10):
        path = tmp_path / f"cut{size}.pt"
        path.write_bytes(content[:size])
        with pytest.raises(InputError, match=rf"cut{size}\.pt"):
            read_model_file(path)
    other = tmp_path / "other.pt"
    torch.save({"weights": torch.zeros(3)}, other)
    with pytest.raises(InputError, match=r"other\.pt: format"):
        read_model_file(other)
    other.write_bytes(pickle.dumps({"format": module.FORMAT}))
    with pytest.raises(InputError, match=r"other\.pt: format"):
        read_model_file(other)
    with pytest.raises(InputError, match=r"nowhere: model: found no such file"):
        read_model_file("nowhere")


def test_newer_versions_are_refused_and_older_ones_upgraded(tmp_path, monkeypatch, model_file):
    monkeypatch.setattr(module, "VERSION", 3)
    monkeypatch.setattr(
        module,
        "UPGRADES",
        {
            1: lambda p: {**p, "version": 2, "target": "second"},
            2: lambda p: {**p, "version": 3, "target": p["target"] + " third"},
        },
    )
    assert read_model_file(model_file).target == "second third"
    new = tmp_path / "new.pt"
    write_model_file(new, random_checkpoint())
    monkeypatch.setattr(module, "VERSION", 1)
    with pytest.raises(InputError, match=r"version: found 3, expected <= 1"):
        read_model_file(new)


def test_an_interrupted_write_leaves_the_old_file(model_file, monkeypatch):
    before = model_file.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    changed = dataclasses.replace(random_checkpoint(), card={"new": True})
    with pytest.raises(InputError, match="No space left"):
        write_model_file(model_file, changed)
    assert model_file.read_bytes() == before
    assert [p.name for p in model_file.parent.iterdir()] == ["model.pt"]
