"""Frames of species that a committee does not know well, one each, for good labels.

    python uncertain_frames.py OUT.extxyz --model organic-apt --labelled known-pbe0.extxyz ...
        [--count 100] [--largest 190] [--part 0.2]

Species of both lists, one molecule each, are taken in the order of the error that is expected
of a conformer beside the size of its APTs, and labelled small ones first; several of training, then
one of the test (--part), which are taken at random. Species of --labelled are left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bands import usable_conformer
from groups import more_species
from molecules import Species, species
from rdkit import RDLogger
from small_frames import labelled_names, mixed, name_of, number_of, size, write_frames

from aptnn_md.prediction.predictor import Predictor
from aptnn_md.prediction.watch import domain_of

KINDS = """
monomer sulfur-vi heterocycle substituted ion other more-ions ring functional bifunctional
"""
"""Of single molecules; one of several classes is of the first."""


def main() -> None:
    """Choose, move and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="organic-apt")
    parser.add_argument("--labelled", nargs="+", type=Path, default=())
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--largest", type=int, default=190)
    parser.add_argument("--part", type=float, default=0.2)
    arguments = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")
    known = labelled_names(arguments.labelled)
    found: dict[str, Species] = {}
    lists = {**species(), **more_species()}
    for kind in KINDS.split():
        for one in lists[kind]:
            if size(one) <= arguments.largest and name_of(one.smiles) not in known:
                found.setdefault(name_of(one.smiles), one)
    n_test = round(arguments.part * arguments.count)
    of_test = sorted((one for one in found.values() if one.held_out), key=_order)
    of_test = [one for one in of_test if usable_conformer(one)][:n_test]
    errors = expected_errors(arguments.model, [one for one in found.values() if not one.held_out])
    of_training = sorted(errors, key=lambda one: -errors[one])[: arguments.count - len(of_test)]
    for one in sorted(of_training, key=size):
        print(one.kind, one.name, f"{errors[one]:.2f}")
    order = mixed(sorted(of_training, key=size), sorted(of_test, key=size), arguments.part)
    write_frames(arguments.out, order, 20261129)


def expected_errors(model: str, of: list[Species]) -> dict[Species, float]:
    """Expected error of the APTs of a conformer of each species, in units of their size."""
    predictor = Predictor.from_file(model)
    domain = domain_of(predictor)
    if domain is None:
        raise SystemExit(f"{model} is no committee with a calibration")
    found = {}
    for one in of:
        if atoms := usable_conformer(one):
            error = domain.expected_errors(predictor.evaluate([atoms])[0])["apt"]
            found[one] = float(error.structure / max(error.size, 0.1))
    return found


def _order(one: Species) -> int:
    return number_of("uncertain " + one.name)


if __name__ == "__main__":
    main()
