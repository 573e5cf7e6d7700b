"""Times of 8 beads of water: one by one, in one call, and on all ranks; for mpirun."""

import json
import time

import ase.io
import numpy as np
import torch

from aptnn_md.bundled import bundled_path
from aptnn_md.engines.client.evaluator import Evaluator
from aptnn_md.engines.client.ranks import RankPool, world
from aptnn_md.potentials.loading import load_potential
from aptnn_md.prediction.predictor import Predictor

N_BEADS, REPEATS = 8, 2


def seconds(evaluate, clock):
    times = []
    for _ in range(REPEATS):
        began = clock()
        evaluate()
        times.append(clock() - began)
    return min(times)


def measure(pool, evaluator, template):
    """Seconds of 8 beads: of this process's own time in one rank, of the clock for all."""
    rng = np.random.default_rng(0)
    beads = template.positions + rng.normal(scale=0.05, size=(N_BEADS, len(template), 3))
    cells = np.repeat(template.cell.array[None], N_BEADS, axis=0)

    def one_by_one():
        for k in range(N_BEADS):
            evaluator(cells[k : k + 1], beads[k : k + 1])

    evaluator(cells, beads)
    found = {
        "one by one": seconds(one_by_one, time.process_time),
        "in one call": seconds(lambda: evaluator(cells, beads), time.process_time),
        "one rank": seconds(lambda: evaluator(cells, beads), time.perf_counter),
    }
    if pool is not None:
        pool(cells, beads)
        found["all ranks"] = seconds(lambda: pool(cells, beads), time.perf_counter)
    return found


def main():
    torch.set_num_threads(1)
    water = ase.io.read(bundled_path("water64.extxyz"))
    communicator, found = world(), {}
    for n_molecules in (64, 4):
        template = water[: 3 * n_molecules]
        evaluator = Evaluator(
            template, load_potential("water-mace"), Predictor.from_file("water-apt")
        )
        pool = None if communicator is None else RankPool(evaluator, communicator)
        if pool is not None and pool.rank > 0:
            pool.serve()
            continue
        found[n_molecules] = measure(pool, evaluator, template)
        if pool is not None:
            pool.stop()
    if found:
        print("RESULT " + json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
