"""Which densities of a signal of many parts are computed, and what must be correlated for them.

A signal is an array (frames, n_signals, n_components): parts of Ṁ, velocities of atoms, elements
of a polarizability. The components of a term, by default all of them, are summed: ⟨x(0)·y(t)⟩.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Generic, TypeAlias, TypeVar

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError

Part: TypeAlias = str | tuple[str, ...]
"""A part of a spectrum: of a group its label, of the cross term of two groups both labels."""

TOTAL: tuple[str, ...] = ()
"""The whole signal; no label of a group can be equal to it."""

Key = TypeVar("Key", bound=Hashable)
"""Of a term; whoever asks for terms chooses their keys."""

Components: TypeAlias = tuple[int, ...] | None
"""Numbers of the components that are summed; None: all."""


@dataclass(frozen=True, eq=False)
class Auto:
    """Density of y = Σ_s w_s x_s.

    Attributes
    ----------
    weights : (n_signals,) w
    components : those that are summed
    """

    weights: FloatArray
    components: Components = None


@dataclass(frozen=True, eq=False)
class Pair:
    """Cross density ∫dt e^{-iωt} ⟨y(0)·z(t)⟩ of y = Σ_s a_s x_s and z = Σ_s b_s x_s; complex.

    Attributes
    ----------
    left, right : (n_signals,) a and b
    components : those that are summed
    """

    left: FloatArray
    right: FloatArray
    components: Components = None


@dataclass(frozen=True, eq=False)
class Alone:
    """Sum of the densities of the signals alone, Σ_s w_s S(x_s): no cross terms.

    Attributes
    ----------
    weights : (n_signals,) w, not negative
    components : those that are summed
    """

    weights: FloatArray
    components: Components = None


Term: TypeAlias = Auto | Pair | Alone


def total(n_signals: int) -> dict[Part, Term]:
    """The sum of all signals only."""
    return {TOTAL: Auto(np.ones(n_signals))}


def group_terms(labels: Sequence[str]) -> dict[Part, Term]:
    """The total, each group by its label, and each pair of groups by both labels.

    The total is the sum of the groups' densities and, for each pair, of 2 Re of its density.
    """
    unit = np.eye(len(labels))
    terms = total(len(labels))
    terms |= {label: Auto(unit[k]) for k, label in enumerate(labels)}
    for i, j in combinations(range(len(labels)), 2):
        terms[labels[i], labels[j]] = Pair(unit[i], unit[j])
    return terms


@dataclass(frozen=True, eq=False)
class Rows(Generic[Key]):
    """What is to be correlated so that all terms can be made.

    Attributes
    ----------
    mix : (n_mixed, n_signals) sums of signals that are needed
    pairs : (n_pairs, 2) which of them are correlated with which: Σ_t first(t)·second(t + τ)
    alone : (n_alone, n_signals) weights of the sums of signals alone
    components : (n_pairs + n_alone) components that are summed
    of_term : key -> its rows in the sums: those of pairs, then those of ``alone``
    """

    mix: FloatArray
    pairs: tuple[tuple[int, int], ...]
    alone: FloatArray
    components: tuple[Components, ...]
    of_term: Mapping[Key, tuple[int, ...]]

    @property
    def n_rows(self) -> int:
        """Number of correlation functions."""
        return len(self.pairs) + len(self.alone)


def rows_of(terms: Mapping[Key, Term], n_signals: int) -> Rows[Key]:
    """Correlation functions that are needed, each of them once.

    ``of_term`` holds for an :class:`Auto` its row, for an :class:`Alone` its row, and for a
    :class:`Pair` the rows of (left, right), (right, left), (left, left), (right, right).

    Raises
    ------
    InputError
        Weights are not one for each signal.
    """
    mixed: dict[bytes, int] = {}
    pairs: dict[tuple[int, int, Components], int] = {}
    vectors: list[FloatArray] = []
    alone: list[tuple[FloatArray, Components]] = []

    def checked(weights: FloatArray) -> FloatArray:
        vector = np.asarray(weights, dtype=np.float64)
        if vector.shape != (n_signals,):
            found, expected = f"weights of shape {vector.shape}", f"({n_signals},)"
            raise InputError("spectrum", "term", found, expected)
        return vector

    def index(weights: FloatArray) -> int:
        vector = checked(weights)
        number = mixed.setdefault(vector.tobytes(), len(vectors))
        if number == len(vectors):
            vectors.append(vector)
        return number

    def row(first: int, second: int, components: Components) -> int:
        return pairs.setdefault((first, second, components), len(pairs))

    of_term: dict[Key, tuple[int, ...]] = {}
    for key, term in terms.items():
        of = term.components
        if isinstance(term, Auto):
            a = index(term.weights)
            of_term[key] = (row(a, a, of),)
        elif isinstance(term, Pair):
            a, b = index(term.left), index(term.right)
            of_term[key] = (row(a, b, of), row(b, a, of), row(a, a, of), row(b, b, of))
        else:
            of_term[key] = (-1 - len(alone),)
            alone.append((checked(term.weights), of))
    of_term = {
        key: tuple(r if r >= 0 else len(pairs) - 1 - r for r in found)
        for key, found in of_term.items()
    }
    return Rows(
        np.array(vectors).reshape(-1, n_signals),
        tuple((first, second) for first, second, _ in pairs),
        np.array([weights for weights, _ in alone]).reshape(-1, n_signals),
        (*(of for _, _, of in pairs), *(of for _, of in alone)),
        of_term,
    )
