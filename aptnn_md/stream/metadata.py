"""Metadata of a stream: JSON documents, each with a checksum of itself from version 2 on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from aptnn_md.errors import InputError

Document: TypeAlias = dict[str, Any]

DOCUMENT = "zarr.json"
"""Name of a document in the directory of its group or array."""
CHECKSUM = "checksum"
"""Attribute of a document that holds its checksum."""

AS_WRITTEN = "the stream as it was written: copy it again from the original"


def group_document(attributes: Mapping[str, Any]) -> Document:
    """Document of a Zarr group."""
    return {"attributes": dict(attributes), "zarr_format": 3, "node_type": "group"}


def sealed(document: Document) -> Document:
    """The document with its checksum among its attributes: SHA-256 of the canonical JSON of all the
    rest (keys sorted, no white space, ASCII only).
    """
    attributes = {**document["attributes"], CHECKSUM: _checksum(document)}
    return {**document, "attributes": attributes}


def check_seal(where: object, field: str, document: Document) -> None:
    """Compare the checksum in a document with its content.

    Raises
    ------
    InputError
        They differ.
    """
    if document["attributes"].get(CHECKSUM) != _checksum(document):
        raise InputError(where, field, "damaged metadata (wrong checksum)", AS_WRITTEN)


def encode(document: Document) -> bytes:
    """Bytes of a document."""
    return json.dumps(document, indent=2).encode()


def read_document(path: Path, name: str = "") -> Document:
    """The document of the stream at ``path``, or of the array or group ``name`` in it.

    Raises
    ------
    InputError
        It is missing, or is no JSON object with attributes.
    """
    place = path / name / DOCUMENT
    field = f"{name}/{DOCUMENT}" if name else DOCUMENT
    try:
        document = json.loads(place.read_bytes().decode())
    except FileNotFoundError:
        raise InputError(path, field, "no such file", AS_WRITTEN) from None
    except OSError as error:
        raise InputError(path, field, error.strerror or error, "a file to read") from error
    except (ValueError, RecursionError) as error:
        raise InputError(path, field, f"damaged JSON ({error})", AS_WRITTEN) from error
    if not isinstance(document, dict) or not isinstance(document.get("attributes"), dict):
        raise InputError(path, field, "no JSON object with attributes", AS_WRITTEN)
    return document


def _checksum(document: Document) -> str:
    attributes = {k: v for k, v in document["attributes"].items() if k != CHECKSUM}
    rest = {**document, "attributes": attributes}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
