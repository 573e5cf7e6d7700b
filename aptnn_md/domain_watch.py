"""A committee's domain watched in a run: its log says what error is to be expected, and where a
structure is outside."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import ArrayLike

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.domain import Domain, ExpectedError
from aptnn_md.progress import log
from aptnn_md.targets import APT, TARGETS, Tensors
from aptnn_md.tensors import atom_deviations

_VANISHING = 1e-3  # e or Å²: no error is given as a share of a smaller size


class DomainWatch:
    """Says how far the structures of a run, of a molecule, are from what a committee knows.

    Parameters
    ----------
    domain : of the committee
    numbers : (n_atoms,) atomic numbers
    """

    def __init__(self, domain: Domain, numbers: ArrayLike) -> None:
        self.domain = domain
        self.numbers: IntArray = np.array(numbers, dtype=np.int64)
        self._key = self.numbers.tobytes()

    def largest(self, tensors: Tensors, step: int | None = None) -> float | None:
        """The largest ratio of an atom. The log says, once for these atoms, what error is expected
        of the first structure, and warns of the first structure with a ratio above 1.

        Parameters
        ----------
        tensors : target -> (n_members, ..., n_atoms, *shape)
        step : of the run, for the message
        """
        ratios = self.domain.ratios(tensors, self.numbers)
        if ratios is None:
            return None
        if self._key not in self.domain.told:
            self.domain.told.add(self._key)
            first = {target: _structure(target, members, 0) for target, members in tensors.items()}
            for target, expected in self.domain.expected_errors(first).items():
                log.info("%s: %s", self._title, in_words(target, expected))
        largest = float(ratios.max(initial=0.0))
        if largest > 1.0 and self._key not in self.domain.warned:
            self.domain.warned.add(self._key)
            self._warn(tensors, ratios, step)
        return largest

    @property
    def _title(self) -> str:
        """Of messages."""
        return f"model {self.domain.model}, {Atoms(self.numbers).get_chemical_formula()}"

    def _warn(self, tensors: Tensors, ratios: FloatArray, step: int | None) -> None:
        """Say what is above its limit, of the structure that is farthest outside."""
        number, atom = divmod(int(ratios.argmax()), len(self.numbers))
        of_structure = {
            target: _structure(target, members, number) for target, members in tensors.items()
        }
        parts, above = [], "E"
        expected = self.domain.expected_errors(of_structure)
        for target, members in self.domain.judged(of_structure).items():
            title, unit = TARGETS[target].title, TARGETS[target].unit
            spreads = atom_deviations(members, len(TARGETS[target].shape))
            limits = self.domain.limits(target, self.numbers)
            if target in expected and expected[target].ratios().max() > 1.0:
                atom = int(spreads.argmax())
                parts.append(in_words(target, expected[target]))
            elif spreads[atom] > limits[atom]:
                parts.append(
                    f"{title} by {spreads[atom]:.2g} {unit}, limit {limits[atom]:.2g} {unit}"
                )
            if TARGETS[target] is APT and parts:
                above = f"{spreads[atom] / ratios.max():.2g}"
        symbol = chemical_symbols[int(self.numbers[atom])]
        log.warning(
            "%s: its networks disagree about atom %d (%s)%s (%s): they do not know such an "
            "environment well; label such frames and train with them (aptnn-md md --save-frames "
            "DIR --above %s keeps them; spread_ratio in the stream tells which they are)",
            *(self._title, atom, symbol, "" if step is None else f" at step {step}"),
            *("; ".join(parts), above),
        )


def in_words(target: str, expected: ExpectedError) -> str:
    """The error that is expected of one structure, in words."""
    title, unit = TARGETS[target].title, TARGETS[target].unit
    error, size = float(expected.structure), float(expected.size)
    share = f", {100.0 * error / size:.2g} % of their size" if size > _VANISHING else ""
    worst = float(expected.atoms.max(initial=0.0))
    return (
        f"expected error of the {title}s {error:.2g} {unit}{share}; of one atom up to {worst:.2g}"
    )


def _structure(target: str, members: FloatArray, number: int) -> FloatArray:
    """Tensors of one of several structures, (n_members, ..., n_atoms, *shape) -> (n_members,
    n_atoms, *shape)."""
    shape = members.shape[-1 - len(TARGETS[target].shape) :]
    return members.reshape(len(members), -1, *shape)[:, number]
