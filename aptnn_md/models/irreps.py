"""Irreducible representations of O(3), written as in configurations: ``"1x0e+1x1e+1x2e"``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TERM = re.compile(r"(?:(?P<copies>\d+)x)?(?P<degree>\d+)(?P<parity>[eo])")


@dataclass(frozen=True)
class Irrep:
    """One irreducible representation.

    Attributes
    ----------
    degree : l
    parity : 1 (even, ``e``) or -1 (odd, ``o``) under inversion
    """

    degree: int
    parity: int

    @property
    def dim(self) -> int:
        """Components: 2 l + 1."""
        return 2 * self.degree + 1

    @property
    def natural(self) -> bool:
        """Whether the parity is that of spherical harmonics, (-1)^l."""
        return self.parity == (-1) ** self.degree

    def __str__(self) -> str:
        return f"{self.degree}{'e' if self.parity == 1 else 'o'}"


@dataclass(frozen=True)
class Irreps:
    """A direct sum of irreps, in the order of their components.

    Attributes
    ----------
    terms : (number of copies, irrep), one after the other
    """

    terms: tuple[tuple[int, Irrep], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Irreps:
        """Read ``"2x1o+1x2o"`` or ``"2x1o + 2o"``.

        Raises
        ------
        ValueError
            Another notation.
        """
        terms = []
        for part in text.split("+"):
            match = _TERM.fullmatch(part.strip())
            if match is None:
                raise ValueError(f"irreps {text!r} are not of the form 1x0e+1x1e+1x2e")
            parity = 1 if match["parity"] == "e" else -1
            terms.append((int(match["copies"] or 1), Irrep(int(match["degree"]), parity)))
        return cls(tuple(terms))

    def __iter__(self) -> Iterator[Irrep]:
        """Every copy of every irrep."""
        for copies, irrep in self.terms:
            yield from [irrep] * copies

    def __add__(self, other: Irreps) -> Irreps:
        return Irreps(self.terms + other.terms)

    @property
    def dim(self) -> int:
        """Number of components."""
        return sum(irrep.dim for irrep in self)

    @property
    def lmax(self) -> int:
        """Largest degree."""
        return max(irrep.degree for irrep in self)

    def __str__(self) -> str:
        return "+".join(f"{copies}x{irrep}" for copies, irrep in self.terms)
