"""Model files: weights and plain data, with a version, a model card and a digest.

A file is what ``torch.save`` makes of a dictionary of numbers, strings and tensors, and is read as
:mod:`aptnn_md.models.archive` describes: no code is ever unpickled, checksums are verified, and
every field is checked before a network is made of it. Since version 2 it holds the SHA-256 of all
that it says, ``"sha256"``, of the other fields as :func:`aptnn_md.models.archive.content_sha256`
defines it. Files of older versions are brought to the present one by a chain of small functions,
one for each version.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from ase.data import atomic_masses
from torch import Tensor

from aptnn_md.bundled import bundled_path
from aptnn_md.errors import InputError
from aptnn_md.files import write_output
from aptnn_md.models.architectures import NETWORKS, known_network
from aptnn_md.models.archive import content_sha256, file_content, read_archive
from aptnn_md.models.tensor_network import check_finite_weights, irreps_of
from aptnn_md.settings import settings_from
from aptnn_md.targets import targets_of

FORMAT = "aptnn_md.model"
VERSION = 2

Payload = dict[str, Any]
UPGRADES: dict[int, Callable[[Payload], Payload]] = {
    1: lambda payload: {**payload, "version": 2, "sha256": ""},
}
"""Version -> function that turns a payload of that version into one of the next."""

BUNDLED_MODELS = ("water-apt", "water-apt-committee", "water-pgt", "organic-apt")

_EXPECTED = f"a model file ({FORMAT}, version <= {VERSION})"
_FIELDS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "network": (str, "a name"),
    "config": (dict, "a table of settings"),
    "target": (str, "names of targets"),
    "members": ((list, tuple), "a list of weights, at least one"),
    "card": (dict, "a table, the model card"),
    "sha256": (str, "a digest"),
}
_DTYPES = (torch.float32, torch.float64)


@dataclass(frozen=True)
class ModelFile:
    """What a model file holds.

    Attributes
    ----------
    network : architecture, a key of :data:`aptnn_md.models.architectures.NETWORKS`
    config : keyword arguments of its configuration
    target : what it predicts: names of targets joined by ``+``, e.g. ``"apt+pgt"``
    members : weights of each committee member
    card : model card: training data, level of theory, errors, licence, package version, ...
    sha256 : of the file it was read from
    content_sha256 : of the content, as the file states it and as it was verified; empty where the
        file is of version 1, which has checksums (CRC-32) only
    path : of the file it was read from
    """

    network: str
    config: Mapping[str, Any]
    target: str
    members: tuple[Mapping[str, Tensor], ...]
    card: Mapping[str, Any] = field(default_factory=dict)
    sha256: str = ""
    content_sha256: str = ""
    path: str = ""


def model_path(source: str | PathLike[str]) -> Path:
    """A bundled model's name or a path -> the path of the file."""
    if str(source) in BUNDLED_MODELS:
        return bundled_path(f"{source}.pt")
    path = Path(source)
    if not path.is_file():
        found = "no such file" if not path.exists() else "a directory or device"
        raise InputError(
            source, "model", found, f"a model file or one of {', '.join(BUNDLED_MODELS)}"
        )
    return path


def write_model_file(path: str | Path, model: ModelFile) -> None:
    """Write a model file, whole or not at all.

    Raises
    ------
    InputError
        Weights that are not finite, a card of other than plain data, or a place that cannot be
        written to.
    """
    payload = {
        "format": FORMAT,
        "version": VERSION,
        "network": model.network,
        "config": _plain(path, "config", model.config),
        "target": model.target,
        "members": [_own(path, member) for member in model.members],
        "card": _plain(path, "card", model.card),
    }
    payload["sha256"] = content_sha256(payload)
    buffer = io.BytesIO()
    torch.save(payload, buffer)
    write_output(Path(path), buffer.getvalue())


def read_model_file(source: str | PathLike[str]) -> ModelFile:
    """Read a model file or a bundled model.

    Raises
    ------
    InputError
        No such file, a damaged one, one that is not a model or has impossible fields, or one of a
        newer version.
    """
    path = model_path(source)
    content = file_content(path, _EXPECTED)
    payload = _payload(path, content)
    _verify(path, payload)
    payload = _upgraded(payload)
    _check_fields(path, payload)
    return ModelFile(
        network=payload["network"],
        config=payload["config"],
        target=payload["target"],
        members=tuple(payload["members"]),
        card=payload["card"],
        sha256=hashlib.sha256(content).hexdigest(),
        content_sha256=payload["sha256"],
        path=str(path),
    )


def _payload(path: Path, content: bytes) -> Payload:
    payload = read_archive(path, content, _EXPECTED)
    if not isinstance(payload, dict) or payload.get("format") != FORMAT:
        raise InputError(path, "format", "a torch file of another kind", _EXPECTED)
    version = payload.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise InputError(path, "version", repr(version), f"a number from 1 to {VERSION}")
    if version > VERSION:
        raise InputError(
            path, "version", version, f"<= {VERSION}; a newer aptnn_md made this file: upgrade it"
        )
    return payload


def _verify(path: Path, payload: Payload) -> None:
    """Compare the content with its digest; the digest of version 1 is none."""
    if payload["version"] < 2:
        return
    stated = payload.get("sha256")
    try:
        digest = content_sha256({key: v for key, v in payload.items() if key != "sha256"})
    except (ValueError, RecursionError) as error:
        raise InputError(path, "content", error, "plain data and tensors") from error
    if stated != digest:
        raise InputError(path, "SHA-256 of the content", digest, f"{stated}, as the file says")


def _upgraded(payload: Payload) -> Payload:
    while payload["version"] < VERSION:
        payload = UPGRADES[payload["version"]](payload)
    return payload


# ---------------------------------------------------------------------- fields


def _check_fields(path: Path, payload: Payload) -> None:
    """Refuse what cannot be a model, before anything is made of it."""
    for name, (kind, words) in _FIELDS.items():
        if name not in payload:
            raise InputError(path, name, "nothing", words)
        value = payload[name]
        if not isinstance(value, kind) or (name == "members" and not value):
            found = type(value).__name__ if not isinstance(value, kind) else "an empty list"
            raise InputError(path, name, found, words)
    unknown = set(payload) - {*_FIELDS, "format", "version"}
    if unknown:
        raise InputError(path, "fields", ", ".join(sorted(map(repr, unknown))), "those of a model")
    _plain(path, "card", payload["card"])
    known_network(payload["network"], path)
    least = _least_weights(path, payload)
    for number, member in enumerate(payload["members"]):
        _check_member(path, f"members[{number}]", member, payload["members"][0], least)


def _least_weights(path: Path, payload: Payload) -> int:
    """How many numbers a network of this configuration has at least."""
    config = payload["config"]
    if not all(isinstance(name, str) for name in config):
        raise InputError(path, "config", "keys that are not text", "names of settings")
    elements = config.get("elements")
    if (
        not isinstance(elements, list | tuple)
        or not elements
        or not all(type(z) is int and 0 < z < len(atomic_masses) for z in elements)
        or any(second <= first for first, second in itertools.pairwise(elements))
    ):
        expected = f"atomic numbers from 1 to {len(atomic_masses) - 1}, ascending"
        raise InputError(path, "elements", str(elements)[:80], expected)
    config_class, network_class = NETWORKS[payload["network"]]()
    targets_of(payload["target"], path)
    given = {"elements": tuple(elements), "target_irreps": str(irreps_of(payload["target"]))}
    settings = {name: value for name, value in config.items() if name not in given}
    found = settings_from(config_class, settings, path, "config", given=given)
    least: int = network_class.least_weights(found)
    return least


def _check_member(path: Path, name: str, member: Any, first: Any, least: int) -> None:
    """Refuse weights that do not fit the configuration or each other."""
    if not isinstance(member, Mapping) or not member:
        raise InputError(path, name, type(member).__name__, "a table of weights")
    for key, tensor in member.items():
        if not isinstance(key, str) or not isinstance(tensor, Tensor):
            raise InputError(path, f"{name}: {key}", type(tensor).__name__, "a tensor with a name")
        if tensor.dtype not in _DTYPES:
            raise InputError(path, f"{name}: {key}", tensor.dtype, "float32 or float64")
    shapes, others = ({k: tuple(t.shape) for k, t in m.items()} for m in (member, first))
    if shapes != others:
        different = sorted(set(shapes.items()) ^ set(others.items()))[0]
        raise InputError(path, name, f"{different[0]} {different[1]}", "the same as in the first")
    n_weights = sum(tensor.numel() for tensor in member.values())
    if n_weights < least:
        expected = f"at least {least}, as the settings of its network need"
        raise InputError(path, f"{name}: numbers", n_weights, expected)
    check_finite_weights(path, name, member)


def _own(path: str | Path, member: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as a file holds them: each tensor's numbers alone, in memory."""
    check_finite_weights(path, "weights", member)
    return {name: tensor.detach().cpu().clone() for name, tensor in member.items()}


def _plain(where: object, name: str, value: Any) -> Any:
    """Plain data as it is, numbers of numpy as Python's.

    Raises
    ------
    InputError
        Anything else is in it.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, list | tuple):
        return type(value)(_plain(where, name, item) for item in value)
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(where, f"{name}: {key}", item) for key, item in value.items()}
    raise InputError(where, name, type(value).__name__, "numbers, text, lists and tables of them")
