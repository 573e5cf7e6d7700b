"""What a potential or a model gives is checked before anyone sends or streams it."""

from __future__ import annotations

import helpers.toy_molecules as toy
import numpy as np
import pytest

from aptnn_md.engines.client.evaluator import Evaluator
from aptnn_md.errors import RunError


class Odd(toy.Potential):
    """A potential whose results are changed afterwards."""

    def __init__(self, change):
        super().__init__()
        self.change = change

    def calculate(self, *arguments, **options):
        super().calculate(*arguments, **options)
        self.change(self.results)


def fail(results):
    raise LookupError("no such bond")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.update(energy=np.nan), "potential Odd: energy of .*nan, which is not finite"),
        (lambda r: r["forces"].__setitem__((3, 2), np.inf), r"forces .* on atom 3 \(O\) at \["),
        (lambda r: r["stress"].__setitem__(0, np.nan), "stress of .* which is not finite"),
        (fail, "potential Odd raised LookupError: no such bond"),
    ],
)
def test_potentials_that_give_no_numbers_are_named(change, message):
    atoms = toy.structure(2, pbc=True)
    evaluate = Evaluator(atoms, Odd(change), toy.Tensors())
    cells, positions = atoms.cell.array[None], atoms.positions[None]
    with pytest.raises(RunError, match=message):
        evaluate(cells, positions)
    good = Evaluator(atoms, Odd(lambda results: None), toy.Tensors())(cells, positions)
    assert np.isfinite(good.forces).all()
    assert np.isfinite(good.virial).all()


def test_models_that_give_no_numbers_are_named():
    atoms = toy.structure(2, pbc=True)

    def model(structure):
        apt = np.zeros((len(structure), 3, 3))
        apt[2, 0, 1] = np.inf
        return apt

    with pytest.raises(RunError, match=r"model model: APTs of .* first that of atom 2 \("):
        Evaluator(atoms, None, model)(atoms.cell.array[None], atoms.positions[None])
