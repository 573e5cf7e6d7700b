"""Errors of a model by class of molecules, and what a committee's spread says about them.

    python errors.py MODEL.pt LABELLED.extxyz... [--device cpu] [--json OUT.json]
        [--without SMILES...]

RMSE of the tensors' components, e. For a committee also the calibration: the factor by which the
spread of its members on an atom is to be multiplied to give the rms error there; and of how many
frames that are wrong, or right, the errors that this promises would warn.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aptnn_md.domain import SPREAD_FACTOR, ExpectedError
from aptnn_md.prediction.predictor import Predictor
from aptnn_md.tensors import atom_deviations

Array = NDArray[np.float64]


def rms(values: Array) -> float:
    """Root mean square, e; NaN of nothing."""
    return float(np.sqrt(np.mean(values**2))) if values.size else float("nan")


def by_class(frames: list[Atoms], errors: list[Array]) -> dict[str, dict[str, float]]:
    """Class -> RMSE and median of the frames' RMSEs, e, number of frames; and of ions' and of
    neutral ones together."""
    groups: dict[str, list[int]] = {}
    for k, atoms in enumerate(frames):
        charged = "ions" if atoms.info["charge"] else "neutral"
        for name in (atoms.info["kind"], charged, "all"):
            groups.setdefault(name, []).append(k)
    return {
        name: {
            "rmse": rms(np.concatenate([errors[k].ravel() for k in members])),
            "median": float(np.median([rms(errors[k]) for k in members])),
            "frames": len(members),
        }
        for name, members in sorted(groups.items())
    }


def calibration(errors: list[Array], members: list[Array]) -> dict[str, float]:
    """How the spread of a committee on an atom is related to its error.

    Parameters
    ----------
    errors : (n_atoms, 3, 3) of each frame
    members : (n_members, n_atoms, 3, 3) of each frame
    """
    error = np.concatenate([np.sqrt(np.mean(e**2, axis=(1, 2))) for e in errors])
    spread = np.concatenate(
        [np.sqrt(np.mean(np.var(m, axis=0, ddof=1), axis=(1, 2))) for m in members]
    )
    order = np.argsort(spread)
    fifths = np.array_split(order, 5)
    found = {
        "factor": rms(error) / rms(spread),
        "correlation": float(np.corrcoef(np.log(error + 1e-6), np.log(spread + 1e-6))[0, 1]),
    }
    for k, fifth in enumerate(fifths):
        found[f"factor_of_fifth_{k + 1}"] = rms(error[fifth]) / rms(spread[fifth])
    for quantile in (0.5, 0.95, 0.99):
        found[f"spread_{quantile}"] = float(np.quantile(spread, quantile))
    return found


def warnings(labels: list[Array], members: list[Array], factor: float) -> dict[str, int]:
    """How many frames the expected error warns of, among wrong ones and among right ones.

    A frame is wrong where its error is above a quarter of the size of its labels, or that of an
    atom above 0.2 e; it is right where they are below 12 % and 0.1 e.

    Parameters
    ----------
    labels : (n_atoms, 3, 3) of each frame
    members : (n_members, n_atoms, 3, 3) of each frame
    factor : error over spread
    """
    found = dict.fromkeys(("wrong", "wrong_warned", "right", "right_warned"), 0)
    for label, tensors in zip(labels, members, strict=True):
        error = tensors.mean(axis=0) - label
        size = max(rms(label), 1e-12)
        largest = float(np.sqrt((error**2).mean(axis=(1, 2))).max())
        expected = ExpectedError.of(tensors, atom_deviations(tensors, 2), factor)
        warned = bool(expected.ratios().max() > 1.0)
        if rms(error) > 0.25 * size or largest > 0.2:
            found["wrong"] += 1
            found["wrong_warned"] += warned
        elif rms(error) < 0.12 * size and largest < 0.1:
            found["right"] += 1
            found["right_warned"] += warned
    return found


def main() -> None:
    """Evaluate and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--without", nargs="+", default=(), metavar="SMILES", help="are left out")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    frames = [a for data in arguments.data for a in ase.io.read(data, ":")]
    frames = [a for a in frames if str(a.info["smiles"]) not in arguments.without]
    model = Predictor.from_file(arguments.model, device=arguments.device)
    members = [found["apt"] for found in model.evaluate(frames)]
    labels = [atoms.arrays["apt"].reshape(-1, 3, 3) for atoms in frames]
    errors = [m.mean(axis=0) - label for m, label in zip(members, labels, strict=True)]
    result = {"model": arguments.model.name, "errors": by_class(frames, errors)}
    if len(members[0]) > 1:
        result["calibration"] = calibration(errors, members)
        factor = model.card.get(SPREAD_FACTOR, {}).get("apt", result["calibration"]["factor"])
        result["warnings"] = warnings(labels, members, factor)
    for name, values in result["errors"].items():
        print(
            f"{name:20s} {values['rmse']:.4f} e  (median {values['median']:.4f} e, "
            f"{values['frames']:.0f} frames)"
        )
    print(result.get("calibration", ""))
    print(result.get("warnings", ""))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
