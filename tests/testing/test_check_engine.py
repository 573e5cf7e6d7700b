"""The check of engines passes a right one and catches what engines do wrong."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import toy_molecules
from helpers.made_up_engine import vibrate

from aptnn_md.testing.engines import LinearDipole, check_engine

ATOMS = toy_molecules.structure(2, pbc=True)


def engine(steps=range(40), transposed=False, **options):
    def run(model, path):
        def tensors_of(atoms):
            apt = model(atoms)
            return {"apt": (apt.swapaxes(1, 2) if transposed else apt)[None]}

        vibrate(path, ATOMS, tensors_of, steps, groups="element", **options)

    return run


def test_a_right_engine_passes(tmp_path):
    check_engine(engine(), tmp_path / "a", engine(range(40, 60)))
    check_engine(engine(), tmp_path / "b", engine(range(30, 60)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lag": 0.5}, r"off from the dipole's change by (0\.9|1\.0)\d* times .*same time"),
        ({"lag": -0.5}, "same time"),
        ({"lag": 1.0}, r"by (1\.9|2\.0)"),
        ({"transposed": True}, "off from the dipole's change"),
        ({"steps": range(9)}, "9 frames, expected 10 or more"),
    ],
)
def test_a_wrong_engine_is_caught(tmp_path, options, message):
    with pytest.raises(AssertionError, match=message):
        check_engine(engine(**options), tmp_path / "s")


@pytest.mark.parametrize(
    ("resumed", "message"),
    [
        ({"steps": range(40, 60), "skipped": 1}, "most at step (39|40)"),
        ({"steps": range(40, 60), "skipped": -1}, "most at step (39|40)"),
        ({"steps": range(20, 60), "skipped": 1}, "frames from before the restart changed"),
        ({"steps": range(40, 40)}, "the resumed run wrote none"),
    ],
)
def test_a_restart_that_loses_count_is_caught(tmp_path, resumed, message):
    with pytest.raises(AssertionError, match=message):
        check_engine(engine(), tmp_path / "s", engine(**resumed))


def test_a_model_asked_twice_is_caught(tmp_path):
    def run(model, path):
        vibrate(path, ATOMS, lambda a: {"apt": np.stack([model(a), model(a)])}, range(20))

    with pytest.raises(AssertionError, match="asked 40 times for 20 frames of 1 beads"):
        check_engine(run, tmp_path / "s")


def test_folding_by_the_boundary_is_no_motion():
    model, moved = LinearDipole(), ATOMS.copy()
    model(ATOMS)
    moved.positions[0] += [0.1, 0.0, 0.0]
    moved.positions += ATOMS.cell.array.sum(axis=0)
    model(moved)
    expected = 0.1 * model.tensors(len(ATOMS))[0, :, 0]
    np.testing.assert_allclose(model.changes(1, 2)[0], expected, atol=1e-12)
