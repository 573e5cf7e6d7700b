"""The observer of ASE passes the check of engines that the package ships."""

from __future__ import annotations

from ase.md.verlet import VelocityVerlet
from helpers import toy_molecules as toy

from aptnn_md.engines.ase.observer import StreamObserver
from aptnn_md.testing.engines import check_engine


def test_positions_and_velocities_belong_together_and_no_step_is_lost(tmp_path):
    atoms = toy.structure(3, pbc=True)
    atoms.calc = toy.Potential()
    done = 0

    def run(model, path, first_step=None, n_steps=40):
        nonlocal done
        dynamics = VelocityVerlet(atoms, toy.timestep(0.5))
        with StreamObserver(dynamics, path, model, first_step=first_step) as observer:
            dynamics.attach(observer)
            dynamics.run(n_steps)
        done += n_steps

    check_engine(run, tmp_path / "s", lambda model, path: run(model, path, done, 25))
