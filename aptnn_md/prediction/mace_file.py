"""Model files of mace-torch: recognised without running what is in them, and read by running it."""

from __future__ import annotations

import struct
import zipfile
import zlib
from os import PathLike
from pathlib import Path
from typing import Any

from aptnn_md.errors import InputError

SUFFIX = ".model"
"""Of the files that mace-torch writes; a file of another name is never unpickled."""

_LARGEST_PICKLE = 64 * 2**20
"""Bytes of the pickle that are looked at; its numbers are kept elsewhere in the archive."""

_DAMAGED: tuple[type[Exception], ...] = (OSError, ValueError, RuntimeError, EOFError, LookupError)
_DAMAGED += (zipfile.BadZipFile, zlib.error, struct.error, OverflowError, MemoryError)
"""What a damaged archive, or a file of another kind, makes zipfile raise."""


def is_mace_file(path: str | PathLike[str]) -> bool:
    """Whether a file is a torch archive that says it holds a network of mace-torch.

    No code of the file runs. Anything may say so: what it really is shows only when it is read.
    """
    if not Path(path).is_file():
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            if len(names) != 1:
                return False
            with archive.open(names[0]) as pickle:
                return b"mace.modules" in pickle.read(_LARGEST_PICKLE)
    except _DAMAGED:
        return False


def read_mace_file(path: Path, device: str) -> Any:
    """The network of a file as ``mace_run_train`` writes it.

    Such a file is a pickle, and reading it runs what is in it: take it from those you trust.

    Raises
    ------
    InputError
        Not a file of mace-torch, or one of another name than ``NAME.model``.
    RunError
        mace-torch is not installed.
    """
    if path.suffix != SUFFIX:
        expected = f"the name NAME{SUFFIX}, if you trust those who made it, or a model file"
        raise InputError(path, "file", "one of mace-torch, which runs the code in it", expected)
    import torch

    from aptnn_md.models.quiet_mace import reading_mace

    with reading_mace(path, "mace.modules"):  # the classes that the pickle names
        return torch.load(path, map_location=device, weights_only=False)
