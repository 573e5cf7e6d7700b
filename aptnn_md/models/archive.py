"""Files of ``torch.save``, read with care: nothing is believed that was not checked.

Such a file is a zip archive of one pickle and the numbers of each tensor. Before torch reads it,

* the checksum (CRC-32) of each member is verified, which torch does not do itself;
* members must be stored as they are, and together be no longer than the file: a small file cannot
  grow large when it is unpacked;
* the pickle is read once with stand-ins for all that it may name, which are plain data and tensors
  only. Each tensor must lie in a member of the archive, each number once, so that the tensors take
  no more memory than the file.

Then torch reads it with ``weights_only=True``. No code of a file ever runs.
"""

from __future__ import annotations

import collections
import hashlib
import io
import math
import os
import pickle
import pickletools
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aptnn_md.errors import InputError

DEEPEST = 32
"""Levels of lists and tables in each other."""

_ITEM_SIZES = {
    "DoubleStorage": 8,
    "FloatStorage": 4,
    "HalfStorage": 2,
    "BFloat16Storage": 2,
    "LongStorage": 8,
    "IntStorage": 4,
    "ShortStorage": 2,
    "CharStorage": 1,
    "ByteStorage": 1,
    "BoolStorage": 1,
}


_CONFUSED = (TypeError, KeyError, IndexError, AttributeError, OverflowError)


class DamagedError(ValueError):
    """What is wrong with an archive; :func:`read_archive` names the file as well."""


def file_content(path: str | os.PathLike[str], expected: str) -> bytes:
    """All bytes of a regular file.

    Raises
    ------
    InputError
        It cannot be read, or is a directory, a pipe or a device.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            kind = "a directory" if os.path.isdir(path) else "no regular file"
            raise InputError(path, "file", kind, expected)
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(path, "file", error.strerror or error, expected) from error


def read_archive(
    path: str | os.PathLike[str], content: bytes, expected: str, device: str = "cpu"
) -> Any:
    """The plain data and tensors that an archive holds.

    Parameters
    ----------
    path : of the file, for messages
    content : its bytes
    expected : for messages, what it should be
    device : where tensors are put

    Raises
    ------
    InputError
        Damaged, or an archive of anything else.
    """
    size = f"{len(content)} bytes"
    if not content.startswith(b"PK"):
        raise InputError(path, "format", f"{size} of another kind", expected)
    try:
        _inspect(content)
        return torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    except (DamagedError, RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)[:160]
        raise InputError(path, "content", f"{size}, damaged ({reason})", expected) from error


def content_sha256(value: Any) -> str:
    """SHA-256 of plain data and tensors that does not depend on how a file stores them.

    Hashed are, one after the other: ``N``, ``T`` and ``F`` for None, true and false; ``i`` and
    decimal digits, ``;`` for whole numbers; ``d`` and eight bytes (big endian) for floats; ``s``,
    the length in bytes, ``:`` and UTF-8 for text; ``l``, the length, ``:`` and the items of lists
    and tuples; ``m``, the length, ``:`` and key after value, sorted by keys, of tables; ``t``, the
    dtype's name, the shape joined by commas, ``:`` and the numbers (little endian, row-major) of
    tensors, e.g. ``tfloat32 2,3:``.

    Raises
    ------
    ValueError
        Anything else is in it.
    """
    digest = hashlib.sha256()
    _hash(digest.update, value, 0)
    return digest.hexdigest()


def _hash(add: Callable[[bytes], None], value: Any, depth: int) -> None:
    if depth > DEEPEST:
        raise ValueError(f"more than {DEEPEST} levels of lists and tables")
    if value is None or isinstance(value, bool):
        add({None: b"N", True: b"T", False: b"F"}[value])
    elif isinstance(value, int):
        add(f"i{value};".encode())
    elif isinstance(value, float):
        add(b"d" + struct.pack(">d", value))
    elif isinstance(value, str):
        text = value.encode("utf-8", "surrogatepass")
        add(f"s{len(text)}:".encode() + text)
    elif isinstance(value, list | tuple):
        add(f"l{len(value)}:".encode())
        for item in value:
            _hash(add, item, depth + 1)
    elif isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        add(f"m{len(value)}:".encode())
        for key in sorted(value):
            _hash(add, key, depth + 1)
            _hash(add, value[key], depth + 1)
    elif isinstance(value, Tensor):
        shape = ",".join(map(str, value.shape))
        add(f"t{str(value.dtype).removeprefix('torch.')} {shape}:".encode())
        plain = value.detach().cpu().contiguous().flatten().view(torch.uint8)
        add(plain.numpy().tobytes())
    else:
        raise ValueError(f"a {type(value).__name__}, which is neither plain data nor a tensor")


# ---------------------------------------------------------------------- inspection


def _inspect(content: bytes) -> None:
    """Check an archive without making anything that it describes.

    Raises
    ------
    DamagedError
        Something is wrong with it.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            records = _records(archive, len(content))
            pickled = [name for name in records if name.endswith("/data.pkl")]
            if len(pickled) != 1 or pickled[0].count("/") != 1:
                raise DamagedError("not an archive of torch.save")
            root = pickled[0].removesuffix("data.pkl")
            text = archive.read(pickled[0])
            order = f"{root}byteorder"
            if order in records and archive.read(order) != b"little":
                raise DamagedError("numbers of another byte order")
        sizes = {
            name.removeprefix(f"{root}data/"): size
            for name, size in records.items()
            if name.startswith(f"{root}data/")
        }
        _check_memo(text)
        _Inspector(io.BytesIO(text), sizes).load()
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, UnicodeError) as error:
        raise DamagedError(str(error)) from error
    except (pickle.UnpicklingError, EOFError, struct.error) as error:
        raise DamagedError(f"pickle: {error}") from error
    except (*_CONFUSED, RecursionError, MemoryError) as error:
        # whatever opcodes in an impossible order make of stand-ins
        raise DamagedError(f"pickle: {type(error).__name__} {error}") from error


def _records(archive: zipfile.ZipFile, n_bytes: int) -> dict[str, int]:
    """Names and sizes of the members, whose checksums are right."""
    members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise DamagedError("compressed members")
    if any(member.flag_bits & 0x1 for member in members):
        raise DamagedError("encrypted members")
    if sum(member.file_size for member in members) > n_bytes:
        raise DamagedError("members longer than the file")
    if len({member.filename for member in members}) < len(members):
        raise DamagedError("two members of one name")
    broken = archive.testzip()
    if broken is not None:
        raise DamagedError(f"wrong CRC of {broken}")
    return {member.filename: member.file_size for member in members}


def _check_memo(text: bytes) -> None:
    """Refuse numbers of memo entries that would allocate memory."""
    for opcode, argument, _ in pickletools.genops(text):
        if opcode.name.endswith("PUT") and int(argument or 0) > len(text):
            raise DamagedError("pickle: memo entry out of range")


@dataclass(frozen=True)
class _Storage:
    """Numbers of a member of the archive."""

    key: str
    n_numbers: int


class _Inspector(pickle.Unpickler):
    """Reads a pickle with stand-ins for tensors; it names nothing but data."""

    def __init__(self, file: io.BytesIO, sizes: Mapping[str, int]) -> None:
        super().__init__(file)
        self._sizes = sizes

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of what a pickle of tensors may name."""
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _check_tensor
        if module == "torch" and name in _ITEM_SIZES:
            return name
        raise DamagedError(f"it names {module}.{name}, which is not data")

    def persistent_load(self, pid: Any) -> _Storage:
        """The numbers of a tensor: they must be there."""
        kind, storage, key, _, n_numbers = pid
        if kind != "storage" or not isinstance(n_numbers, int):
            raise DamagedError("pickle: numbers of another kind")
        if self._sizes.get(key) != n_numbers * _ITEM_SIZES[storage]:
            raise DamagedError(f"data/{key} holds another number of bytes than its tensor")
        return _Storage(key, n_numbers)


def _check_tensor(
    storage: _Storage, offset: int, shape: Sequence[int], strides: Sequence[int], *_: Any
) -> None:
    """Refuse a tensor that is not inside its storage, or has a number of it twice."""
    if not isinstance(storage, _Storage):
        raise DamagedError("a tensor without numbers")
    if not all(isinstance(n, int) and n >= 0 for n in (offset, *shape, *strides)):
        raise DamagedError("a tensor of no possible shape")
    if len(shape) != len(strides):
        raise DamagedError("a tensor of no possible shape")
    n_numbers = math.prod(shape)
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if n_numbers and (n_numbers > storage.n_numbers or last >= storage.n_numbers):
        raise DamagedError(f"a tensor {tuple(shape)} that is larger than its numbers")
