"""One bit of each byte flipped in turn, and what a reader makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from aptnn_md.errors import InputError


@dataclass
class Flips:
    """What became of flipped bits.

    Attributes
    ----------
    named : refused by an error that names the file
    harmless : read, and the same came out
    other : what was wrong with the rest
    """

    named: int = 0
    harmless: int = 0
    other: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        n = self.named + self.harmless + len(self.other)
        return f"{n} flips: {self.named} named, {self.harmless} harmless, {len(self.other)} neither"


def flip_bits(
    path: Path, read: Callable[[], object], name: str = "", every: int = 1, seed: int = 0
) -> Flips:
    """Flip a random bit of each byte of a file, or of one in ``every``, and read it.

    Parameters
    ----------
    path : file; it is as before afterwards
    read : gives something that can be compared, from the file as it is
    name : that errors must mention; by default the file's
    every, seed : which bytes and bits
    """
    content = path.read_bytes()
    random = np.random.default_rng(seed)
    expected, flips = read(), Flips()
    try:
        for k in range(int(random.integers(every)), len(content), every):
            damaged = bytearray(content)
            bit = int(random.integers(8))
            damaged[k] ^= 1 << bit
            path.write_bytes(damaged)
            _judge(flips, f"byte {k}, bit {bit}", read, expected, name or path.name)
    finally:
        path.write_bytes(content)
    return flips


def _judge(
    flips: Flips, place: str, read: Callable[[], object], expected: object, name: str
) -> None:
    try:
        same = read() == expected
    except InputError as error:
        text = str(error)
        if name in text and "\n" not in text:
            flips.named += 1
        else:
            flips.other.append(f"{place}: {text!r}")
    except Exception as error:
        flips.other.append(f"{place}: {type(error).__name__} {error}")
    else:
        flips.harmless += same
        if not same:
            flips.other.append(f"{place}: read, with another result")
