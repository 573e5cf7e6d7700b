"""The labels that the example of a general model comes with."""

from __future__ import annotations

import io
import lzma

import ase.io
import numpy as np
import pytest
from ase import Atoms
from helpers.paths import EXAMPLES

from aptnn_md.prediction.predictor import Predictor


def labelled(name: str) -> list[Atoms]:
    """The frames of a packed file."""
    packed = EXAMPLES / "organic_apt" / "labels" / f"{name}.extxyz.xz"
    return ase.io.read(io.StringIO(lzma.decompress(packed.read_bytes()).decode()), ":", "extxyz")


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "n_frames", "off"),
    # those without the response of the grid are off by what it leaves out
    [
        ("gfn2-train", 6474, 1e-4),
        ("gfn2-test", 800, 1e-4),
        ("gfn2-more-train", 3777, 1e-4),
        ("gfn2-more-test", 100, 1e-4),
        ("pbe0", 688, 8e-3),
        ("minima", 12, 5e-3),
        ("more-minima", 36, 5e-3),
        ("disulfane", 30, 5e-3),
    ],
)
def test_labels_obey_the_sum_rule(name: str, n_frames: int, off: float) -> None:
    frames = labelled(name)
    assert len(frames) == n_frames
    assert {symbol for atoms in frames for symbol in atoms.symbols} <= set("HCNOFS")
    for atoms in frames:
        total = atoms.arrays["apt"].reshape(-1, 3, 3).sum(axis=0)
        np.testing.assert_allclose(total, atoms.info["charge"] * np.eye(3), atol=off)


def test_no_molecule_but_water_is_in_training_and_test() -> None:
    def molecules(part: str) -> set[str]:
        """All molecules of training; of the test those that are not beside another one."""
        found = set()
        for name in (f"gfn2-{part}", f"gfn2-more-{part}"):
            for atoms in labelled(name):
                solutes = set(str(atoms.info["smiles"]).split(".")) - {"O"}
                found |= solutes if part == "train" or len(solutes) == 1 else set()
        return found

    seen, held_out = molecules("train"), molecules("test")
    assert len(seen) > 1000
    assert len(held_out) > 150
    assert not seen & held_out


def test_the_bundled_model_knows_these_labels_and_molecules_that_it_has_not_seen() -> None:
    model = Predictor.from_file("organic-apt")

    def error(frames: list[Atoms]) -> float:
        found = [tensors["apt"].mean(axis=0) for tensors in model.evaluate(frames)]
        differences = [
            apt - atoms.arrays["apt"].reshape(-1, 3, 3)
            for apt, atoms in zip(found, frames, strict=True)
        ]
        return float(np.sqrt(np.mean(np.concatenate(differences) ** 2)))

    assert error(labelled("pbe0")) < 1.05 * model.card["training_rmse"]
    unseen = [a for a in labelled("minima") if a.info["smiles"] in ("CCO", "CC(N)=O", "CCC#N")]
    assert len(unseen) == 3
    assert error(unseen) < 0.02
