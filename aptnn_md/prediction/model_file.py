"""Model files: weights and plain data, with a version and a model card.

A file is what ``torch.save`` makes of a dictionary of numbers, strings and tensors, and is read
with ``weights_only=True``: no code is ever unpickled. Files of older versions are brought to the
present one by a chain of small functions, one for each version.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aptnn_md.bundled import bundled_path
from aptnn_md.errors import InputError
from aptnn_md.files import write_output

FORMAT = "aptnn_md.model"
VERSION = 1

Payload = dict[str, Any]
UPGRADES: dict[int, Callable[[Payload], Payload]] = {}
"""Version -> function that turns a payload of that version into one of the next."""

BUNDLED_MODELS = ("water-apt", "water-apt-committee", "water-pgt")


@dataclass(frozen=True)
class ModelFile:
    """What a model file holds.

    Attributes
    ----------
    network : architecture, a key of :data:`aptnn_md.models.tensor_network.NETWORKS`
    config : keyword arguments of its configuration
    target : what it predicts: names of targets joined by ``+``, e.g. ``"apt+pgt"``
    members : weights of each committee member
    card : model card: training data, level of theory, errors, licence, package version, ...
    sha256 : of the file it was read from
    """

    network: str
    config: Mapping[str, Any]
    target: str
    members: tuple[Mapping[str, Tensor], ...]
    card: Mapping[str, Any] = field(default_factory=dict)
    sha256: str = ""


def model_path(source: str | PathLike[str]) -> Path:
    """A bundled model's name or a path -> the path of the file."""
    if str(source) in BUNDLED_MODELS:
        return bundled_path(f"{source}.pt")
    if not Path(source).is_file():
        raise InputError(
            source, "model", "no such file", f"a model file or one of {', '.join(BUNDLED_MODELS)}"
        )
    return Path(source)


def write_model_file(path: str | Path, model: ModelFile) -> None:
    """Write a model file, whole or not at all."""
    payload = {
        "format": FORMAT,
        "version": VERSION,
        "network": model.network,
        "config": dict(model.config),
        "target": model.target,
        "members": [dict(member) for member in model.members],
        "card": dict(model.card),
    }
    buffer = io.BytesIO()
    torch.save(payload, buffer)
    write_output(Path(path), buffer.getvalue())


def read_model_file(source: str | PathLike[str]) -> ModelFile:
    """Read a model file or a bundled model.

    Raises
    ------
    InputError
        No such file, a truncated one, one that is not a model, or one of a newer version.
    """
    path = model_path(source)
    content = path.read_bytes()
    payload = _upgraded(path, _payload(path, content))
    return ModelFile(
        network=payload["network"],
        config=payload["config"],
        target=payload["target"],
        members=tuple(payload["members"]),
        card=payload["card"],
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _payload(path: Path, content: bytes) -> Payload:
    expected = f"a model file ({FORMAT}, version <= {VERSION})"
    if not content.startswith(b"PK"):
        raise InputError(path, "format", f"{len(content)} bytes of another kind", expected)
    try:
        payload = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0][:120]
        raise InputError(
            path, "content", f"{len(content)} bytes, truncated or damaged ({reason})", expected
        ) from error
    if not isinstance(payload, dict) or payload.get("format") != FORMAT:
        raise InputError(path, "format", "a torch file of another kind", expected)
    return payload


def _upgraded(path: Path, payload: Payload) -> Payload:
    version = payload.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise InputError(
            path, "version", version, f"<= {VERSION}; a newer aptnn_md made this file: upgrade it"
        )
    while payload["version"] < VERSION:
        payload = UPGRADES[payload["version"]](payload)
    return payload
