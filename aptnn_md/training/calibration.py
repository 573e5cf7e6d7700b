"""Error against spread: what the disagreement of a committee's members says of their mean.

The *factor* is the root mean square error of atoms over the root mean square of their spreads
(:func:`aptnn_md.tensors.atom_deviations`). A factor that is much the same in all bins of the spread
means that the spread, times the factor, tells the error of an atom.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from aptnn_md.arrays import FloatArray
from aptnn_md.domain import KNOWN_SPREAD, SPREAD_FACTOR
from aptnn_md.prediction.interface import TensorModel
from aptnn_md.targets import TARGETS
from aptnn_md.tensors import atom_deviations
from aptnn_md.training.dataset import LabelledFrame

N_BINS, FEWEST_ATOMS = 6, 20
"""Bins of the spread, and atoms that each has at least."""

KNOWN_QUANTILE = 0.999
"""Part of the atoms of known frames that has at most the known spread: odd ones do not count."""

_ROUNDING = 1e-9  # spread over error of members that are equal
_FRAMES = 64  # evaluated at once


@dataclass(frozen=True)
class SpreadBin:
    """Atoms with similar spreads.

    Attributes
    ----------
    spread, error : root mean squares over atoms and components, in the target's unit
    factor : error / spread; None where all members agree
    n_atoms : number of atoms
    """

    spread: float
    error: float
    factor: float | None
    n_atoms: int

    @classmethod
    def of(cls, spreads: FloatArray, errors: FloatArray) -> SpreadBin:
        """From the spread and the rms error of each atom, (n_atoms,) both."""
        spread, error = (float(np.sqrt(np.mean(values**2))) for values in (spreads, errors))
        factor = error / spread if spread > _ROUNDING * error else None
        return cls(spread, error, factor, len(spreads))


def spread_bins(spreads: FloatArray, errors: FloatArray) -> tuple[SpreadBin, ...]:
    """All atoms, and then bins of equally many atoms, from the smallest spread to the largest.

    Parameters
    ----------
    spreads, errors : of each atom, (n_atoms,), root mean squares over the components of its tensor
    """
    order = np.argsort(spreads, kind="stable")
    n_bins = max(1, min(N_BINS, len(order) // FEWEST_ATOMS))
    parts = np.array_split(order, n_bins) if n_bins > 1 else []
    return tuple(SpreadBin.of(spreads[part], errors[part]) for part in (order, *parts))


def calibration(
    model: TensorModel, training: Sequence[LabelledFrame], validation: Sequence[LabelledFrame]
) -> dict[str, Any]:
    """Entries of a committee's model card about its spread (:mod:`aptnn_md.domain`).

    Parameters
    ----------
    model : that was trained
    training, validation : frames

    Returns
    -------
    ``spread_factor``: target -> factor on validation frames, of those targets that have labels
    there; ``known_spread``: target -> symbol -> largest spread on training and validation frames,
    their quantile :data:`KNOWN_QUANTILE`. Empty of a single network and without validation frames.
    """
    if min(model.committee_sizes.values()) < 2 or not validation:
        return {}
    seen: dict[str, dict[int, list[FloatArray]]] = {target: {} for target in model.targets}
    factors: dict[str, float] = {}
    held_out: dict[str, list[tuple[FloatArray, FloatArray]]] = {t: [] for t in model.targets}
    for number, (frame, tensors) in enumerate(_evaluated(model, [*validation, *training])):
        for target, members in tensors.items():
            n_indices = len(TARGETS[target].shape)
            spreads = atom_deviations(members, n_indices)
            # of a cluster the rim has no labels: the model does not know it
            has_labels = target in frame.labels and frame.has(target)
            labelled = frame.has_label(target) if has_labels else np.ones(len(spreads), dtype=bool)
            for z in np.unique(frame.atoms.numbers[labelled]):
                of_element = labelled & (frame.atoms.numbers == z)
                seen[target].setdefault(int(z), []).append(spreads[of_element])
            if number < len(validation) and has_labels:
                difference = (members.mean(axis=0) - frame.labels[target])[labelled]
                held_out[target].append((spreads[labelled], atom_errors(difference, n_indices)))
    for target, pairs in held_out.items():
        if pairs:
            spreads, errors = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
            factor = SpreadBin.of(spreads, errors).factor
            factors |= {} if factor is None else {target: factor}
    known = {
        target: largest_spreads(of_elements) for target, of_elements in seen.items() if of_elements
    }
    return {SPREAD_FACTOR: factors, KNOWN_SPREAD: known}


def atom_errors(differences: FloatArray, n_indices: int) -> FloatArray:
    """Root mean square over the components of each atom's tensor, (n_atoms, 3, 3, ...) ->
    (n_atoms,)."""
    errors: FloatArray = np.sqrt((differences**2).mean(axis=tuple(range(-n_indices, 0))))
    return errors


def _evaluated(
    model: TensorModel, frames: Sequence[LabelledFrame]
) -> Iterator[tuple[LabelledFrame, dict[str, FloatArray]]]:
    """Frames with their tensors, few at once in memory."""
    for start in range(0, len(frames), _FRAMES):
        part = frames[start : start + _FRAMES]
        found = model.evaluate([frame.atoms for frame in part])
        yield from zip(part, found, strict=True)


def largest_spreads(of_elements: Mapping[int, Sequence[FloatArray]]) -> dict[str, float]:
    """Symbol -> largest spread of its atoms on known frames, their quantile :data:`KNOWN_QUANTILE`.

    Parameters
    ----------
    of_elements : atomic number -> spreads of its atoms, in several arrays
    """
    return {
        chemical_symbols[z]: float(np.quantile(np.concatenate(spreads), KNOWN_QUANTILE))
        for z, spreads in sorted(of_elements.items())
    }
