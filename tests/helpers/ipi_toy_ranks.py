"""Toy clients for mpirun, as processes of their own.

python ipi_toy_ranks.py compare
python ipi_toy_ranks.py client SOCKET STREAM N_BEADS [PAUSE]
"""

import os
import sys
from pathlib import Path

import numpy as np

from aptnn_md.engines.client.client import Address
from aptnn_md.engines.client.evaluator import Evaluator
from aptnn_md.engines.client.ranks import RankPool, world
from aptnn_md.errors import RunError
from helpers import toy_molecules, toy_tensors
from helpers.ipi_client_tools import SlowPotential, toy_client


class Fragile(toy_molecules.Committee):
    def __call__(self, atoms):
        raise AssertionError("the mean is not what ranks ask for")

    def members(self, atoms):
        if atoms.positions[0, 0] > 50.0:
            raise RunError("an atom is far away")
        return super().members(atoms)


class FewerGradients(toy_tensors.BothCommittee):
    """Three members that give APTs, two that give PGTs."""

    def __init__(self):
        super().__init__()
        self.committee_sizes = {"apt": 3, "pgt": 2}

    def tensors(self, structures):
        return [each | {"pgt": each["pgt"][:2]} for each in super().tensors(structures)]


def compare(communicator):
    """Results of the pool against those of one process, and errors of one rank."""
    compare_tensors(communicator)
    template = toy_molecules.structure(2, pbc=True)
    evaluator = Evaluator(template, toy_molecules.Potential(), Fragile())
    pool = RankPool(evaluator, communicator)
    if pool.rank > 0:
        pool.serve()
        return
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 7):
        positions = template.positions + rng.normal(scale=0.05, size=(n, 6, 3))
        cells = np.stack([template.cell.array * (1 + 0.01 * k) for k in range(n)])
        for tensors in (True, False):
            mine, theirs = evaluator(cells, positions, tensors), pool(cells, positions, tensors)
            for name in ("energy", "forces", "virial"):
                np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name))
            assert list(mine.tensors) == list(theirs.tensors) == ["apt"] * tensors
            for name, values in mine.tensors.items():
                np.testing.assert_array_equal(values, theirs.tensors[name])
    positions[-1, 0, 0] = 99.0
    try:
        pool(cells, positions)
    except RunError as error:
        print(f"told: {error}")
    assert pool(cells[:1], positions[:1]).tensors["apt"][0].shape == (3, 6, 3, 3)
    pool.stop()
    print(f"{pool.n_ranks} ranks agree")


def compare_tensors(communicator):
    """APTs and PGTs, whose committees differ in size."""
    template = toy_molecules.structure(2, pbc=True)
    evaluator = Evaluator(template, None, FewerGradients())
    pool = RankPool(evaluator, communicator)
    if pool.rank > 0:
        pool.serve()
        return
    rng = np.random.default_rng(1)
    for n in (1, 2, 5):
        positions = template.positions + rng.normal(scale=0.05, size=(n, 6, 3))
        cells = np.stack([template.cell.array] * n)
        mine, theirs = evaluator(cells, positions), pool(cells, positions)
        assert theirs.tensors["pgt"].shape == (n, 2, 6, 3, 3, 3)
        for name in ("apt", "pgt"):
            np.testing.assert_array_equal(mine.tensors[name], theirs.tensors[name])
        assert not pool(cells, positions, False).tensors
    pool.stop()


def client(communicator, address, stream, n_beads, pause="0"):
    template = toy_molecules.structure(2, seed=3, pbc=True)
    evaluator = Evaluator(template, SlowPotential(float(pause)), toy_molecules.Tensors())
    pool = RankPool(evaluator, communicator)
    Path(f"{stream}.pid{pool.rank}").write_text(str(os.getpid()))
    if pool.rank > 0:
        pool.serve()
        return
    try:
        made = toy_client(Address(path=address), stream, n_beads=int(n_beads), evaluate=pool)
        print(made.run())
    finally:
        pool.stop()


if __name__ == "__main__":
    {"compare": compare, "client": client}[sys.argv[1]](world(), *sys.argv[2:])
