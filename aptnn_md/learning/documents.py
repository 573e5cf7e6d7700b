"""JSON files of a campaign, each with a checksum of its content.

Numbers in text are easily changed by one bit without looking wrong, and a campaign believes what
its earlier steps wrote.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from aptnn_md.errors import InputError
from aptnn_md.files import write_output

Record = TypeVar("Record")

CHECKSUM = "checksum"
"""Entry with the SHA-256 of all others as canonical JSON (keys sorted, no white space)."""


def write_document(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file with its checksum, whole or not at all.

    Raises
    ------
    InputError
        It cannot be written.
    """
    document = {**content, CHECKSUM: _checksum(content)}
    write_output(path, json.dumps(document, indent=1).encode())


def read_document(path: Path, what: str, expected: str) -> dict[str, Any]:
    """What :func:`write_document` wrote; a file without a checksum is taken as it is.

    Parameters
    ----------
    path : file
    what, expected : for the message: what it is, and the way out

    Raises
    ------
    InputError
        It cannot be read or is damaged.
    """
    try:
        content = json.loads(path.read_bytes().decode())
        if not isinstance(content, dict):
            raise TypeError(f"a {type(content).__name__} instead of names with values")
    except OSError as error:
        raise InputError(path, what, error.strerror or error, expected) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(path, what, f"damaged JSON ({error})", expected) from error
    if CHECKSUM in content and content.pop(CHECKSUM) != _checksum(content):
        raise InputError(path, what, "a damaged file (wrong checksum)", expected)
    return content


def read_record(kind: type[Record], path: Path, what: str, expected: str) -> Record:
    """A dataclass whose fields are the names of a document; see :func:`read_document`."""
    content = read_document(path, what, expected)
    try:
        return kind(**content)
    except TypeError as error:
        raise InputError(path, what, f"other content ({error})", expected) from error


def _checksum(content: Mapping[str, Any]) -> str:
    text = json.dumps(dict(content), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
