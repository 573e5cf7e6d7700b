"""What a frame of a stream costs beside the network, as ratios in one run of one thread.

python -m pytest tests/benchmarks/test_streaming_cost.py -m benchmark -s
"""

import time

import ase.io
import numpy as np
import pytest
from ase import units
from ase.md.verlet import VelocityVerlet

from aptnn_md.atoms.partition import parse_groups
from aptnn_md.atoms.rates import dipole_rate, f_sum
from aptnn_md.atoms.snapshot import Snapshot
from aptnn_md.bundled import bundled_path
from aptnn_md.engines.ase.observer import StreamObserver
from aptnn_md.prediction.predictor import Predictor

pytestmark = pytest.mark.benchmark


def cpu_seconds(call, repetitions):
    """The least of several measurements."""
    best = np.inf
    for _ in range(repetitions):
        begin = time.process_time()
        call()
        best = min(best, time.process_time() - begin)
    return best


def seconds_per_frame(path, atoms, frames=100):
    """All but the tensors, from ASE, with groups by element."""
    apt = np.random.default_rng(0).normal(size=(len(atoms), 3, 3))
    dynamics = VelocityVerlet(atoms, 0.5 * units.fs)
    with StreamObserver(dynamics, path, lambda atoms: apt, groups="element") as observer:

        def write():
            for _ in range(frames):
                observer()
                dynamics.nsteps += 1
            observer.commit()

        return cpu_seconds(write, 5) / frames


def test_streaming_is_cheap_beside_the_network(tmp_path):
    water = ase.io.read(bundled_path("water64.extxyz"))
    predictor = Predictor.from_file("water-apt")
    predictor(water)
    network = cpu_seconds(lambda: predictor(water), 5)
    small = seconds_per_frame(tmp_path / "small", water)
    large = seconds_per_frame(tmp_path / "large", water * (2, 4, 4))

    groups = parse_groups("molecule-kind+motion", water)
    rng = np.random.default_rng(0)
    beads = water.positions + 0.05 * rng.normal(size=(32, 192, 3))
    apt, velocities = rng.normal(size=(32, 192, 3, 3)), rng.normal(size=(32, 192, 3))

    def contract():
        snapshot = Snapshot(beads, water.cell.array, (True, True, True))
        dipole_rate(apt, velocities, groups, snapshot)
        f_sum(apt, water.get_masses(), groups, snapshot)

    by_motion = cpu_seconds(contract, 5)
    print(
        f"\nnetwork, 192 atoms: {1e3 * network:.1f} ms of CPU; a frame beside it: {1e3 * small:.3f}"
        f" ms (ratio {small / network:.4f}), of 32 times as many atoms {1e3 * large:.3f} ms (ratio"
        f" {large / small:.1f})\nby motion of the molecules, 32 beads: {1e3 * by_motion:.1f} ms "
        f"(ratio to the network for all beads {by_motion / (32 * network):.4f})"
    )
    assert small < 0.05 * network
    assert large < 32 * small
    assert by_motion < 0.05 * 32 * network
