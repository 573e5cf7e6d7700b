"""The model card of the committee: errors by class, calibration of its spread, level, licence.

    python card.py MODEL.pt OUT.pt TEST.extxyz KNOWN.extxyz [--judged JUDGED.pt] [--level "..."]

TEST holds labelled frames of molecules that were in no training of JUDGED, by default the model
itself: they give the errors and the factor between spread and error. A model that is trained on all
frames in the end is judged by one that was trained in the same way without those of the test. KNOWN
holds structures that members were trained on, at whatever level: the largest spread of each element
there is the limit above which an environment is called unknown.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
from errors import by_class, calibration, rms
from numpy.typing import NDArray

from aptnn_md.domain import KNOWN_SPREAD, SPREAD_FACTOR
from aptnn_md.prediction.model_file import read_model_file, write_model_file
from aptnn_md.prediction.predictor import Predictor
from aptnn_md.tensors import atom_deviations
from aptnn_md.training.calibration import largest_spreads

CARD = {
    "system": "molecules, ions and small clusters of H, C, N, O, F, S",
    "source": "molecules by rules and labels of our own, examples/organic_apt",
    "licence_of_data": "MIT",
}


def main() -> None:
    """Evaluate and write."""
    parser = argparse.ArgumentParser()
    for name in ("model", "out", "test", "known"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--judged", type=Path)
    parser.add_argument("--level", default="PBE0/def2-SVPD (PySCF), finite electric fields")
    parser.add_argument("--base", default="begun with GFN2-xTB labels")
    arguments = parser.parse_args()
    file = read_model_file(arguments.model)
    model = Predictor(file)
    judged = model if arguments.judged is None else Predictor.from_file(arguments.judged)
    frames = ase.io.read(arguments.test, ":")
    members = [found["apt"] for found in judged.evaluate(frames)]
    labels = [atoms.arrays["apt"].reshape(-1, 3, 3) for atoms in frames]
    errors = [m.mean(axis=0) - label for m, label in zip(members, labels, strict=True)]
    card = {
        **file.card,
        **CARD,
        "level_of_theory": arguments.level,
        "base": arguments.base,
        "errors_by_class": {
            name: f"RMSE {values['rmse']:.4f} e, {values['frames']:.0f} frames"
            for name, values in by_class(frames, errors).items()
        },
        "errors_of": "molecules that were in no training"
        + (", of networks that were not trained on them" if arguments.judged else ""),
        "median_error_of_a_frame": float(np.median([rms(e) for e in errors])),
        SPREAD_FACTOR: {"apt": calibration(errors, members)["factor"]},
        KNOWN_SPREAD: {"apt": known_spreads(model, arguments.known)},
    }
    write_model_file(arguments.out, replace(file, card=card))
    print(f"{arguments.out}: {Counter(atoms.info['kind'] for atoms in frames)}")
    for atoms, error in sorted(zip(frames, errors, strict=True), key=lambda pair: rms(pair[1])):
        print(f"{rms(error):.3f} e  {atoms.info['smiles']}")
    for name, text in card["errors_by_class"].items():
        print(f"{name:20s} {text}")
    print(f"spread x {card[SPREAD_FACTOR]['apt']:.2f}; known spreads {card[KNOWN_SPREAD]['apt']}")


def known_spreads(model: Predictor, structures: Path) -> dict[str, float]:
    """Symbol -> largest spread, e."""
    found: dict[int, list[NDArray[np.float64]]] = {}
    frames = ase.io.read(structures, ":")
    for atoms, tensors in zip(frames, model.evaluate(frames), strict=True):
        spreads = atom_deviations(tensors["apt"], 2)
        for z in np.unique(atoms.numbers):
            found.setdefault(int(z), []).append(spreads[atoms.numbers == z])
    return largest_spreads(found)


if __name__ == "__main__":
    main()
