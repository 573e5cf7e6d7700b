"""The learning curve: errors of held-out molecules against the number of good labels.

    python curve.py split TRAIN.extxyz COUNT... [--out curve]
    python curve.py print ERRORS.json... [--plot curve.png]

The first command writes ``curve-COUNT.extxyz``, each with the first COUNT frames of one random
order, so that larger sets contain the smaller ones. The second one reads what errors.py says of
models that were tuned on them (its --json, named ``curve-COUNT.json``), prints the errors of
neutral molecules and of ions, fits power laws and says how many labels 0.03 e and 0.05 e would
take.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from pathlib import Path

import ase.io
import numpy as np
from compact import text_of

WANTED = {"neutral": 0.03, "ions": 0.05}
"""RMSE, e."""


def split(source: Path, counts: list[int], out: str) -> None:
    """Nested sets of frames."""
    frames = ase.io.read(source, ":")
    order = np.random.default_rng(18).permutation(len(frames))
    for count in counts:
        chosen = [frames[k] for k in order[:count]]
        Path(f"{out}-{count}.extxyz").write_text("".join(map(text_of, chosen)), encoding="utf-8")


def power_law(counts: list[int], errors: list[float]) -> tuple[float, float]:
    """Prefactor and exponent of error = prefactor · count^exponent, by linear regression."""
    exponent, logarithm = np.polyfit(np.log(counts), np.log(errors), 1)
    return float(np.exp(logarithm)), float(exponent)


def labels_needed(counts: list[int], errors: list[float], wanted: float) -> float:
    """Number of labels at which the power law reaches an error; infinite if it does not fall."""
    prefactor, exponent = power_law(counts, errors)
    return float((wanted / prefactor) ** (1.0 / exponent)) if exponent < 0.0 else math.inf


def show(files: list[Path], plot: Path | None) -> None:
    """Print the curve, and draw it."""
    curve = {
        int(re.findall(r"\d+", file.stem)[-1]): json.loads(file.read_text())["errors"]
        for file in files
    }
    counts = sorted(curve)
    print("labels   " + "   ".join(f"{name:>8s} RMSE / median, e" for name in WANTED))
    for count in counts:
        found = [curve[count][name] for name in WANTED]
        columns = (f"{x['rmse']:15.4f} / {x['median']:.4f}   " for x in found)
        print(f"{count:6d}   " + "   ".join(columns))
    tuned = [count for count in counts if count > 0]
    for name, wanted in WANTED.items():
        for what in ("rmse", "median"):
            errors = [curve[count][name][what] for count in tuned]
            _, exponent = power_law(tuned, errors)
            needed = labels_needed(tuned, errors, wanted)
            print(f"{name}, {what}: ~ n^{exponent:.2f}; {wanted} e at {needed:.0f} labels")
    if plot is not None:
        _draw(plot, tuned, curve)


def _draw(plot: Path, counts: list[int], curve: dict[int, dict[str, dict[str, float]]]) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5, 3.5), layout="constrained")
    for name in WANTED:
        for what, style in (("rmse", "o-"), ("median", "s--")):
            errors = [curve[n][name][what] for n in counts]
            axes.loglog(counts, errors, style, label=f"{name}, {what}")
    axes.set_xlabel("frames with PBE0/def2-SVPD labels")
    axes.set_ylabel("error of the APTs, e")
    axes.legend()
    figure.savefig(plot, dpi=150)


def main() -> None:
    """One of the two commands."""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    cut = commands.add_parser("split")
    cut.add_argument("source", type=Path)
    cut.add_argument("counts", type=int, nargs="+")
    cut.add_argument("--out", default="curve")
    printed = commands.add_parser("print")
    printed.add_argument("files", type=Path, nargs="+")
    printed.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "split":
        split(arguments.source, arguments.counts, arguments.out)
    else:
        show(arguments.files, arguments.plot)


if __name__ == "__main__":
    main()
