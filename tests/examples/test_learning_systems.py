"""Systems of the papers: structures are what they say, and their campaigns can begin."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from helpers.paths import ROOT

from aptnn_md.atoms.molecules import Molecules
from aptnn_md.cli import learn
from aptnn_md.learning.bonds import BondGraph
from aptnn_md.structure_files import read_structures
from aptnn_md.structures import total_charge

EXAMPLES = ROOT / "examples"


def start(name: str) -> Atoms:
    (atoms,) = read_structures(EXAMPLES / name)
    return atoms


@pytest.mark.parametrize(
    ("name", "file", "out"),
    [
        ("trialanine", "campaign.toml", "trialanine"),
        ("trialanine", "small.toml", "small"),
        ("sulfate", "campaign.toml", "sulfate"),
    ],
)
def test_campaigns_can_be_read(monkeypatch, name, file, out):
    monkeypatch.chdir(EXAMPLES / name)
    parser = argparse.ArgumentParser()
    learn.add_arguments(parser)
    settings = learn.make_settings(parser.parse_args([file]))
    assert settings.learns_potential
    for path in settings.structures:
        assert len(start(f"{name}/{path}")) > 2
    assert str(settings.out) == out


def test_trialanine():
    """Two conformers with the proton at the amino end: the same bonds, another shape."""
    extended, folded = start("trialanine/extended.xyz"), start("trialanine/folded.xyz")
    for atoms in (extended, folded):
        assert atoms.get_chemical_formula() == "C9H18N3O4"
        assert total_charge(atoms) == 1.0
        graph = BondGraph.of(atoms)
        assert len(graph.first) == len(atoms) - 1  # a chain without rings
        hydrogens = [
            int(
                (
                    atoms.numbers[
                        np.where(graph.first == k, graph.second, graph.first)[
                            (graph.first == k) | (graph.second == k)
                        ]
                    ]
                    == 1
                ).sum()
            )
            for k in np.flatnonzero(atoms.numbers == 7)
        ]
        assert sorted(hydrogens) == [1, 1, 3]
    assert BondGraph.of(extended).intact(folded.positions)
    sizes = [
        np.sqrt((a.positions - a.positions.mean(0)).var(axis=0).sum()) for a in (extended, folded)
    ]
    assert sizes[0] > sizes[1] + 0.3


def test_sulfate_and_twelve_waters():
    atoms = start("sulfate/start.xyz")
    assert total_charge(atoms) == -2.0
    formulas = Molecules.of(atoms).formulas(atoms.numbers)
    assert sorted(formulas) == ["H2O"] * 12 + ["O4S"]


@pytest.mark.parametrize("n_carbons", [2, 4, 5, 16, 64])
def test_alkanes(monkeypatch, n_carbons):
    monkeypatch.syspath_prepend(str(EXAMPLES / "alkanes"))
    sys.modules.pop("alkane", None)
    from alkane import CC, CCC, CH, HCH, alkane

    atoms = alkane(n_carbons)
    carbons, hydrogens = n_carbons, 2 * n_carbons + 2
    assert atoms.numbers.tolist() == [6] * carbons + [1] * hydrogens
    graph = BondGraph.of(atoms)
    assert len(graph.first) == len(atoms) - 1
    lengths = atoms.get_all_distances()[graph.first, graph.second]
    both = atoms.numbers[graph.second] == 6
    assert lengths[both] == pytest.approx(CC)
    assert lengths[~both] == pytest.approx(CH)
    if n_carbons > 3:
        assert atoms.get_angle(0, 1, 2) == pytest.approx(np.degrees(CCC))
        assert abs(atoms.get_dihedral(0, 1, 2, 3)) == pytest.approx(180.0)
        on_second = [k for k in range(carbons, len(atoms)) if atoms.get_distance(1, k) < 1.2]
        assert len(on_second) == 2
        assert atoms.get_angle(on_second[0], 1, on_second[1]) == pytest.approx(np.degrees(HCH))


def test_examples_are_in_their_folders():
    for name in ("alkanes", "trialanine", "sulfate"):
        for file in ("README.md", "run.sh"):
            assert Path(EXAMPLES / name / file).is_file()
