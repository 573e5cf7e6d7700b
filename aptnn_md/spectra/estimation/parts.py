"""A spectrum in parts: groups alone, cross terms between them, what is within and between.

With Ṁ = Σ_g Ṁ_g the spectrum is the sum of the groups' own ones and of the cross terms
⟨Ṁ_g(0)·Ṁ_h(t)⟩ + ⟨Ṁ_h(0)·Ṁ_g(t)⟩, which may be negative. The same holds for ȧ and Raman spectra.

* Up to :data:`MAX_PAIRED` groups: each group alone, and each pair (``("O", "H")``).
* Up to :data:`MAX_GROUPS` groups: each group alone, and all pairs together
  (:data:`BETWEEN`).
* More: all groups alone together (:data:`WITHIN`) and all pairs together.
* Groups that are molecules (``H2O-1``, ``H2O-2``, ...), on request: the intramolecular part of each
  kind, which is the sum over its molecules alone, and all pairs of molecules together
  (:data:`INTERMOLECULAR`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from aptnn_md.errors import InputError
from aptnn_md.spectra.estimation.terms import Alone, Auto, Part, Term, group_terms, total

MAX_PAIRED, MAX_GROUPS = 8, 32
WITHIN, BETWEEN = "within groups", "between groups"
INTRAMOLECULAR, INTERMOLECULAR = "intramolecular", "intermolecular"

_MOLECULE = re.compile(r"(?P<kind>.+)-\d+")


def part_terms(
    n_groups: int, group_labels: Sequence[str] = (), molecules: bool = False
) -> dict[Part, Term]:
    """What must be computed for the parts; only the total if there are no labels.

    Parameters
    ----------
    molecules : the labels are those of molecules: intramolecular and intermolecular parts

    Raises
    ------
    InputError
        Labels that are not those of molecules.
    """
    terms = total(n_groups)
    if molecules:
        return terms | _molecular(group_labels)
    if not group_labels or n_groups < 2:
        return terms
    if n_groups <= MAX_PAIRED:
        return group_terms(group_labels)
    if n_groups <= MAX_GROUPS:
        unit = np.eye(n_groups)
        return terms | {label: Auto(unit[k]) for k, label in enumerate(group_labels)}
    return terms | {WITHIN: Alone(np.ones(n_groups))}


def is_cross(part: Part) -> bool:
    """Whether a part is a cross term of groups."""
    return part in (BETWEEN, INTERMOLECULAR) or (isinstance(part, tuple) and len(part) == 2)


def part_name(part: Part) -> str:
    """Name of a part in reports, tables and files, e.g. ``"O × H"``; of the whole, ``""``."""
    return part if isinstance(part, str) else " × ".join(part)


def _molecular(labels: Sequence[str]) -> dict[Part, Term]:
    """The molecules of each kind alone."""
    matches = [_MOLECULE.fullmatch(label) for label in labels]
    wrong = [label for label, match in zip(labels, matches, strict=True) if match is None]
    if wrong or len(labels) < 2:
        found = repr(wrong[0]) if wrong else f"{len(labels)} group(s)"
        expected = "molecules, H2O-1, H2O-2, ...: a stream made with --groups molecule"
        raise InputError("spectrum", "groups", found, expected)
    kinds = [match["kind"] for match in matches if match is not None]
    return {
        f"{kind} {INTRAMOLECULAR}": Alone(np.array([float(k == kind) for k in kinds]))
        for kind in dict.fromkeys(kinds)
    }
