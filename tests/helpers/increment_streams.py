"""Streams of increments that are fed step by step, without a server."""

import numpy as np
from ase import units

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


def ring_polymers(n_beads=32, n_steps=14, timestep=TIMESTEP):
    """The same of free ring polymers at 300 K: their own modes move each bead to and fro."""
    rng = np.random.default_rng(11)
    beta_hbar = 25.46  # fs, at 300 K
    thermal = np.sqrt(300 * units.kB / TEMPLATE.get_masses())[:, None] * units.fs  # Å/fs
    time = timestep * np.arange(n_steps)[:, None, None, None]
    positions = TEMPLATE.positions + thermal * rng.normal(size=(6, 3)) * time
    angle = 2 * np.pi * np.arange(n_beads)[:, None, None] / n_beads
    for mode in range(1, n_beads // 2):
        frequency = 2 * n_beads / beta_hbar * np.sin(np.pi * mode / n_beads)
        for wave in (np.cos(mode * angle), np.sin(mode * angle)):
            # each mode has kT per degree of freedom, times sqrt(2) for its norm over the beads
            speed, phase = rng.rayleigh(size=(6, 3)), rng.uniform(0, 2 * np.pi, size=(6, 3))
            moved = speed / frequency * np.cos(frequency * time + phase)
            positions = positions + np.sqrt(2) * thermal * wave * moved
    return positions


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


def feed(stream, beads, order=None, first=0, cell=CELL, shift=0, call=None):
    """Hand over a step."""
    for k in range(len(beads)) if order is None else order:
        results = stream.evaluate(cell[None], beads[k][None], True)
        tensors = {name: values[0] for name, values in results.tensors.items()}
        stream.add(first + k, cell, beads[k] + shift, tensors, call=call)


def feed_all(path, steps, n_committed=0, **options):
    """A stream that is fed all steps and left open; the first ``n_committed`` are on disk."""
    stream = new(path, steps[0].shape[0], **options)
    for n, beads in enumerate(steps):
        if n > 0 and n == n_committed:
            stream.interrupt()
        feed(stream, beads)
    return stream


class Dispatch:
    """Which beads i-PI 3.3 asks for together, step after step (``matching='auto'``).

    Parameters
    ----------
    n_beads : of a step
    connections : of the client
    chance : random numbers: how many beads are in the queue when a step begins
    """

    def __init__(self, n_beads, connections, chance):
        self.n_beads, self.chance = n_beads, chance
        self.last, self.is_locked = [None] * connections, [False] * connections

    def step(self, waiting=None):
        """The calls of a step, each a list of beads; ``waiting``: those that are not answered."""
        waiting = list(range(self.n_beads)) if waiting is None else list(waiting)
        n_queued = int(self.chance.integers(1, len(waiting) + 1))
        while waiting:
            call = self._call(waiting[:n_queued])
            waiting = [k for k in waiting if k not in call.values()]
            n_queued = self.n_beads
            yield [call[connection] for connection in sorted(call)]

    def _call(self, queue):
        call = {}
        for rule in ("match", "none", "free", "any"):
            for connection, last in enumerate(self.last):
                if connection in call or not queue or not self._fits(rule, connection, queue):
                    continue
                bead = last if rule == "match" else queue[0]
                queue.remove(bead)
                call[connection] = bead
                self.is_locked[connection] = bead == last
        for connection, bead in call.items():
            self.last[connection] = bead
        return call

    def _fits(self, rule, connection, queue):
        last = self.last[connection]
        fits = {
            "match": last in queue,
            "none": last is None,
            "free": not self.is_locked[connection],
        }
        return fits.get(rule, True)
