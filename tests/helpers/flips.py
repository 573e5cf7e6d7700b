"""One bit of each byte of a file flipped in turn, and what a reader makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers.verdicts import Verdicts, judge, judged_apart


@dataclass(frozen=True)
class Flippable:
    """Files, and what reads them.

    Attributes
    ----------
    files : to be damaged, one at a time
    use : reads them and returns all that follows from them; leaves them as they are
    named : one of these must be in an error; by default the damaged file or its directory
    """

    files: Sequence[Path]
    use: Callable[[], object]
    named: Sequence[str] = ()

    @property
    def n_bytes(self) -> int:
        """Of all files."""
        return sum(path.stat().st_size for path in self.files)

    def flip(self, every: int = 1, seed: int = 0) -> Verdicts:
        """Flip a random bit of each byte, or of one in ``every``; the files are as before after it.

        Each flip must be named by an error, or change nothing in the result.
        """
        rng = np.random.default_rng(seed)
        bits = rng.integers(8, size=self.n_bytes)
        first = int(rng.integers(every))
        places = [(path, k) for path in self.files for k in range(path.stat().st_size)]
        contents = {path: path.read_bytes() for path in self.files}
        expected = self.use()
        assert self.use() == expected, "the same files give different results"

        def case(number: int) -> str:
            path, k = places[number]
            damaged = bytearray(contents[path])
            damaged[k] ^= 1 << int(bits[number])
            for other, content in contents.items():
                if other.read_bytes() != content:
                    other.write_bytes(content)  # the process of the case before died of it
            path.write_bytes(damaged)
            try:
                named = self.named or (path.name, path.parent.name)
                return judge(self.use, expected, named)
            finally:
                path.write_bytes(contents[path])

        verdicts = Verdicts()
        for number, verdict in judged_apart(range(first, len(places), every), case):
            path, k = places[number]
            verdicts.add(f"{path.name}, byte {k}, bit {bits[number]}", verdict)
        for path, content in contents.items():
            path.write_bytes(content)
        return verdicts
