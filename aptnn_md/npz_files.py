"""Arrays by name in one file, NumPy's ``.npz``, whose checksums are verified when it is read.

NumPy itself compares the checksum of an array only if it reads that to its end, as the header of
the array tells it to.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from aptnn_md.errors import InputError

DAMAGE = (
    *(OSError, ValueError, KeyError, TypeError, EOFError, OverflowError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
    # an entry that says it is encrypted, or compressed by unknown means
    *(RuntimeError, NotImplementedError),
)
"""What ``zipfile`` and NumPy raise for a damaged file, and what its content may be wrong by."""


def packed(arrays: Mapping[str, Any]) -> bytes:
    """Content of a file of these arrays."""
    file = io.BytesIO()
    np.savez(file, **dict(arrays))
    return file.getvalue()


def unpacked(content: bytes) -> dict[str, Any]:
    """Arrays of the content of a file, all checksums verified; one of :data:`DAMAGE` otherwise."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"the checksum of {damaged!r} differs")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def read_arrays(path: Path, what: str, expected: str) -> dict[str, Any]:
    """Arrays of a file; ``what`` it is and what is ``expected`` are for the message.

    Raises
    ------
    InputError
        It cannot be read or is damaged.
    """
    try:
        return unpacked(path.read_bytes())
    except DAMAGE as error:
        raise damaged_file(path, what, error, expected) from error


def damaged_file(path: object, what: str, error: BaseException, expected: str) -> InputError:
    """The error in one sentence that a file is damaged, by what reading it raised."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return InputError(path, what, f"a damaged file ({reason})", expected)
