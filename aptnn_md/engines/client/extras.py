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

VERSION = 1

APT_KEY = "aptnn_md_apt"
"""Extras key of APTs (n_members, n_atoms, 3, 3), e, encoded; row = dipole, column =
displacement."""

PGT_KEY = "aptnn_md_pgt"
"""Extras key of PGTs (n_members, n_atoms, 3, 3, 3), Å², encoded; the last index is that of the
displacement."""

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


def tensor_extras(
    apt: FloatArray, model: str = "", sha256: str = "", pgt: FloatArray | None = None
) -> dict[str, Any]:
    """Extras that hand APTs, and PGTs where they are known, to aptnn_md in the i-PI process.

    Parameters
    ----------
    apt : (n_members, n_atoms, 3, 3), e
    model, sha256 : what made them
    pgt : (n_members, n_atoms, 3, 3, 3), Å²
    """
    extras = {APT_KEY: encode_tensor(apt), MODEL_KEY: f"{model} {sha256}".strip()}
    return extras if pgt is None else {**extras, PGT_KEY: encode_tensor(pgt)}


def read_tensor_extras(extras: Mapping[str, Any]) -> dict[str, FloatArray]:
    """Tensors of all beads from ``forces.extras`` or ``forces.extras_component(k)`` of i-PI.

    Returns
    -------
    ``"apt"``: (n_beads, n_members, n_atoms, 3, 3), e, and ``"pgt"``: (n_beads, n_members, n_atoms,
    3, 3, 3), Å², where the client sends it

    Raises
    ------
    InputError
        The client does not send them.
    """
    if extras.get(APT_KEY) is None:
        found = f"only {', '.join(sorted(extras)) or 'nothing'}"
        raise InputError("extras of i-PI", APT_KEY, found, "what drivers/aptnn_md_tensors.py sends")
    keys = {"apt": APT_KEY, "pgt": PGT_KEY}
    found_texts: dict[str, Sequence[str]] = {
        name: extras[key] for name, key in keys.items() if extras.get(key) is not None
    }
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
