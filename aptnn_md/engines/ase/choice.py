"""How the temperature of a run is made where nobody says how: by what the system is.

A periodic system is a bath of its own: forces share energy among all motions within picoseconds,
and a global thermostat such as ``bussi`` need only see that their sum is right.

A molecule or a cluster in open space is not. Its angular momentum never changes by forces, and its
vibrations exchange energy slowly or not at all. A global thermostat multiplies all velocities by
one number, so what has no energy gets none (from an energy minimum: the potential energy) and what
cannot lose any, such as rotation, takes up all that the thermostat puts in. Only friction and noise
on each atom bring every motion to the temperature; but they broaden bands. So the default there
is an ensemble: many short runs of constant energy, from starts that a Langevin chain gives.
"""

from __future__ import annotations

import math
from dataclasses import replace

from ase import Atoms

from aptnn_md.engines.ase.settings import MDSettings
from aptnn_md.errors import InputError
from aptnn_md.progress import log
from aptnn_md.spectra.estimation.plan import plan_spectrum
from aptnn_md.spectra.estimation.slow_exchange import ENOUGH_RUNS
from aptnn_md.spectra.options import InfraredOptions

FEW_ATOMS = 100
"""Up to so many atoms an open system gets an ensemble by default: rotation is at least 1 % of its
degrees of freedom, and its vibrations are too few to be a bath for each other."""

DEFAULT_MOST_RUNS = 500
"""Beyond that the runs of the default become longer, not more."""


def is_open(atoms: Atoms) -> bool:
    """Whether a structure is periodic in no direction."""
    return not atoms.pbc.any()


def has_few_atoms(atoms: Atoms) -> bool:
    """Whether a structure is a molecule or a small cluster: open, with 2 to 100 atoms."""
    return is_open(atoms) and 1 < len(atoms) <= FEW_ATOMS


def chosen(settings: MDSettings, atoms: Atoms, tell: bool = True) -> MDSettings:
    """The settings with what they leave open, and a word in the log on why.

    Parameters
    ----------
    settings : thermostat and number of runs may be None
    atoms : the start
    tell : write the log

    Raises
    ------
    InputError
        ``rotation`` is to be removed where that is not possible.
    """
    found = _chosen(settings, atoms)
    if found.rotation == "remove":
        _check_removal(found, atoms)
    if tell:
        _tell(settings, found, atoms)
    return found


def _chosen(settings: MDSettings, atoms: Atoms) -> MDSettings:
    few = has_few_atoms(atoms)
    if settings.n_runs:
        return replace(settings, thermostat="none")
    if settings.thermostat is not None:
        return replace(settings, n_runs=0)
    if settings.n_runs == 0:
        return replace(settings, thermostat="langevin" if few else "bussi")
    if not few:
        return replace(settings, thermostat="bussi", n_runs=0)
    length = shortest_run(settings)
    n_runs = int(settings.picoseconds / length + 1e-9)
    if not n_runs:
        return replace(settings, thermostat="none", n_runs=1)
    if n_runs > DEFAULT_MOST_RUNS:
        return replace(settings, thermostat="none", n_runs=DEFAULT_MOST_RUNS)
    # each run has this length, however many there are: so a longer series resumes a shorter one
    return replace(settings, thermostat="none", n_runs=n_runs, picoseconds=n_runs * length)


def shortest_run(settings: MDSettings) -> float:
    """Length of a run, ps, that gives the default resolution of spectra."""
    spacing = settings.timestep * settings.stride
    try:
        plan = plan_spectrum(InfraredOptions(), spacing)
    except InputError:
        expected = "closer ones (--stride, --timestep): bonds with hydrogen need a few fs"
        raise InputError(
            "molecular dynamics", "frames", f"{spacing:g} fs apart", expected
        ) from None
    return 1e-3 * (plan.needed - 1) * plan.spacing


def _check_removal(settings: MDSettings, atoms: Atoms) -> None:
    reason = None
    if not is_open(atoms):
        reason = "a periodic structure, which does not turn"
    elif atoms.constraints and not _holds_the_centre_only(atoms):
        reason = "constraints, which do not let it turn freely"
    elif settings.thermostat == "langevin":
        reason = "the thermostat langevin, whose noise turns it"
    elif getattr(atoms.calc, "efield", None) is not None:
        reason = "an electric field, which turns it"
    if reason is not None:
        raise InputError("molecular dynamics", "rotation", f"remove, and {reason}", "keep")


def _holds_the_centre_only(atoms: Atoms) -> bool:
    return all(type(constraint).__name__ == "FixCom" for constraint in atoms.constraints)


def _tell(given: MDSettings, found: MDSettings, atoms: Atoms) -> None:
    if found.n_runs:
        if not given.n_runs:
            log.info("%d atoms in open space are no bath for each other: an ensemble", len(atoms))
        log.info(
            "%d runs of %.4g ps at constant energy, from canonical starts (Langevin, %g /ps, %g K, "
            "%g ps apart, after %g ps); they tell the intensity of a band to about %.2g %%; one "
            "run instead: --thermostat, or --ensemble 0",
            found.n_runs,
            1e-3 * found.n_steps * found.timestep,
            found.sampling_friction,
            found.temperature,
            found.sampling,
            found.equilibration,
            # of a mode, each run has one energy of an exponential distribution
            100.0 / math.sqrt(found.n_runs),
        )
        length, needed = 1e-3 * found.n_steps * found.timestep, shortest_run(found)
        if found.n_runs < ENOUGH_RUNS:
            log.warning(
                "an ensemble of only %d: standard errors need %d runs or more, of at least %.3g ps "
                "each for the default resolution: --ps %.3g",
                found.n_runs,
                ENOUGH_RUNS,
                needed,
                ENOUGH_RUNS * needed,
            )
        if length < (1.0 - 1e-9) * needed:
            log.warning(
                "runs of %.3g ps are too short for spectra of the default resolution, which need "
                "%.3g ps: --resolution %.3g, or a longer --ps",
                length,
                needed,
                1.01 * InfraredOptions().resolution * needed / length,
            )
    elif has_few_atoms(atoms) and found.thermostat == "bussi":
        log.warning(
            "bussi is wrong for %d atoms in open space: one factor for all velocities gives "
            "motions without energy none, and rotation, which cannot lose any, too much, so "
            "intensities of bands may be off by a factor of three while their errors are small; "
            "leave --thermostat out for an ensemble of runs",
            len(atoms),
        )
    elif given.thermostat is None:
        log.info("thermostat %s", found.thermostat)
