"""The domain of a committee: structures on which its members agree as they do on known frames.

The members of a committee were fitted to the same labels, so they agree where there were labels
and differ where there were none. The *spread* of an atom is the standard deviation of its tensor
over the members (:func:`aptnn_md.tensors.atom_deviations`). Training stores two things about it in
the model card, for each target: ``spread_factor``, by what the spread is to be multiplied to give
the error on validation frames, and ``known_spread``, for each element the largest spread on the
frames of the training.

A structure is outside where one of three limits is exceeded: an atom's spread is above
:data:`MARGIN` times the known one, so that its environment is unlike those of the training; or its
*expected error*, the spread times the factor, is large beside the tensors of the structure, of one
atom (:data:`LARGE_ATOM_ERROR`) or of all (:data:`LARGE_ERROR`). The first finds what is unusual to
a committee of one liquid; the others find what a committee of many molecules, some of which it
knows badly, does not know well enough.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import ArrayLike

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.targets import TARGETS, Tensors
from aptnn_md.tensors import atom_deviations

KNOWN_SPREAD, SPREAD_FACTOR = "known_spread", "spread_factor"
"""Entries of a model card."""

SPREAD_RATIO = "spread_ratio"
"""Largest spread of an atom in units of its limit: array of streams, and column of ``aptnn-md
predict``."""

MARGIN = 1.5
"""Limit in units of the known spread. Of liquid water, a structure that the committee
``water-apt-committee`` was not trained on reaches 1.3; displacements by 0.1 Å reach 5 to 8, a water
molecule in the gas phase 3 and hydrogen peroxide 10."""

LARGE_ERROR, LARGE_ATOM_ERROR = 0.25, 0.5
"""Limits of the expected error of all atoms (root mean square) and of a single one, in units of
the tensors' size, the root mean square of their components. Intensities are off by about twice the
relative error. Of 100 frames of unusual molecules that a committee had not seen, these limits find
40 of the 43 that were wrong by a quarter, and 4 of the 26 that were right within 12 %
(``examples/organic_apt/errors.py``)."""

SMALLEST_SIZE = 0.1
"""e or Å²: smaller tensors, as those of alkanes, are taken to be of this size, so that an expected
error of 0.025 e is never a large one. Of N₂ the APTs vanish altogether."""

UNCALIBRATED = (
    "none, so that no run says where its structures are unlike those of the training; with "
    "validation frames, train --committee stores it"
)
"""What is said of a committee whose model card has no known spreads."""

UNJUDGED = "not known: the committee of the model has no calibration (info MODEL)"
"""What is said of a stream of such a committee."""

_LEAST = 1e-4  # e or Å²: a smaller limit would be one of rounding


@dataclass(frozen=True)
class ExpectedError:
    """What a committee's error on a structure, or on several of the same atoms, is expected to be.

    Attributes
    ----------
    atoms : (..., n_atoms), root mean squares over the components of each atom's tensor, in the
        target's unit
    size : (...,), root mean square of the components of all tensors, in the target's unit
    """

    atoms: FloatArray
    size: FloatArray

    @classmethod
    def of(cls, members: FloatArray, spreads: FloatArray, factor: float) -> ExpectedError:
        """From tensors (n_members, ..., n_atoms, *shape), the spread of each atom's (..., n_atoms),
        and error over spread."""
        mean = members.mean(axis=0)
        axes = tuple(range(spreads.ndim - 1, mean.ndim))
        return cls(factor * spreads, np.sqrt((mean**2).mean(axis=axes)))

    @property
    def structure(self) -> FloatArray:
        """(...,), root mean square over the atoms, in the target's unit."""
        found: FloatArray = np.sqrt((self.atoms**2).mean(axis=-1))
        return found

    def ratios(self) -> FloatArray:
        """(..., n_atoms), the errors of each atom and of all of them in units of their limits,
        whichever is larger."""
        size = np.maximum(self.size, SMALLEST_SIZE)
        of_structure = self.structure / (LARGE_ERROR * size)
        of_atoms = self.atoms / (LARGE_ATOM_ERROR * size[..., None])
        return np.maximum(of_atoms, of_structure[..., None])


class Domain:
    """Limits of the spread of a committee.

    Parameters
    ----------
    model : name of the committee, for messages
    known : target -> symbol of an element -> largest spread on known frames, in the target's unit
    factors : target -> error over spread; without it, no limit of the expected error

    Attributes
    ----------
    told, warned : molecules, by their atomic numbers, of which the log said the expected error, or
        that a structure is outside; of each it does so once
    """

    def __init__(
        self,
        model: str,
        known: Mapping[str, Mapping[str, float]],
        factors: Mapping[str, float] | None = None,
    ) -> None:
        self.model = model
        self.told: set[bytes] = set()
        self.warned: set[bytes] = set()
        self.known = {target: dict(of_elements) for target, of_elements in known.items()}
        self.factors = dict(factors or {})

    @classmethod
    def of_card(cls, model: str, card: Mapping[str, Any]) -> Domain | None:
        """That of a model card; None where it has none.

        Raises
        ------
        InputError
            An entry of the card is damaged.
        """
        known, factors = card.get(KNOWN_SPREAD), card.get(SPREAD_FACTOR, {})
        if known is None:
            return None
        if not isinstance(known, Mapping) or not all(
            target in TARGETS and _are_spreads(of_elements) for target, of_elements in known.items()
        ):
            expected = "target -> element -> spread, a positive number"
            raise InputError(f"model {model}", KNOWN_SPREAD, str(known)[:80], expected)
        if not isinstance(factors, Mapping) or not all(
            target in TARGETS and _is_size(factor) for target, factor in factors.items()
        ):
            expected = "target -> error over spread, a positive number"
            raise InputError(f"model {model}", SPREAD_FACTOR, str(factors)[:80], expected)
        return cls(model, known, factors)

    @classmethod
    def joined(cls, model: str, domains: list[Domain | None]) -> Domain | None:
        """That of several models of different targets."""
        there = [domain for domain in domains if domain is not None]
        known = {target: spreads for domain in there for target, spreads in domain.known.items()}
        factors = {target: factor for domain in there for target, factor in domain.factors.items()}
        return cls(model, known, factors) if known else None

    def limits(self, target: str, numbers: ArrayLike) -> FloatArray:
        """Spread of each atom (n_atoms,) above which its environment is unknown, in the target's
        unit. Elements without a known spread, which the frames did not have, get the smallest one.
        """
        known = self.known[target]
        spreads = np.full(len(chemical_symbols), min(known.values()))
        for symbol, spread in known.items():
            spreads[atomic_numbers[symbol]] = spread
        return np.maximum(MARGIN * spreads[np.asarray(numbers, dtype=np.int64)], _LEAST)

    def ratios(self, tensors: Tensors, numbers: ArrayLike) -> FloatArray | None:
        """Spread of each atom in units of its limit, the largest of all targets.

        Parameters
        ----------
        tensors : target -> (n_members, ..., n_atoms, *shape)
        numbers : (n_atoms,) atomic numbers

        Returns
        -------
        (..., n_atoms); None where no target with known spreads is of several members
        """
        found = []
        for target, members in self.judged(tensors).items():
            spreads = _spreads(target, members)
            found.append(spreads / self.limits(target, numbers))
            if target in self.factors:
                expected = ExpectedError.of(members, spreads, self.factors[target])
                found.append(expected.ratios())
        return np.max(found, axis=0) if found else None

    def expected_errors(self, tensors: Tensors) -> dict[str, ExpectedError]:
        """Errors that the spreads of ``tensors`` promise, as for :meth:`ratios`; of targets whose
        factor is known."""
        return {
            target: ExpectedError.of(members, _spreads(target, members), self.factors[target])
            for target, members in self.judged(tensors).items()
            if target in self.factors
        }

    def judged(self, tensors: Tensors) -> Tensors:
        """Of tensors those of several members with known spreads."""
        return {
            target: members
            for target, members in tensors.items()
            if target in self.known and len(members) > 1
        }

    def judges(self, committee_sizes: Mapping[str, int]) -> bool:
        """Whether :meth:`ratios` are known of a model with these numbers of members."""
        return any(committee_sizes.get(target, 1) > 1 for target in self.known)


def _spreads(target: str, members: FloatArray) -> FloatArray:
    """Of each atom, (n_members, ..., n_atoms, *shape) -> (..., n_atoms)."""
    return atom_deviations(members, len(TARGETS[target].shape))


def _are_spreads(of_elements: Any) -> bool:
    """Whether this can be the spreads of elements."""
    return (
        isinstance(of_elements, Mapping)
        and len(of_elements) > 0
        and all(symbol in chemical_symbols[1:] for symbol in of_elements)
        and all(_is_size(spread) for spread in of_elements.values())
    )


def _is_size(value: Any) -> bool:
    """Whether this can be a spread, or a factor."""
    return isinstance(value, float | int) and math.isfinite(value) and value >= 0.0
