"""The labels that the example of a general model comes with."""

from __future__ import annotations

import io
import lzma

import ase.io
import numpy as np
import pytest
from helpers.paths import EXAMPLES


@pytest.mark.parametrize(
    ("name", "n_frames", "off"),
    # those without the response of the grid are off by what it leaves out
    [("gfn2-train", 3198, 1e-4), ("gfn2-test", 800, 1e-4), ("pbe0", 43, 5e-3)],
)
def test_labels_obey_the_sum_rule(name: str, n_frames: int, off: float) -> None:
    packed = EXAMPLES / "organic_apt" / "labels" / f"{name}.extxyz.xz"
    frames = ase.io.read(io.StringIO(lzma.decompress(packed.read_bytes()).decode()), ":", "extxyz")
    assert len(frames) == n_frames
    assert {symbol for atoms in frames for symbol in atoms.symbols} <= set("HCNOFS")
    for atoms in frames:
        total = atoms.arrays["apt"].reshape(-1, 3, 3).sum(axis=0)
        np.testing.assert_allclose(total, atoms.info["charge"] * np.eye(3), atol=off)
