"""Attack everything and print what was counted.

python tests/attacks/run.py kills --n 1000
python tests/attacks/run.py operations
python tests/attacks/run.py flips
python tests/attacks/run.py fuzz --minutes 60
python tests/attacks/run.py all
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from helpers.campaigns import CAMPAIGN_SHORT_RUNS
from helpers.die_at import killed_at_operations
from helpers.flippable_files import FLIPPABLE
from helpers.fuzzed_inputs import FUZZED
from helpers.kills import KILLED_RUNS, KilledRun, killed_as_unbroken
from helpers.short_runs import SHORT_RUNS
from helpers.verdicts import Verdicts

OPERATIONS = {**SHORT_RUNS, **CAMPAIGN_SHORT_RUNS}

Attack = Callable[[str, Path, argparse.Namespace], str]


def kills(name: str, directory: Path, options: argparse.Namespace) -> str:
    """A run killed at random moments."""
    share = -(-options.n // len(_runs()))
    n_kills = killed_as_unbroken(_runs()[name], directory, share, options.seed)
    return f"{n_kills} kills, each run as an unbroken one"


def operations(name: str, directory: Path, options: argparse.Namespace) -> str:
    """A short run killed at each file operation."""
    n_kills = killed_at_operations(OPERATIONS[name], directory, range(1, 100_000))
    return f"killed at each of {n_kills} file operations, each time as unbroken"


def flips(name: str, directory: Path, options: argparse.Namespace) -> str:
    """A bit of each byte of a file flipped."""
    directory.mkdir()
    return _judged(FLIPPABLE[name](directory).flip(options.every, options.seed))


def fuzz(name: str, directory: Path, options: argparse.Namespace) -> str:
    """Random damage to an input."""
    directory.mkdir()
    seconds = 60 * options.minutes / len(FUZZED)
    return _judged(FUZZED[name](directory).run(directory, seconds, options.seed))


def _judged(verdicts: Verdicts) -> str:
    if verdicts.failures:
        raise AssertionError("\n".join([str(verdicts), *verdicts.failures[:20]]))
    return str(verdicts)


def _runs() -> dict[str, KilledRun]:
    if importlib.util.find_spec("ipi") is None:
        return dict(KILLED_RUNS)
    from helpers.ipi_kills import IPI_RUNS

    return {**KILLED_RUNS, **IPI_RUNS}


def main() -> int:
    """Run the attacks that are asked for; 1 if anything fell."""
    attacks: dict[str, tuple[Attack, Iterable[str]]] = {
        "kills": (kills, _runs()),
        "operations": (operations, OPERATIONS),
        "flips": (flips, FLIPPABLE),
        "fuzz": (fuzz, FUZZED),
    }
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("attack", choices=[*attacks, "all"])
    parser.add_argument("--n", type=int, default=1000, help="kills of all runs together")
    parser.add_argument("--minutes", type=float, default=6.0, help="of fuzz, all inputs together")
    parser.add_argument("--every", type=int, default=1, help="flip one byte in so many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", help="names of runs, files or inputs")
    options = parser.parse_args()
    fallen = 0
    for title in attacks if options.attack == "all" else [options.attack]:
        attack, names = attacks[title]
        for name in names:
            if options.only and name not in options.only:
                continue
            began = time.monotonic()
            with tempfile.TemporaryDirectory() as directory:
                try:
                    words = attack(name, Path(directory) / "attack", options)
                except AssertionError as error:
                    fallen, words = fallen + 1, f"FELL: {error}"
            print(f"{title}: {name}: {words} ({time.monotonic() - began:.0f} s)", flush=True)
    return 1 if fallen else 0


if __name__ == "__main__":
    sys.exit(main())
