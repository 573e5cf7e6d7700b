import dataclasses
import hashlib
import os
import pickle
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.flips import Flippable
from helpers.systems import random_checkpoint
from helpers.verdicts import FOUND, HARMLESS

from aptnn_md.errors import InputError
from aptnn_md.models.architectures import NETWORKS
from aptnn_md.models.archive import content_sha256
from aptnn_md.prediction import model_file as module
from aptnn_md.prediction.model_file import read_model_file, write_model_file
from aptnn_md.prediction.predictor import Predictor
from aptnn_md.training.dataset import file_sha256

OLD = Path(__file__).parents[1] / "data" / "model_v1.pt"
"""A small model file as version 0.1 wrote it."""


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


def test_newer_versions_are_refused_and_older_ones_upgraded(tmp_path, monkeypatch):
    upgrade = module.UPGRADES[1]
    monkeypatch.setattr(module, "VERSION", 3)
    monkeypatch.setattr(
        module,
        "UPGRADES",
        {
            1: lambda p: {**upgrade(p), "card": {"name": "second"}},
            2: lambda p: {**p, "version": 3, "card": {"name": p["card"]["name"] + " third"}},
        },
    )
    assert read_model_file(OLD).card == {"name": "second third"}
    new = tmp_path / "new.pt"
    write_model_file(new, random_checkpoint())
    monkeypatch.setattr(module, "VERSION", 1)
    with pytest.raises(InputError, match=r"version: found 3, expected <= 1"):
        read_model_file(new)


def test_files_of_the_first_version_are_read():
    old = read_model_file(OLD)
    assert (old.network, old.target, old.content_sha256) == ("ace", "apt", "")
    assert old.card == {"training_data": "none", "charges": [0.0]}
    assert Predictor.from_file(OLD).elements == (1, 8)


def test_the_digest_is_of_the_content(model_file, tmp_path):
    read = read_model_file(model_file)
    again = tmp_path / "again.pt"
    write_model_file(again, read)
    assert len(read.content_sha256) == 64
    assert read_model_file(again).content_sha256 == read.content_sha256
    write_model_file(again, dataclasses.replace(read, card={"training_data": "other"}))
    assert read_model_file(again).content_sha256 != read.content_sha256
    # the same members in a table and a list: nothing but the documented bytes counts
    parts = b"m1:s1:al5:NTi2;d" + struct.pack(">d", 0.5) + b"tfloat32 1,2:"
    parts += struct.pack("<2f", 1.0, 2.0)
    plain = {"a": (None, True, 2, 0.5, torch.tensor([[1.0, 2.0]]))}
    assert content_sha256(plain) == hashlib.sha256(parts).hexdigest()


def saved(path, payload):
    """A file of torch with this payload, with its digest unless it has one."""
    if "sha256" not in payload and payload.get("version") == 2:
        payload = {**payload, "sha256": content_sha256(payload)}
    torch.save(payload, path)
    return path


def good():
    """Payload of version 2 without its digest."""
    checkpoint = random_checkpoint()
    return {
        "format": module.FORMAT,
        "version": 2,
        "network": "ace",
        "config": dict(checkpoint.config),
        "target": "apt",
        "members": [dict(checkpoint.members[0])],
        "card": {},
    }


def with_config(**changes):
    return {"config": {**good()["config"], **changes}}


def with_weight(change):
    """The members with their first weight changed."""
    member = good()["members"][0]
    return {"members": [{**member, "mean": change(member["mean"])}]}


MALFORMED = {
    "no version": ({"version": None}, "version: found None"),
    "version 0": ({"version": 0}, "version: found 0"),
    "version true": ({"version": True}, "version: found True"),
    "version 99": ({"version": 99}, "version: found 99"),
    "wrong digest": ({"sha256": "0" * 64}, "SHA-256 of the content"),
    "digest of another kind": ({"sha256": 3}, "SHA-256 of the content"),
    "card a list": ({"card": [1]}, "card: found list"),
    "card with a tensor": ({"card": {"a": torch.zeros(1)}}, "card: a: found Tensor"),
    "no member": ({"members": []}, "members: found an empty list"),
    "members a text": ({"members": "none"}, "members: found str"),
    "member a list": ({"members": [[1, 2]]}, r"members\[0\]: found list"),
    "weight a number": ({"members": [{"mean": 1.0}]}, r"members\[0\]: mean: found float"),
    "network a number": ({"network": 3}, "network: found int"),
    "unknown network": ({"network": "other"}, "network: found 'other'"),
    "target a list": ({"target": ["apt"]}, "target: found list"),
    "unknown target": ({"target": "dipole"}, "target: found 'dipole'"),
    "config a list": ({"config": [1]}, "config: found list"),
    "another field": ({"more": 1}, "fields: found 'more'"),
    "unknown setting": (with_config(more=1), "config: found more"),
    "cutoff NaN": (with_config(cutoff=float("nan")), "cutoff: found nan"),
    "cutoff 1e6": (with_config(cutoff=1e6), "cutoff: found 1000000.0"),
    "cutoff a text": (with_config(cutoff="6"), "cutoff: found '6'"),
    "no elements": (with_config(elements=[]), r"elements: found \[\]"),
    "elements not whole": (with_config(elements=[1.5, 8]), "elements: found"),
    "elements descending": (with_config(elements=[11, 8, 1]), "elements: found"),
    "element 200": (with_config(elements=[1, 8, 200]), "elements: found"),
    "elements of lists": (with_config(elements=[[1], [8]]), "elements: found"),
    "1e7 channels": (with_config(n_channels=10**7), "n_channels: found 10000000"),
    "4096 channels": (with_config(n_channels=4096), "numbers: found"),
    "huge lmax": (with_config(lmax=8, message_lmax=8), "numbers: found"),
    "smaller network": (with_config(n_channels=2), r"weights: network\.\w+.*by its settings"),
    "other lmax": (with_config(message_lmax=1), r"weights: network\.\w+.*by its settings"),
    "NaN": (with_weight(lambda w: w * float("nan")), r"mean: found nan at \[0, 0\]"),
    "infinity": (with_weight(lambda w: w + float("inf")), "mean: found inf"),
    "whole weights": (with_weight(lambda w: w.long()), r"mean: found torch\.int64"),
    "half precision": (with_weight(lambda w: w.half()), r"mean: found torch\.float16"),
    "other shape": (with_weight(lambda w: w[:1].clone()), "weights: mean"),
    "complex": (with_weight(lambda w: w + 1j), "ComplexFloatStorage, which is not data"),
    "two unlike members": (
        {"members": [good()["members"][0], {"mean": torch.zeros(3)}]},
        r"members\[1\]: found .* expected the same as in the first",
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_fields_are_one_sentence(tmp_path, name):
    changes, message = MALFORMED[name]
    path = saved(tmp_path / "odd.pt", {**good(), **changes})
    with pytest.raises(InputError, match=rf"odd\.pt: .*{message}") as caught:
        Predictor.from_file(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("name", ["network", "config", "target", "members", "card"])
@pytest.mark.parametrize("version", [1, 2])
def test_missing_fields_are_named(tmp_path, name, version):
    payload = {**good(), "version": version}
    del payload[name]
    with pytest.raises(InputError, match=rf"odd\.pt: {name}: found nothing"):
        read_model_file(saved(tmp_path / "odd.pt", payload))


def test_a_weight_too_few_or_too_many_is_named(tmp_path):
    member = good()["members"][0]
    few = {**member}
    del few["scale"]
    for changed, found in ((few, "nothing"), ({**member, "extra": torch.zeros(2)}, r"\(2,\)")):
        path = saved(tmp_path / "odd.pt", {**good(), "members": [changed]})
        with pytest.raises(InputError, match=f"weights: (scale|extra): found {found}"):
            Predictor.from_file(path)


@pytest.mark.thorough
def test_least_weights_are_a_bound_that_grows_with_the_network():
    for network, settings in (
        ("ace", [{}, {"n_channels": 5, "lmax": 2, "message_channels": 7}]),
        ("simple", [{"n_layers": 0}, {"n_layers": 2, "n_channels": 3, "lmax": 1}]),
    ):
        config_class, network_class = NETWORKS[network]()
        for each in settings:
            config = config_class((1, 8), "1x0e+1x1e+1x2e", **each)
            numbers = sum(w.numel() for w in network_class(config).state_dict().values())
            assert 0.1 * numbers < network_class.least_weights(config) <= numbers
            wide = config_class((1, 8), "1x0e+1x1e+1x2e", **{**each, "n_channels": 4096})
            if each.get("n_layers") != 0:
                assert network_class.least_weights(wide) > 1e7


def archive_with(path, source, change):
    """Rewrite a zip archive, each member as ``change(name, content)`` has it."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for member in old.infolist():
            content, kind = change(member.filename, old.read(member))
            new.writestr(member.filename, content, compress_type=kind)
    return path


def test_archives_cannot_grow_or_lie(tmp_path, model_file):
    stored = zipfile.ZIP_STORED

    def squeezed(name, content):
        return bytes(10**7) if name.endswith("data/3") else content, zipfile.ZIP_DEFLATED

    path = archive_with(tmp_path / "bomb.pt", model_file, squeezed)
    with pytest.raises(InputError, match=r"bomb\.pt: content: .*compressed members"):
        read_model_file(path)

    def short(name, content):
        return content[:-4] if name.endswith("data/3") else content, stored

    path = archive_with(tmp_path / "short.pt", model_file, short)
    with pytest.raises(InputError, match=r"short\.pt: content: .*data/3 holds another number"):
        read_model_file(path)
    repeated = {"members": [{"mean": torch.zeros(1).expand(10**6, 10**6)}]}
    path = saved(tmp_path / "wide.pt", {**good(), **repeated, "sha256": ""})
    with pytest.raises(InputError, match=r"wide\.pt: content: .*larger than its numbers"):
        read_model_file(path)
    with zipfile.ZipFile(tmp_path / "other.pt", "w") as other:
        other.writestr("readme.txt", "a zip file, but not torch's")
    with pytest.raises(InputError, match=r"other\.pt: content: .*not an archive of torch"):
        read_model_file(tmp_path / "other.pt")


def test_a_flipped_weight_with_a_right_checksum_is_found(tmp_path, model_file):
    def flipped(name, content):
        changed = bytes([content[0] ^ 1]) + content[1:]
        return changed if name.endswith("data/3") else content, zipfile.ZIP_STORED

    path = archive_with(tmp_path / "forged.pt", model_file, flipped)
    with pytest.raises(InputError, match=r"forged\.pt: SHA-256 of the content"):
        read_model_file(path)


def test_what_is_no_file_is_named(tmp_path):
    with pytest.raises(InputError, match="model: found a directory"):
        read_model_file(tmp_path)
    pipe = tmp_path / "pipe.pt"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match=r"pipe\.pt: model: found a directory or device"):
        read_model_file(pipe)


def test_only_what_can_be_read_is_written(tmp_path):
    path, checkpoint = tmp_path / "model.pt", random_checkpoint()
    card = {"rmse": np.float32(0.5), "frames": np.int64(3), "list": [np.float64(1.0)]}
    write_model_file(path, dataclasses.replace(checkpoint, card=card))
    assert read_model_file(path).card == {"rmse": 0.5, "frames": 3, "list": [1.0]}
    odd = dataclasses.replace(checkpoint, card={"data": Path("a")})
    with pytest.raises(InputError, match=r"model\.pt: card: data: found PosixPath"):
        write_model_file(path, odd)
    weights = {**checkpoint.members[0], "mean": torch.full((3, 9), float("nan"))}
    with pytest.raises(InputError, match=r"weights: mean: found nan"):
        write_model_file(path, dataclasses.replace(checkpoint, members=(weights,)))


def content_of(path):
    """All that follows from a model file, to be compared."""
    model = read_model_file(path)
    return content_sha256(
        [model.network, model.config, model.target, list(model.members), model.card]
    )


@pytest.mark.thorough
@pytest.mark.parametrize(
    "every",
    [
        101,
        pytest.param(11, marks=pytest.mark.slow),
        pytest.param(1, marks=pytest.mark.slow),
    ],
)
def test_each_flipped_bit_is_named_or_harmless(tmp_path, every):
    path = tmp_path / "small.pt"
    write_model_file(path, read_model_file(OLD))
    for file in (path, Path(shutil.copy(OLD, tmp_path / "old.pt"))):
        verdicts = Flippable([file], lambda file=file: content_of(file)).flip(every)
        print(f"{file.name}: {verdicts}")
        assert not verdicts.failures
        assert verdicts.counts[FOUND] > verdicts.counts[HARMLESS]


def test_any_truncation_is_named(tmp_path):
    content = OLD.read_bytes()
    path = tmp_path / "cut.pt"
    for size in sorted({*range(0, 200), *range(200, len(content), 97), len(content) - 1}):
        path.write_bytes(content[:size])
        with pytest.raises(InputError, match=r"cut\.pt: (content|format)"):
            read_model_file(path)


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
