"""ASE's integrators for the settings of a run, and thermal velocities."""

from __future__ import annotations

import secrets
from dataclasses import replace

import numpy as np
from ase import Atoms, units
from ase.constraints import FixCom
from ase.md.bussi import Bussi
from ase.md.md import MolecularDynamics
from ase.md.verlet import VelocityVerlet

from aptnn_md.arrays import FloatArray
from aptnn_md.atoms.rotation import WholeRotation
from aptnn_md.engines.ase.equilibration import langevin
from aptnn_md.engines.ase.observer import temperature
from aptnn_md.engines.ase.settings import MDSettings
from aptnn_md.progress import log
from aptnn_md.structures import Mobility


def seeded(settings: MDSettings) -> MDSettings:
    """Settings with a seed, a new one where they have none."""
    return settings if settings.seed is not None else replace(settings, seed=secrets.randbits(63))


def make_dynamics(
    atoms: Atoms,
    settings: MDSettings,
    rng: np.random.Generator | None = None,
    *,
    begin: bool = True,
) -> MolecularDynamics:
    """ASE's integrator for ``settings``; gives ``atoms`` velocities if they have none.

    The centre of mass is held where nothing acts on it, so that 3 N - 3 degrees of freedom, less
    those that constraints of distances take, carry the temperature.

    Parameters
    ----------
    atoms : start, with a calculator
    settings : how to run; a thermostat that is left open is ``bussi``
    rng : random numbers of velocities and thermostat; None: by the seed of ``settings``
    begin : False: positions and velocities will be replaced by those of a checkpoint
    """
    settings = seeded(settings)
    rng = np.random.default_rng(settings.seed) if rng is None else rng
    if Mobility.of(atoms).centre_is_free and len(atoms) > 1:
        atoms.set_constraint([*atoms.constraints, FixCom()])
    if not np.any(atoms.get_momenta()):
        atoms.set_momenta(thermal_momenta(atoms, settings.temperature, rng))
        text = f"velocities drawn at random at {settings.temperature:g} K, seed {settings.seed}: "
        text += "the start has none"
    else:
        atoms.set_momenta(atoms.get_momenta())  # through the constraint
        text = f"velocities of the start, {temperature(atoms):.4g} K"
    if begin:
        log.info("%s", text)
    timestep = settings.timestep * units.fs
    if settings.thermostat in ("bussi", None):
        return Bussi(atoms, timestep, settings.temperature, settings.tau * units.fs, rng=rng)
    if settings.thermostat == "langevin":
        return langevin(atoms, settings, rng)
    return VelocityVerlet(atoms, timestep)


def thermal_momenta(atoms: Atoms, temperature: float, rng: np.random.Generator) -> FloatArray:
    """Momenta (n_atoms, 3) of the canonical ensemble of free atoms, in ASE's unit."""
    width = np.sqrt(units.kB * temperature * atoms.get_masses())
    momenta: FloatArray = rng.normal(size=(len(atoms), 3)) * width[:, None]
    return momenta


def stop_rotation(atoms: Atoms, no_rotation: WholeRotation | None) -> None:
    """Take the rotation of the whole out of the momenta; None: it is kept."""
    if no_rotation is not None:
        still = no_rotation.removed_from(atoms.positions, atoms.get_velocities())
        atoms.set_momenta(still * atoms.get_masses()[:, None], apply_constraint=False)
