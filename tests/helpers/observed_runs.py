"""Runs of ASE with a stream, for tests."""

import numpy as np
from ase.md.verlet import VelocityVerlet

import helpers.toy_molecules as toy
from aptnn_md.engines.ase.calculator import APTCalculator
from aptnn_md.engines.ase.observer import StreamObserver
from aptnn_md.engines.ase.settings import MDSettings
from aptnn_md.stream import StreamReader


def stream_run(path, atoms, dt, n_steps, model, **options):
    """Velocity Verlet with a stream; the positions of every frame are kept for the test."""
    positions = []
    dyn = VelocityVerlet(atoms, toy.timestep(dt))
    stride = options.get("stride", 1)
    with StreamObserver(dyn, path, model, **options) as observer:
        dyn.attach(observer, interval=stride)
        dyn.attach(lambda: positions.append(atoms.positions.copy()), interval=stride)
        dyn.run(n_steps)
    return StreamReader(path), np.array(positions)


def start(n_molecules=2, **options):
    atoms = toy.structure(n_molecules, pbc=True, **options)
    atoms.calc = APTCalculator(toy.Tensors(), toy.Potential())
    return atoms


def settings(n_steps, thermostat="none", **options):
    known = {"timestep": 0.5, "stride": 3, "tau": 20.0, "friction": 20.0, "seed": 11}
    return MDSettings(picoseconds=n_steps * 5e-4, thermostat=thermostat, **(known | options))
