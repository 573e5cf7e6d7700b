"""What a system of i-PI is and does now, in the units of :mod:`aptnn_md.units`.

Velocities are time derivatives of the bead positions: normal-mode momenta over dynamical masses,
transformed back to beads. Momenta over physical masses, which i-PI prints as ``velocities``, are
not the same where the normal modes have masses of their own (PA-CMD and other CMD-like methods).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ipi.engine.motion.dynamics import Dynamics
from ipi.engine.motion.multi import MultiMotion
from ipi.engine.motion.ramp import PressureRamp
from ipi.engine.thermostats import ThermoNMGLE, ThermoPILE_L
from ipi.utils.depend import dstrip
from ipi.utils.units import Constants, UnitMap

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.errors import InputError
from aptnn_md.structure_columns import ISOTOPE_MASSES
from aptnn_md.structures import Mobility

# i-PI's own constants, so that what a user wrote in Å and fs comes back as it was written
BOHR = 1.0 / float(UnitMap["length"]["angstrom"])
"""Å."""
ATOMIC_TIME = 1e15 / float(UnitMap["time"]["second"])
"""fs."""
VELOCITY = BOHR / ATOMIC_TIME
"""Atomic unit of velocity, Å/fs; with charges in e also that of the dipole rate, e Å/fs."""
DALTON = float(Constants.amu)
"""1 amu in electron masses."""
KELVIN = float(UnitMap["temperature"]["kelvin"])
"""k_B times 1 K, hartree."""
ELECTRONVOLT = 1.0 / float(UnitMap["energy"]["electronvolt"])
"""eV per hartree."""

_VARIABLE_CELL = ("npt", "nst")


@dataclass(frozen=True)
class BeadState:
    """Positions and velocities of a ring polymer at one time.

    Attributes
    ----------
    positions : (n_beads, n_atoms, 3), Å
    velocities : (n_beads, n_atoms, 3), Å/fs
    cell : (3, 3), rows, Å; zeros where the system has none
    """

    positions: FloatArray
    velocities: FloatArray
    cell: FloatArray

    @property
    def centroid(self) -> FloatArray:
        """Mean positions (n_atoms, 3), Å."""
        mean: FloatArray = self.positions.mean(axis=0)
        return mean


def bead_state(system: Any) -> BeadState:
    """State of a bound i-PI system; for use after a complete step."""
    beads, nm = system.beads, system.nm
    shape = (int(beads.nbeads), int(beads.natoms), 3)
    rates = nm.transform.nm2b(dstrip(nm.pnm) / dstrip(nm.dynm3))
    return BeadState(
        positions=dstrip(beads.q).reshape(shape) * BOHR,
        velocities=np.asarray(rates).reshape(shape) * VELOCITY,
        cell=dstrip(system.cell.h).T * BOHR,
    )


def temperature(system: Any) -> float:
    """Kinetic temperature, K, of all normal modes, relative to the centre of mass.

    A ring polymer of P beads is a classical system at P times the temperature, and its mean
    kinetic energy, with the dynamical masses, is that of 3 N P degrees of freedom. So 2 K / (k_B P
    times their number) has the physical temperature as its mean; it is not the quantum kinetic
    energy. One bead: the usual kinetic temperature. The centre of mass takes three degrees of
    freedom, each fixed coordinate takes one of every bead; with fixed coordinates it is the centre
    of mass of what moves, where ``fixcom`` holds it.
    """
    beads, nm = system.beads, system.nm
    n_beads, n_atoms = int(beads.nbeads), int(beads.natoms)
    kinetic = float(nm.kin)
    freedom = 3 * n_atoms * n_beads
    motion = dynamics(system)
    fixed = np.unique(np.asarray(motion.fixatoms_dof, dtype=np.int64))
    if len(fixed):
        n_moving = n_atoms - np.bincount(fixed % 3, minlength=3)
        freedom -= len(fixed) * n_beads
        freedom -= int((n_moving > 0).sum()) if motion.fixcom else 0
    elif n_atoms > 1:
        momentum = dstrip(nm.pnm)[0].reshape(n_atoms, 3).sum(axis=0)
        mass = dstrip(nm.dynm3)[0].reshape(n_atoms, 3).sum(axis=0)
        kinetic -= 0.5 * float((momentum**2 / mass).sum())
        freedom -= 3
    return 2.0 * kinetic / (freedom * n_beads * KELVIN)


def mobility(system: Any) -> Mobility | None:
    """What i-PI's own ``fixatoms`` and ``fixcom`` let move; None: everything.

    ``fixcom`` takes the velocity of the centre of mass from all atoms and leaves none to those that
    are fixed, so beside them the momentum of the others dies out within a few steps: their centre
    of mass is held.
    """
    beads, motion = system.beads, dynamics(system)
    n_atoms = int(beads.natoms)
    free = np.ones((n_atoms, 3))
    free.ravel()[np.asarray(motion.fixatoms_dof, dtype=np.int64)] = 0.0
    if free.all() and not motion.fixcom:
        return None
    fractions = None
    if motion.fixcom:
        masses = free * np.asarray(dstrip(beads.m))[:, None]
        fractions = masses / np.maximum(masses.sum(axis=0), np.finfo(float).tiny)
    return Mobility(free[:, :, None] * np.eye(3), fractions, 0, ())


def template(system: Any) -> Atoms:
    """The atoms of a system, in its order, with i-PI's masses and the present cell.

    Raises
    ------
    InputError
        A label that is not an element.
    """
    names = [str(name) for name in system.beads.names]
    state = bead_state(system)
    masses = dstrip(system.beads.m) / DALTON
    return Atoms(
        numbers=_numbers(names),
        positions=state.centroid,
        cell=state.cell,
        pbc=abs(np.linalg.det(state.cell)) > 0.0,
        masses=masses,
    )


def dynamics(system: Any) -> Any:
    """The molecular dynamics of a system: its motion, or a part of it.

    Raises
    ------
    InputError
        It does something other than molecular dynamics, and has no velocities.
    """
    motion = system.motion
    parts = motion.mlist if isinstance(motion, MultiMotion) else [motion]
    found = [part for part in parts if isinstance(part, Dynamics)]
    others = [part for part in parts if not isinstance(part, Dynamics | PressureRamp)]
    if len(found) != 1 or others:
        names = ", ".join(type(part).__name__ for part in parts)
        expected = (
            "molecular dynamics, alone or with a pressure ramp: anything else has no velocities, "
            "or changes the temperature or the atoms on the way"
        )
        raise InputError("i-PI input", "motion", names, expected)
    return found[0]


def check_dynamics(system: Any) -> None:
    """Refuse systems whose dipole rate would have no meaning.

    Raises
    ------
    InputError
        Suzuki-Chin integration, a fixed centroid, open paths, exchange of atoms or of replicas.
    """
    if "remd" in _modes(system.simul.smotion):
        expected = (
            "none: exchange changes the temperature of each system on the way, and a stream has "
            "one; start runs without <smotion> from its configurations"
        )
        raise InputError("i-PI input", "smotion", "replica exchange", expected)
    mode = dynamics(system).enstype
    if mode in ("sc", "scnpt"):
        expected = (
            "nve, nvt, npt or nst: Suzuki-Chin weights the beads unequally, for averages only, and "
            "the mean over its beads is no estimator of a dipole rate"
        )
        raise InputError("i-PI input", "dynamics mode", mode, expected)
    if mode == "nvt-cc":
        expected = "nve, nvt, npt or nst: a fixed centroid has no dipole rate"
        raise InputError("i-PI input", "dynamics mode", mode, expected)
    if len(system.nm.open_paths):
        raise InputError("i-PI input", "open_paths", list(system.nm.open_paths), "closed paths")
    if len(system.nm.bosons):
        expected = "none: beads of exchanged atoms belong to no one atom"
        raise InputError("i-PI input", "bosons", list(system.nm.bosons), expected)


def timestep(system: Any) -> float:
    """Time step, fs, to the seven digits that a RESTART of any ``floatformat`` keeps."""
    return float(f"{float(dynamics(system).dt) * ATOMIC_TIME:.7g}")


def variable_cell(system: Any) -> bool:
    """Whether the cell changes during the run."""
    return dynamics(system).enstype in _VARIABLE_CELL


def thermostat_temperature(system: Any) -> float | None:
    """Temperature of the ensemble, K.

    None if i-PI was not given one, and for classical runs at constant energy, whose temperature is
    not set. Ring polymers always have one: that of their springs.
    """
    value = float(system.ensemble.temp)
    if int(system.beads.nbeads) == 1 and str(dynamics(system).enstype).endswith("nve"):
        return None
    return float(f"{value / KELVIN:.7g}") if value > 0 else None


def thermostat_time(system: Any) -> float | None:
    """Time constant of the thermostat, fs, of ring polymers that of the centroid; None at constant
    energy, and of thermostats that have none."""
    motion = dynamics(system)
    tau = float(getattr(motion.thermostat, "tau", 0.0))
    if str(motion.enstype).endswith("nve") or not tau:
        return None
    return float(f"{tau * ATOMIC_TIME:.7g}")


def potentials(system: Any) -> list[Any]:
    """Potentials of force fields that run inside i-PI by this package's drivers."""
    drivers = [getattr(ff, "driver", None) for ff in system.simul.fflist.values()]
    found = [getattr(getattr(d, "evaluator", None), "potential", None) for d in drivers]
    return [potential for potential in found if potential is not None]


def conserved_energy(system: Any) -> float | None:
    """The conserved quantity per bead, eV, as i-PI prints it: the energy of the ring polymer with
    its springs, less what thermostats have put in.

    None where its drift could not be judged: with a barostat, a field or another bias, and with a
    thermostat without one time constant.
    """
    motion = dynamics(system)
    mode = str(motion.enstype)
    if mode != "nve" and (mode != "nvt" or thermostat_time(system) is None):
        return None
    if len(system.ensemble.bcomp):
        return None
    return float(system.ensemble.econs) / int(system.beads.nbeads) * ELECTRONVOLT


def describe(system: Any) -> str:
    """What kind of dynamics a system does, for human readers.

    E.g. ``"TRPMD, 8 beads, NVT, PILE_L ..."``.
    """
    motion = dynamics(system)
    n_beads, mode = int(system.beads.nbeads), str(motion.enstype)
    text = [method(system)]
    if n_beads > 1:
        text.append(f"{n_beads} beads")
    text.append(mode.upper())
    if not mode.endswith("nve"):
        thermostat = motion.thermostat
        name = type(thermostat).__name__.removeprefix("Thermo")
        tau = getattr(thermostat, "tau", 0.0)
        if name != "Thermostat" and tau:
            name += f" {float(tau) * ATOMIC_TIME:.6g} fs"
        if isinstance(thermostat, ThermoPILE_L) and n_beads > 1:
            name += f" lambda {float(thermostat.pilescale):g}"
        text.append(name)
    levels = dstrip(motion.nmts)
    if len(levels) > 1 or levels[0] > 1:
        text.append("MTS " + "x".join(str(int(n)) for n in levels))
    return ", ".join(text)


def method(system: Any) -> str:
    """``classical``, ``RPMD``, ``TRPMD``, ``PA-CMD``, ...: what the beads' dynamics stand for."""
    if int(system.beads.nbeads) == 1:
        return "classical"
    modes = str(system.nm.mode)
    if modes == "pa-cmd":
        return "PA-CMD"
    if modes == "wmax-cmd":
        return "CMD with one internal frequency"
    if modes != "rpmd":
        return f"path integral, normal-mode masses {modes}"
    motion = dynamics(system)
    if str(motion.enstype).endswith("nve"):
        return "RPMD"
    if isinstance(motion.thermostat, ThermoPILE_L):
        return "TRPMD"
    if isinstance(motion.thermostat, ThermoNMGLE):
        return "TRPMD" if _is_classical(motion.thermostat) else "path integral with quantum noise"
    return "RPMD with a thermostat"


def _is_classical(thermostat: ThermoNMGLE) -> bool:
    """Whether the noise of generalised Langevin equations is that of one temperature in all normal
    modes; not that of PIGLET, whose dynamics stands for nothing."""
    covariances = dstrip(thermostat.C)
    temperature = covariances[0, 0, 0]
    classical = temperature * np.eye(covariances.shape[-1])
    return bool(np.allclose(covariances, classical, rtol=1e-3, atol=1e-3 * temperature))


def _modes(smotion: Any) -> set[str]:
    """What the motion between systems does."""
    parts = getattr(smotion, "mlist", None) or [smotion]
    return {str(getattr(part, "mode", "")) for part in parts}


def _numbers(names: list[str]) -> IntArray:
    symbols = ["H" if name in ISOTOPE_MASSES else name for name in names]
    unknown = sorted({name for name in symbols if name not in atomic_numbers})
    if unknown:
        raise InputError("i-PI input", "labels", ", ".join(unknown), "chemical symbols")
    return np.array([atomic_numbers[name] for name in symbols], dtype=np.int64)
