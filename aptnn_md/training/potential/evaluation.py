"""Errors of a potential on frames with energies and forces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.data import chemical_symbols

from aptnn_md.arrays import FloatArray
from aptnn_md.potentials.interface import BatchedPotential, as_batched
from aptnn_md.training.potential.frames import EnergyFrame, energy_frames


@dataclass(frozen=True)
class ForceErrors:
    """Errors of components of forces, eV/Å.

    Attributes
    ----------
    n_atoms : whose forces are known
    rmse, mae : of components
    spread : root mean square of the labels: the RMSE of a potential without forces
    member_spread : root mean square of a committee's standard deviation; NaN without members
    """

    n_atoms: int
    rmse: float
    mae: float
    spread: float
    member_spread: float


@dataclass(frozen=True)
class PotentialErrors:
    """Errors of a potential.

    Attributes
    ----------
    n_frames : that were compared
    energy : RMSE of the energy of an atom, eV
    energy_offset : largest mean error of a composition, eV an atom: what a constant would take out
    energy_relative : RMSE of the energy of an atom, eV, less the mean error of each composition
    forces : of all atoms
    by_element : element -> errors of its forces
    """

    n_frames: int
    energy: float
    energy_offset: float
    energy_relative: float
    forces: ForceErrors
    by_element: dict[str, ForceErrors]

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def potential_errors(
    potential: BatchedPotential | BaseCalculator, frames: Sequence[Atoms | EnergyFrame]
) -> PotentialErrors:
    """Compare a potential with labels.

    Parameters
    ----------
    potential : to compare
    frames : with energies and forces; those without any are left out

    Raises
    ------
    InputError
        No labels in any frame, or an element that the potential does not know.
    """
    labelled = [frame for frame in frames if isinstance(frame, EnergyFrame)]
    labelled += energy_frames([a for a in frames if isinstance(a, Atoms)]) if not labelled else []
    results = as_batched(potential).evaluate([frame.atoms for frame in labelled])
    errors = [
        np.asarray(result["forces"]) - frame.forces
        for frame, result in zip(labelled, results, strict=True)
    ]
    numbers = np.concatenate([frame.atoms.numbers for frame in labelled])
    labels = np.concatenate([frame.forces for frame in labelled])
    spreads = np.concatenate([_member_deviations(result) for result in results])
    whole = np.concatenate(errors)
    by_element = {
        chemical_symbols[z]: _force_errors(
            whole[numbers == z], labels[numbers == z], spreads[numbers == z]
        )
        for z in sorted(set(numbers.tolist()))
    }
    energies = _energy_errors(labelled, [float(result["energy"]) for result in results])
    return PotentialErrors(
        len(labelled), *energies, _force_errors(whole, labels, spreads), by_element
    )


def _member_deviations(result: dict[str, Any]) -> FloatArray:
    members = result.get("member_forces")
    if members is None or len(members) < 2:
        return np.full(np.shape(result["forces"]), np.nan)
    deviations: FloatArray = np.asarray(members, dtype=np.float64).std(axis=0, ddof=1)
    return deviations


def _force_errors(errors: FloatArray, labels: FloatArray, deviations: FloatArray) -> ForceErrors:
    known = np.isfinite(errors).all(axis=1)
    if not known.any():
        return ForceErrors(0, math.nan, math.nan, math.nan, math.nan)
    return ForceErrors(
        int(known.sum()),
        _rms(errors[known]),
        float(np.abs(errors[known]).mean()),
        _rms(labels[known]),
        _rms(deviations[known]),
    )


def _energy_errors(
    frames: Sequence[EnergyFrame], energies: Sequence[float]
) -> tuple[float, float, float]:
    by_composition: dict[str, list[float]] = {}
    for frame, energy in zip(frames, energies, strict=True):
        if frame.has_energy:
            error = (energy - frame.energy) / len(frame.atoms)
            by_composition.setdefault(frame.composition, []).append(error)
    if not by_composition:
        return math.nan, math.nan, math.nan
    means = [float(np.mean(errors)) for errors in by_composition.values()]
    rest = [np.asarray(e) - m for e, m in zip(by_composition.values(), means, strict=True)]
    every = np.concatenate([np.asarray(errors) for errors in by_composition.values()])
    return _rms(every), max(means, key=abs), _rms(np.concatenate(rest))


def _rms(values: FloatArray) -> float:
    return float(np.sqrt((np.asarray(values) ** 2).mean()))
