"""The domain of a committee: structures on which its members agree as they do on known frames.

The members of a committee were fitted to the same labels, so they agree where there were labels
and differ where there were none. The *spread* of an atom is the standard deviation of its tensor
over the members (:func:`aptnn_md.tensors.atom_deviations`). Training stores two things about it in
the model card, for each target: ``spread_factor``, by what the spread is to be multiplied to give
the error on validation frames, and ``known_spread``, for each element the largest spread on the
frames of the training. Above :data:`MARGIN` times that an atom is in an environment that the
committee has not seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import ArrayLike

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.errors import InputError
from aptnn_md.progress import log
from aptnn_md.targets import APT, TARGETS, Tensors
from aptnn_md.tensors import atom_deviations

KNOWN_SPREAD, SPREAD_FACTOR = "known_spread", "spread_factor"
"""Entries of a model card."""

SPREAD_RATIO = "spread_ratio"
"""Largest spread of an atom in units of the limit of its element: array of streams, and column of
``aptnn-md predict``."""

MARGIN = 1.5
"""Limit in units of the known spread. Of liquid water, a structure that the committee
``water-apt-committee`` was not trained on reaches 1.3; displacements by 0.1 Å reach 5 to 8, a water
molecule in the gas phase 3 and hydrogen peroxide 10."""

UNCALIBRATED = (
    "none, so that no run says where its structures are unlike those of the training; with "
    "validation frames, train --committee stores it"
)
"""What is said of a committee whose model card has no known spreads."""

UNJUDGED = "not known: the committee of the model has no calibration (info MODEL)"
"""What is said of a stream of such a committee."""

_LEAST = 1e-4  # e or Å²: a smaller limit would be one of rounding


class Domain:
    """Limits of the spread of a committee.

    Parameters
    ----------
    model : name of the committee, for messages
    known : target -> symbol of an element -> largest spread on known frames, in the target's unit

    Attributes
    ----------
    warned : whether a structure outside was said in the log; it is said once
    """

    def __init__(self, model: str, known: Mapping[str, Mapping[str, float]]) -> None:
        self.model, self.warned = model, False
        self.known = {target: dict(of_elements) for target, of_elements in known.items()}

    @classmethod
    def of_card(cls, model: str, card: Mapping[str, Any]) -> Domain | None:
        """That of a model card; None where it has none.

        Raises
        ------
        InputError
            The entry of the card is damaged.
        """
        known = card.get(KNOWN_SPREAD)
        if known is None:
            return None
        if not isinstance(known, Mapping) or not all(
            target in TARGETS and _are_spreads(of_elements) for target, of_elements in known.items()
        ):
            expected = "target -> element -> spread, a positive number"
            raise InputError(f"model {model}", KNOWN_SPREAD, str(known)[:80], expected)
        return cls(model, known)

    @classmethod
    def joined(cls, model: str, domains: list[Domain | None]) -> Domain | None:
        """That of several models of different targets."""
        there = [domain for domain in domains if domain is not None]
        known = {target: spreads for domain in there for target, spreads in domain.known.items()}
        return cls(model, known) if known else None

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
        found = [
            atom_deviations(members, len(TARGETS[target].shape)) / self.limits(target, numbers)
            for target, members in self.judged(tensors).items()
        ]
        return np.max(found, axis=0) if found else None

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


class DomainWatch:
    """Says how far the structures of a run are from what a committee knows.

    Parameters
    ----------
    domain : of the committee
    numbers : (n_atoms,) atomic numbers
    """

    def __init__(self, domain: Domain, numbers: ArrayLike) -> None:
        self.domain = domain
        self.numbers: IntArray = np.array(numbers, dtype=np.int64)

    def largest(self, tensors: Tensors, step: int | None = None) -> float | None:
        """The largest ratio of an atom, said in the log where it exceeds 1 for the first time.

        Parameters
        ----------
        tensors : target -> (n_members, ..., n_atoms, *shape)
        step : of the run, for the message
        """
        ratios = self.domain.ratios(tensors, self.numbers)
        if ratios is None:
            return None
        largest = float(ratios.max(initial=0.0))
        if largest > 1.0 and not self.domain.warned:
            self.domain.warned = True
            self._warn(tensors, int(ratios.argmax()) % len(self.numbers), step)
        return largest

    def _warn(self, tensors: Tensors, atom: int, step: int | None) -> None:
        when = "" if step is None else f" at step {step}"
        parts, above = [], "E"
        for target, members in self.domain.judged(tensors).items():
            spreads = atom_deviations(members, len(TARGETS[target].shape))
            spread = float(spreads[..., atom].max())
            limit = float(self.domain.limits(target, self.numbers)[atom])
            if spread > limit:
                title, unit = TARGETS[target].title, TARGETS[target].unit
                parts.append(f"{title} by {spread:.2g} {unit}, limit {limit:.2g} {unit}")
                above = f"{limit:.2g}" if TARGETS[target] is APT else above
        symbol = chemical_symbols[int(self.numbers[atom])]
        log.warning(
            "model %s: its networks disagree about atom %d (%s)%s (%s): they have not seen such an "
            "environment; label such frames and train with them (aptnn-md md --save-frames DIR "
            "--above %s keeps them; spread_ratio in the stream tells which they are)",
            *(self.domain.model, atom, symbol, when, "; ".join(parts), above),
        )


def _are_spreads(of_elements: Any) -> bool:
    """Whether this can be the spreads of elements."""
    return (
        isinstance(of_elements, Mapping)
        and len(of_elements) > 0
        and all(symbol in chemical_symbols[1:] for symbol in of_elements)
        and all(
            isinstance(spread, float | int) and math.isfinite(spread) and spread >= 0.0
            for spread in of_elements.values()
        )
    )
