"""Potentials as configuration and plain weights in two files: no code is in them.

``NAME.json`` holds the configuration (the arguments of ``mace.modules.ScaleShiftMACE``), repulsive
walls at distances outside the training data, the model card, the SHA-256 of the weights' file and,
since version 2, ``"sha256"``, that of all its other fields
(:func:`aptnn_md.models.archive.content_sha256`). ``NAME.pt`` holds the weights, a ``state_dict``.
Both are checked before a network is made of them.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from ase.data import atomic_numbers
from torch import Tensor

from aptnn_md.errors import InputError
from aptnn_md.files import write_outputs
from aptnn_md.models.archive import content_sha256, file_content, read_archive
from aptnn_md.models.tensor_network import check_finite_weights

FORMAT = "aptnn_md.mace"
VERSION = 2

_HEADER_BYTES = 2**24
_EXPECTED = f"a JSON file of format {FORMAT!r}"
_FIELDS: dict[str, tuple[type, str]] = {
    "name": (str, "text"),
    "configuration": (dict, "a table, the arguments of a MACE network"),
    "walls": (list, "a list of walls"),
    "card": (dict, "a table, the model card"),
    "weights_sha256": (str, "a digest"),
}
_COUNTS = ("num_bessel", "max_ell", "num_interactions", "num_elements", "correlation")
_TEXTS = ("interaction_cls", "interaction_cls_first", "hidden_irreps", "MLP_irreps", "readout_cls")
_IRREP = re.compile(r"(?:(?P<copies>\d{1,9})x)?(?P<degree>\d{1,2})[eo]")


def read_potential(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Header (configuration, walls, card) and weights (``state_dict``) of a stored potential.

    Raises
    ------
    InputError
        A file is missing, damaged, of a newer version, or has impossible fields.
    """
    path = Path(path)
    header = header_of(path)
    weights_path = path.with_suffix(".pt")
    content = file_content(weights_path, f"the weights that belong to {path.name}")
    digest = hashlib.sha256(content).hexdigest()
    if digest != header["weights_sha256"]:
        expected = f"{header['weights_sha256']}, as {path.name} says"
        raise InputError(weights_path, "SHA-256", digest, expected)
    weights = read_archive(weights_path, content, "a state_dict of tensors")
    if not isinstance(weights, dict) or not weights:
        raise InputError(weights_path, "weights", type(weights).__name__, "a state_dict")
    for name, tensor in weights.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise InputError(weights_path, f"{name}", type(tensor).__name__, "a tensor with a name")
    check_finite_weights(weights_path, "weights", weights)
    return header, weights


def digest_of(header: Mapping[str, Any]) -> str:
    """SHA-256 of all of a stored potential that its results depend on: not of name and card."""
    names = ("configuration", "walls", "weights_sha256")
    return content_sha256({name: header[name] for name in names})


def write_potential(
    path: str | os.PathLike[str],
    configuration: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    card: Mapping[str, Any],
    walls: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write ``NAME.json`` and ``NAME.pt``; the inverse of :func:`read_potential`.

    Raises
    ------
    InputError
        Weights that are not finite, or a place that cannot be written to.
    """
    path = Path(path).with_suffix(".json")
    check_finite_weights(path, "weights", weights)
    buffer = io.BytesIO()
    torch.save({name: tensor.detach().cpu().clone() for name, tensor in weights.items()}, buffer)
    header = {
        "format": FORMAT,
        "version": VERSION,
        "name": path.stem,
        "configuration": dict(configuration),
        "walls": [dict(wall) for wall in walls],
        "card": dict(card),
        "weights_sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
    }
    header["sha256"] = content_sha256(header)
    text = json.dumps(header, indent=1, ensure_ascii=False) + "\n"
    write_outputs({path.with_suffix(".pt"): buffer.getvalue(), path: text.encode()})


def check_sizes(
    where: str | os.PathLike[str], configuration: Mapping[str, Any], weights: Mapping[str, Tensor]
) -> None:
    """Refuse a configuration that asks for more than the weights have, before memory is taken.

    Raises
    ------
    InputError
        It names the argument.
    """
    _check_types(where, configuration)
    n_weights = sum(tensor.numel() for tensor in weights.values())
    numbers = configuration["atomic_numbers"]
    blocks = {name.split(".")[1] for name in weights if name.startswith("interactions.")}
    _same(where, "num_elements", configuration["num_elements"], len(numbers))
    _same(where, "num_interactions", configuration["num_interactions"], len(blocks))
    bessel = weights.get("radial_embedding.bessel_fn.bessel_weights", torch.zeros(8))
    _same(where, "num_bessel", configuration["num_bessel"], bessel.numel())
    for name in ("hidden_irreps", "MLP_irreps", "edge_irreps"):
        copies = _copies(where, name, configuration.get(name) or "1x0e")
        needed = copies**2 if name == "hidden_irreps" else copies
        _at_most(where, name, needed, n_weights)
    widths = configuration.get("radial_MLP") or []
    pairs = zip([configuration["num_bessel"], *widths], widths, strict=False)
    _at_most(where, "radial_MLP", sum(a * b for a, b in pairs), n_weights)
    correlations = configuration["correlation"]
    order = max(correlations if isinstance(correlations, list) else [correlations])
    couplings = [t for key, t in weights.items() if key.endswith(f".U_matrix_{order}")]
    if not couplings or any(key.endswith(f".U_matrix_{order + 1}") for key in weights):
        expected = "the order of the weights' U_matrix"
        raise InputError(where, "configuration: correlation", order, expected)
    components = max((t.shape[-2] for t in couplings if t.ndim > 1), default=1)
    _at_most(where, "max_ell", (configuration["max_ell"] + 1) ** 2, components)


# ---------------------------------------------------------------------- checks


def header_of(path: Path) -> dict[str, Any]:
    """All that ``NAME.json`` says, checked; the weights are not read.

    Raises
    ------
    InputError
        It is missing, damaged, of a newer version, or has impossible fields.
    """
    header = read_json(path)
    check_content(path, header, FORMAT, VERSION)
    header = {"name": path.stem, "walls": [], "card": {}, **header}
    for name, (kind, words) in _FIELDS.items():
        if not isinstance(header.get(name), kind):
            found = type(header[name]).__name__ if name in header else "nothing"
            raise InputError(path, name, found, words)
    _check_types(path, header["configuration"])
    for number, wall in enumerate(header["walls"]):
        _check_wall(path, f"walls[{number}]", wall, header["configuration"]["atomic_numbers"])
    return header


def read_json(path: Path) -> dict[str, Any]:
    """The table that a small JSON file holds.

    Raises
    ------
    InputError
        There is no such file, it is too large, or it holds something else.
    """
    content = file_content(path, _EXPECTED)
    if len(content) > _HEADER_BYTES:
        raise InputError(path, "file", f"{len(content)} bytes", f"at most {_HEADER_BYTES}")
    try:
        header = json.loads(content.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(path, "file", error, _EXPECTED) from error
    if not isinstance(header, dict):
        raise InputError(path, "format", type(header).__name__, FORMAT)
    return header


def check_content(path: Path, header: Mapping[str, Any], kind: str, newest: int) -> None:
    """Refuse a header of another format or a newer version, or one whose digest is another.

    Files of potentials have a digest of the content since version 2, all others always.

    Raises
    ------
    InputError
        See above.
    """
    if header.get("format") != kind:
        raise InputError(path, "format", str(header.get("format"))[:80], kind)
    version = header.get("version")
    if type(version) is not int or not 1 <= version <= newest:
        expected = f"a number from 1 to {newest}; for a newer one upgrade aptnn_md"
        raise InputError(path, "version", str(version)[:80], expected)
    if kind == FORMAT and version == 1:
        return
    try:
        digest = content_sha256({key: v for key, v in header.items() if key != "sha256"})
    except ValueError as error:
        raise InputError(path, "content", error, _EXPECTED) from error
    if header.get("sha256") != digest:
        expected = f"{str(header.get('sha256'))[:80]}, as the file says"
        raise InputError(path, "SHA-256 of the content", digest, expected)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _check_types(where: object, configuration: Mapping[str, Any]) -> None:
    """Refuse arguments of other types than mace-torch's."""

    def refuse(name: str, expected: str) -> InputError:
        found = str(configuration.get(name, "nothing"))[:80]
        return InputError(where, f"configuration: {name}", found, expected)

    for name in _COUNTS:
        value = configuration.get(name)
        several = value if name == "correlation" and isinstance(value, list) else [value]
        if not several or not all(type(v) is int and 0 <= v < 10**6 for v in several):
            raise refuse(name, "a whole number")
    for name in _TEXTS:
        if not isinstance(configuration.get(name), str):
            raise refuse(name, "text")
    cutoff = configuration.get("r_max")
    if type(cutoff) not in (int, float) or not 0.0 < float(cutoff or 0.0) <= 100.0:
        raise refuse("r_max", "a length, more than 0 and at most 100 Å")
    numbers = configuration.get("atomic_numbers")
    known = isinstance(numbers, list) and all(type(z) is int and 0 < z < 119 for z in numbers)
    if not known or not numbers or sorted(set(numbers)) != numbers:
        raise refuse("atomic_numbers", "atomic numbers, ascending")
    widths = configuration.get("radial_MLP") or []
    if not isinstance(widths, list) or not all(type(n) is int and 0 < n < 10**6 for n in widths):
        raise refuse("radial_MLP", "a list of whole numbers")


def _check_wall(path: Path, name: str, wall: Any, numbers: Sequence[int]) -> None:
    words = '{"elements": [A, B], "below": Å, "strength": eV/Å³} of elements of the potential'
    if not isinstance(wall, dict) or set(wall) != {"elements", "below", "strength"}:
        raise InputError(path, name, str(wall)[:80], words)
    pair, sizes = wall["elements"], (wall["below"], wall["strength"])
    symbols = isinstance(pair, list) and len(pair) == 2
    if not symbols or not all(
        isinstance(s, str) and atomic_numbers.get(s) in numbers for s in pair
    ):
        raise InputError(path, f"{name}: elements", str(pair)[:80], words)
    if not all(type(s) in (int, float) and math.isfinite(s) and s >= 0 for s in sizes):
        raise InputError(path, name, str(sizes)[:80], words)


def _same(where: object, name: str, found: int, expected: int) -> None:
    if found != expected:
        raise InputError(where, f"configuration: {name}", found, f"{expected}, by the weights")


def _at_most(where: object, name: str, needed: int, there: int) -> None:
    if needed > there:
        found = f"what needs {needed} numbers"
        raise InputError(where, f"configuration: {name}", found, f"at most the weights' {there}")


def _copies(where: object, name: str, text: str) -> int:
    """Copies of all irreps together, in e3nn's notation."""
    terms = [_IRREP.fullmatch(term.strip()) for term in str(text)[:10_000].split("+")]
    found = [(int(t["copies"] or 1), int(t["degree"])) for t in terms if t is not None]
    if len(found) < len(terms) or max(degree for _, degree in found) > 12:
        expected = "irreps such as 16x0e+16x1o"
        raise InputError(where, f"configuration: {name}", str(text)[:80], expected)
    return sum(copies for copies, _ in found)
