"""What headers of engines say of the rotation of molecules in open space."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import molecule

from aptnn_md.engines.open_space import rotation_of
from aptnn_md.structures import Mobility


def mobility(fixed=()):
    projectors = np.tile(np.eye(3), (3, 1, 1))
    projectors[list(fixed)] = 0.0
    return Mobility(projectors, None, 0, ())


@pytest.mark.parametrize(
    ("pbc", "moves", "expected"),
    [
        (False, None, "kept"),
        (False, mobility(), "kept"),
        (False, mobility([1]), ""),
        (True, None, ""),
        ([True, False, False], None, ""),
    ],
)
def test_rotation_of_molecules_and_of_what_is_held(pbc, moves, expected):
    atoms = molecule("H2O", cell=[9.0, 9.0, 9.0], pbc=pbc)
    assert rotation_of(atoms, moves) == expected
    assert rotation_of(atoms[:1], None) == ""
