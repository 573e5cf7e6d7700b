"""Streams of increments that are fed step by step, without a server."""

import numpy as np

from aptnn_md.engines.client.evaluator import Evaluator
from aptnn_md.engines.client.increments import IncrementStream
from aptnn_md.engines.client.settings import IncrementSettings
from helpers import toy_molecules

TEMPLATE = toy_molecules.structure(2, seed=3, pbc=True)
CELL = TEMPLATE.cell.array
TIMESTEP = 0.5


def paths(n_beads=1, n_steps=30):
    """Positions (n_steps, n_beads, 6, 3) of beads that vibrate about different places."""
    rng = np.random.default_rng(8)
    amplitude, frequency = rng.normal(scale=0.08, size=(6, 3)), rng.uniform(0.02, 0.05, (6, 3))
    offset = rng.normal(scale=0.02, size=(n_beads, 6, 3))
    time = TIMESTEP * np.arange(n_steps)[:, None, None, None]
    return TEMPLATE.positions + offset + amplitude * np.sin(2 * np.pi * frequency * time + 0.3)


def new(path, n_beads=1, timestep=TIMESTEP, predictor=None, **options):
    evaluator = Evaluator(TEMPLATE, None, predictor or toy_molecules.Tensors())
    settings = IncrementSettings(path, timestep, n_beads, **options)
    return IncrementStream(
        settings,
        TEMPLATE,
        evaluator,
        model="toy",
        committee_sizes=evaluator.committee_sizes,
        domain=evaluator.domain,
    )


def feed(stream, beads, order=None, first=0, cell=CELL, shift=0):
    """Hand over a step."""
    for k in range(len(beads)) if order is None else order:
        results = stream.evaluate(cell[None], beads[k][None], True)
        tensors = {name: values[0] for name, values in results.tensors.items()}
        stream.add(first + k, cell, beads[k] + shift, tensors)


def feed_all(path, steps, n_committed=0, **options):
    """A stream that is fed all steps and left open; the first ``n_committed`` are on disk."""
    stream = new(path, steps[0].shape[0], **options)
    for n, beads in enumerate(steps):
        if n > 0 and n == n_committed:
            stream.interrupt()
        feed(stream, beads)
    return stream
