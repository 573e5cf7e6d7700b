"""Times of 8 beads of 64 H2O: one by one, in one call, and on all ranks; for mpirun."""

import json
import time

import ase.io
import numpy as np
import torch

from aptnn_md.bundled import bundled_path
from aptnn_md.ipi.evaluator import Evaluator
from aptnn_md.ipi.ranks import RankPool, world
from aptnn_md.potentials import load_potential
from aptnn_md.predictor import Predictor

N_BEADS, REPEATS = 8, 3


def seconds(evaluate):
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        evaluate()
        times.append(time.perf_counter() - began)
    return min(times)


def main():
    torch.set_num_threads(1)
    template = ase.io.read(bundled_path("water64.extxyz"))
    evaluator = Evaluator(template, load_potential("water-mace"), Predictor.from_file("water-apt"))
    communicator = world()
    pool = RankPool(evaluator, communicator)
    if pool.rank > 0:
        pool.serve()
        return
    rng = np.random.default_rng(0)
    beads = template.positions + rng.normal(scale=0.05, size=(N_BEADS, len(template), 3))
    cells = np.repeat(template.cell.array[None], N_BEADS, axis=0)
    pool(cells, beads)
    found = {"ranks": pool.n_ranks}
    for name, tensors in (("forces", False), ("forces and tensors", True)):
        found[name] = {
            "one by one": seconds(
                lambda t=tensors: [
                    evaluator(cells[k : k + 1], beads[k : k + 1], t) for k in range(N_BEADS)
                ]
            ),
            "in one call": seconds(lambda t=tensors: evaluator(cells, beads, t)),
            "on all ranks": seconds(lambda t=tensors: pool(cells, beads, t)),
        }
    pool.stop()
    print("RESULT " + json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
