"""Tensors in the extras of i-PI: compact for our own use, and ``BEC`` and ``dipole`` for i-PI's.

What a client returns beside forces is a text. i-PI reads it as a JSON object, and
``forces.extras[key]`` is then a list over the beads. A tensor as nested JSON lists costs more than
the rest of the exchange (384 atoms and 32 beads: 150 ms against 12 ms a step), so here it travels
in one string: ``1 <f8 1,64,3,3 <base64>``, that is version, type and shape, and bytes in C order.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.atomic_units import CODATA
from aptnn_md.errors import InputError
from aptnn_md.targets import APT, TARGETS, Tensors

VERSION = 1

MODEL_KEY = "aptnn_md_model"
"""Extras key of the name and the SHA-256 of the model."""

_DTYPES = ("<f4", "<f8")


def encode_tensor(values: AnyArray) -> str:
    """One line of text for an array of floating-point numbers; its bits are kept."""
    dtype = np.dtype(values.dtype).newbyteorder("<").str
    if dtype not in _DTYPES:
        raise InputError("extras", "type", values.dtype, "float32 or float64")
    data = base64.b64encode(np.ascontiguousarray(values, dtype=dtype).tobytes()).decode("ascii")
    return f"{VERSION} {dtype} {','.join(map(str, values.shape))} {data}"


def decode_tensor(text: str) -> AnyArray:
    """The array in a text of :func:`encode_tensor`.

    Raises
    ------
    InputError
        Not such a text, or one of a newer version.
    """
    expected = "version, type, shape and base64 data of a tensor"
    parts = text.split(" ") if isinstance(text, str) else []
    if len(parts) != 4:
        raise InputError("extras", "tensor", repr(text)[:60], expected)
    version, dtype, shape, data = parts
    if version != str(VERSION):
        raise InputError("extras", "version", version, VERSION)
    try:
        if dtype not in _DTYPES:
            raise ValueError(f"type {dtype}")
        sizes = [int(size) for size in shape.split(",")] if shape else []
        values = np.frombuffer(base64.b64decode(data, validate=True), dtype=dtype)
        return values.reshape(sizes).astype(values.dtype.newbyteorder("="))
    except (ValueError, binascii.Error) as error:
        raise InputError("extras", "tensor", error, expected) from error


def tensor_key(target: str) -> str:
    """Extras key of a target's tensors, encoded: ``"aptnn_md_apt"`` for APTs."""
    return f"aptnn_md_{target}"


def tensor_extras(tensors: Tensors, model: str = "", sha256: str = "") -> dict[str, Any]:
    """Extras that hand tensors to aptnn_md in the i-PI process.

    Parameters
    ----------
    tensors : of one structure, target -> (n_members, n_atoms, *shape)
    model, sha256 : what made them
    """
    encoded = {tensor_key(target): encode_tensor(values) for target, values in tensors.items()}
    return {**encoded, MODEL_KEY: f"{model} {sha256}".strip()}


def read_tensor_extras(extras: Mapping[str, Any]) -> Tensors:
    """Tensors of all beads from ``forces.extras`` or ``forces.extras_component(k)`` of i-PI.

    Returns
    -------
    target -> (n_beads, n_members, n_atoms, *shape), of all targets that the client sends

    Raises
    ------
    InputError
        The client does not send APTs.
    """
    found_texts: dict[str, Sequence[str]] = {
        name: extras[tensor_key(name)]
        for name in TARGETS
        if extras.get(tensor_key(name)) is not None
    }
    if APT.name not in found_texts:
        found = f"only {', '.join(sorted(extras)) or 'nothing'}"
        expected = "what drivers/aptnn_md_tensors.py sends"
        raise InputError("extras of i-PI", tensor_key(APT.name), found, expected)
    return {
        name: np.stack([decode_tensor(text) for text in texts]).astype(np.float64)
        for name, texts in found_texts.items()
    }


def driven_extras(
    apt: FloatArray, dipole: FloatArray | None = None, bohr: float = CODATA.bohr
) -> dict[str, Any]:
    """Extras for i-PI's driven dynamics (``eda-nve``, ``eda-nvt``).

    Parameters
    ----------
    apt : (n_atoms, 3, 3), e; i-PI stops where their sum over the atoms is not zero
    dipole : (3,), e Å
    bohr : of the server, Å

    Returns
    -------
    ``BEC``, (3 n_atoms, 3) as nested lists: row 3 i + β belongs to the displacement of atom i
    along β, the column to the dipole, in e; and ``dipole``, (3,) in atomic units (e bohr).
    """
    extras: dict[str, Any] = {"BEC": apt.transpose(0, 2, 1).reshape(-1, 3).tolist()}
    if dipole is not None:
        extras["dipole"] = (dipole / bohr).tolist()
    return extras


def to_text(extras: Mapping[str, Any]) -> str:
    """The text that i-PI reads; none for nothing."""
    return json.dumps(extras) if extras else ""
