"""One system with the same forces in ASE, LAMMPS and OpenMM: the same spectrum, within its errors.

Independent runs with thermostats of the same kind; `-s` prints the numbers.
"""

from __future__ import annotations

import importlib.util
import itertools
import os

import numpy as np
import pytest
from ase import units
from ase.md.langevin import Langevin
from helpers import same_forces
from helpers import toy_molecules as toy
from helpers.lammps_runs import stream_of, why_not, write_script

from aptnn_md.engines.ase.observer import StreamObserver
from aptnn_md.spectra import spectrum_of_streams

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(why_not()) or importlib.util.find_spec("openmm") is None,
        reason="needs LAMMPS and OpenMM",
    ),
]

TIMESTEP, STRIDE = 0.5, 5
PICOSECONDS = float(os.environ.get("APTNN_MD_PICOSECONDS", "20"))
N_STEPS, N_RUNS, SKIP = round(PICOSECONDS * 1e3 / TIMESTEP), 3, 2.0
BANDS = ((300.0, 1000.0), (1000.0, 2200.0), (2600.0, 4300.0))
"""cm⁻¹: stretch of O-Cl, bend, stretch of H-O."""

FRICTION = 2.0
"""1/ps."""


def of_ase(directory, seed):
    atoms = same_forces.structure(seed=seed)
    atoms.calc = same_forces.Potential()
    dynamics = Langevin(
        atoms,
        toy.timestep(TIMESTEP),
        temperature_K=300.0,
        friction=FRICTION / (1e3 * units.fs),
        fixcm=False,
        rng=np.random.default_rng(seed),
    )
    path = directory / f"ase-{seed}"
    with StreamObserver(dynamics, path, toy.Tensors(), stride=STRIDE) as observer:
        dynamics.attach(observer, interval=STRIDE)
        dynamics.run(N_STEPS)
    return path


def of_lammps(directory, seed):
    own = directory / f"lammps-{seed}"
    thermostat = f"fix 1 all nve\nfix 2 all langevin 300 300 {1.0 / FRICTION} {7919 * seed}"
    write_script(own, f"run {N_STEPS}", thermostat, timestep=TIMESTEP)
    stream_of(own, toy.Tensors(), stride=STRIDE)
    return own / "s.zarr"


def of_openmm(directory, seed):
    import openmm
    from helpers.openmm_runs import simulation_of

    from aptnn_md import StreamReporter

    integrator = openmm.LangevinMiddleIntegrator(300.0, FRICTION, TIMESTEP * 1e-3)
    integrator.setRandomNumberSeed(seed)
    simulation = simulation_of(integrator)
    path = directory / f"openmm-{seed}"
    with StreamReporter(toy.Tensors(), path, STRIDE) as reporter:
        simulation.reporters.append(reporter)
        simulation.step(N_STEPS + 1)
    return path


def test_integrals_of_bands_agree_within_their_errors(tmp_path):
    found = {}
    for engine in (of_ase, of_lammps, of_openmm):
        name = engine.__name__.removeprefix("of_")
        streams = [engine(tmp_path, seed) for seed in range(1, N_RUNS + 1)]
        spectrum = spectrum_of_streams(streams, 40.0, temperature=300.0, skip=SKIP)
        found[name] = np.array([spectrum.integral(*band) for band in BANDS])
        for band, (value, error) in zip(BANDS, found[name], strict=True):
            print(f"\n{name}: {band[0]:.0f}-{band[1]:.0f} cm-1: {value:.4g} +- {error:.2g}", end="")
    deviations = []
    for one, other in itertools.combinations(found, 2):
        difference = found[one][:, 0] - found[other][:, 0]
        errors = np.hypot(found[one][:, 1], found[other][:, 1])
        deviations += list(difference / errors)
        # an error that says nothing proves nothing
        assert (errors < 0.35 * found[one][:, 0]).all()
    print("\ndifferences over their errors:", np.round(deviations, 2))
    assert np.abs(deviations).max() < 3.5
    assert np.mean(np.square(deviations)) < 3.0
