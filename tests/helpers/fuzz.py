"""Random damage to every kind of input, and a canary that tells whether code of an input ran."""

from __future__ import annotations

import os
import pickle
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from helpers.verdicts import HARMLESS, Verdicts, judge, judged_apart

CANARY = "canary-that-code-ran"
"""Name of a file that code in an input would make in the directory of the fuzz."""

NUMBERS = ("nan", "inf", "-1", "0", "1e308", "-1e-320", "2147483648", "9" * 30, "1e6")
WORDS = (
    "",
    " ",
    "'",
    '"',
    "[",
    "}",
    "=",
    "\x00",
    "é",
    "None",
    "true",
    "../..",
    "/dev/null",
    f"__import__('pathlib').Path('{CANARY}').touch()",
    "builtins:exec",
    f"$(touch {CANARY})",
    "!!python/object/apply:os.system",
    "%s%n",
)


class _Code:
    """Unpickling it makes the canary."""

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (CANARY, "w")


PICKLES = tuple(pickle.dumps(_Code(), protocol) for protocol in (0, 2, 4))


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """Flips, cuts, doubled, shifted and foreign pieces."""
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        size = len(damaged)
        first = rng.randrange(size + 1)
        last = min(size, first + rng.choice((1, 4, 8, 64, 1000)))
        kind = rng.randrange(6)
        if kind == 0 and first < size:
            damaged[first] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del damaged[first:last]
        elif kind == 2:
            damaged[first:first] = damaged[first:last]
        elif kind == 3:
            damaged[first:last] = rng.randbytes(last - first)
        elif kind == 4:
            damaged[first:last] = rng.choice((b"\0", b"\xff")) * (last - first)
        else:
            damaged[first:last] = rng.choice(PICKLES)
        if rng.random() < 0.05:
            del damaged[first:]
    return bytes(damaged)


def mutate_text(text: str, rng: random.Random) -> str:
    """Other numbers and words in the place of tokens, lost, doubled and swapped lines and bytes."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        kind = rng.randrange(5)
        if kind == 0:
            lines = text.splitlines(keepends=True) or [""]
            a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
            lines[a] = rng.choice(("", lines[b], lines[a] * 2, lines[a][: len(lines[a]) // 2]))
            text = "".join(lines)
        elif kind == 1:
            place = rng.randrange(len(text) + 1)
            text = text[:place] + rng.choice(WORDS + NUMBERS) + text[place + rng.randrange(3) :]
        elif kind == 2:
            data = mutate_bytes(text.encode(), rng)
            text = data.decode(errors="replace")
        else:
            text = _other_token(text, rng)
    return text


def _other_token(text: str, rng: random.Random) -> str:
    places, inside = [], False
    for k, character in enumerate(text):
        begins = character not in " \n\t=:,{}[]\"'"
        if begins and not inside:
            places.append(k)
        inside = begins
    if not places:
        return text
    first = last = rng.choice(places)
    while last < len(text) and text[last] not in " \n\t=:,{}[]\"'":
        last += 1
    return text[:first] + rng.choice(NUMBERS + WORDS) + text[last:]


@dataclass(frozen=True)
class Fuzzed:
    """An input that is damaged at random.

    Attributes
    ----------
    mutated : makes the damaged input of a random generator, and returns what it is
    use : of what ``mutated`` returned; the result is compared
    expected : result of the undamaged input; None where other input may be right, too
    """

    mutated: Callable[[random.Random], object]
    use: Callable[[object], object]
    expected: object = None

    def run(self, directory: Path, seconds: float, seed: int = 0, most: int = 10**9) -> Verdicts:
        """Cases for some time, or ``most`` of them, in ``directory``."""
        work = directory / "work"
        work.mkdir(exist_ok=True)

        def case(number: int) -> str:
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            os.chdir(work)
            damaged = self.mutated(random.Random(1_000_003 * seed + number))
            verdict = judge(lambda: self.use(damaged), self.expected)
            for place in (work, directory):
                if (place / CANARY).exists():
                    (place / CANARY).unlink()
                    return f"code ran: {damaged!r:.300}"
            failed = verdict not in ("found", HARMLESS)
            return f"{verdict} of {damaged!r:.600}" if failed else verdict

        verdicts, end, number = Verdicts(), time.monotonic() + seconds, 0
        while number < most and time.monotonic() < end:
            for k, verdict in judged_apart(range(number, min(number + 50, most)), case):
                verdicts.add(f"seed {seed}, case {k}", verdict)
                number = k + 1
                if time.monotonic() >= end:
                    break
        return verdicts
