"""Where torch computes, and its errors about device and memory as sentences."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

import torch

from aptnn_md.errors import InputError, RunError

_LARGEST_FREED = 31 * 2**20

_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


def torch_device(name: str) -> torch.device:
    """A device on which torch can compute here, e.g. ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.

    Raises
    ------
    InputError
        A name that torch does not know, or a device that is not there.
    """
    try:
        device = torch.device(name)
        if device.type == "meta":
            raise NotImplementedError("it computes nothing")
        torch.zeros(1, device=device).add(1.0)
    except (RuntimeError, AssertionError, NotImplementedError, ImportError, TypeError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)[:120].rstrip(".")
        expected = f"a device of this machine: {', '.join(_available())}"
        raise InputError("--device", name, reason, expected) from error
    return device


def _available() -> list[str]:
    names = ["cpu"]
    if torch.cuda.is_available():
        names += [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("mps")
    return names


@functools.cache
def keep_freed_memory() -> None:
    """Let the process keep the memory that a step frees for the next one.

    The C library of Linux gives freed memory back to the system, above a limit which grows with
    the largest block that was freed, up to 32 MiB. Below it, a step of 384 atoms asks for the same
    memory again, and waits for 1800 pages of it, a tenth of its time.
    """
    torch.empty(_LARGEST_FREED, dtype=torch.uint8)


@contextlib.contextmanager
def enough_memory(what: str, way_out: str) -> Iterator[None]:
    """Turn torch's error for a lack of memory into a sentence.

    Parameters
    ----------
    what : that needs it, e.g. ``"model water-apt, 192 atoms"``
    way_out : what the user can do

    Raises
    ------
    RunError
        Memory ran out inside.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        lacking = isinstance(error, torch.cuda.OutOfMemoryError | MemoryError) or any(
            words in str(error) for words in _NO_MEMORY
        )
        if not lacking or isinstance(error, RunError):
            raise
        raise RunError(f"{what}: out of memory; {way_out}") from error
