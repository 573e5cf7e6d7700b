"""A spectrum in parts: groups alone, cross terms between them, what is within and between.

With Ṁ = Σ_g Ṁ_g the spectrum is the sum of the groups' own ones and of the cross terms
⟨Ṁ_g(0)·Ṁ_h(t)⟩ + ⟨Ṁ_h(0)·Ṁ_g(t)⟩, which may be negative.

* Up to :data:`MAX_PAIRED` groups: each group alone, and each pair (``"O × H"``).
* Up to :data:`MAX_GROUPS` groups: each group alone, and all pairs together
  (:data:`BETWEEN`).
* More: all groups alone together (:data:`WITHIN`) and all pairs together. Where the groups are
  molecules these are the intramolecular and the intermolecular part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from aptnn_md.spectra.power import PowerBlocks
from aptnn_md.spectra.terms import TOTAL, Alone, Auto, Term, group_terms, pair_name, total

MAX_PAIRED, MAX_GROUPS = 8, 32
WITHIN, BETWEEN = "within groups", "between groups"


def infrared_terms(n_groups: int, group_labels: Sequence[str] = ()) -> dict[str, Term]:
    """What must be computed for the parts; the total only where there are no labels."""
    terms = total(n_groups)
    if not group_labels or n_groups < 2:
        return terms
    if n_groups <= MAX_PAIRED:
        return group_terms(group_labels)
    if n_groups <= MAX_GROUPS:
        unit = np.eye(n_groups)
        return terms | {label: Auto(unit[k]) for k, label in enumerate(group_labels)}
    return terms | {WITHIN: Alone(np.ones(n_groups))}


def decompose(
    curves: Mapping[str, PowerBlocks], group_labels: Sequence[str] = ()
) -> dict[str, PowerBlocks]:
    """Parts that add up to the total, from the curves of :func:`infrared_terms`."""
    parts = {
        name: curve.both_orders() if np.iscomplexobj(curve.values) else curve
        for name, curve in curves.items()
        if name != TOTAL
    }
    if not parts or 2 <= len(group_labels) <= MAX_PAIRED:
        return parts
    rest = curves[TOTAL]
    for part in parts.values():
        rest = rest.minus(part)
    return parts | {BETWEEN: rest}


def is_cross(name: str) -> bool:
    """Whether a part of that name is a cross term of groups."""
    return name == BETWEEN or pair_name("", "") in name
