"""Groups of a stream merged into fewer and larger ones, by parts of their labels.

Labels of streams read ``H2O-12 libration``: a molecule or element, maybe with a number, and maybe
a motion. Ṁ of a merged group is the sum over its groups, so its spectrum has all their cross terms.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from aptnn_md.arrays import AnyArray, FloatArray, IntArray
from aptnn_md.errors import InputError

MERGES = ("motion", "group", "kind", "all")
"""Rules by name: keep only the motion; all but the motion; all but motion and number; nothing."""

_LABEL = re.compile(
    r"(?P<group>(?P<kind>.*?)(-\d+)?)(\s*\b(?P<motion>translation|libration|vibration))?"
)
_EXPECTED = f"{', '.join(MERGES)}, or NAME=PATTERN with * for any text, e.g. 'ions=Cl*'"


@dataclass(frozen=True)
class Merge:
    """A partition of groups.

    Attributes
    ----------
    labels : of the merged groups
    index : (n_groups,) for each old group the number of the new one
    """

    labels: tuple[str, ...]
    index: IntArray

    def __call__(self, rates: AnyArray) -> FloatArray:
        """(frames, n_groups, 3) to (frames, n_merged, 3)."""
        matrix = np.zeros((len(self.labels), len(self.index)))
        matrix[self.index, np.arange(len(self.index))] = 1.0
        return np.asarray(np.einsum("mg,fgx->fmx", matrix, rates))


def merge_groups(labels: Sequence[str], rules: Sequence[str]) -> Merge:
    """The partition that rules make of labels.

    Parameters
    ----------
    labels : of the groups of a stream
    rules : one of :data:`MERGES`, or any number of ``NAME=PATTERN``: groups are called by
        the NAME of the first rule whose shell pattern matches their label; others keep theirs

    Raises
    ------
    InputError
        A rule that is not understood or matches no label, or labels without what it keeps.
    """
    if len(rules) == 1 and rules[0] in MERGES:
        new = [_kept(label, rules[0]) for label in labels]
    else:
        new = _by_patterns(labels, rules)
    order = tuple(dict.fromkeys(new))
    number = {label: k for k, label in enumerate(order)}
    return Merge(order, np.array([number[label] for label in new], dtype=np.int64))


def _kept(label: str, rule: str) -> str:
    if rule == "all":
        return "all"
    match = _LABEL.fullmatch(label)
    kept = match.group(rule) if match else None
    if rule == "motion" and not kept:
        raise InputError("groups", "merge motion", repr(label), "labels that end with a motion")
    return kept or "all"


def _by_patterns(labels: Sequence[str], rules: Sequence[str]) -> list[str]:
    pairs = [rule.partition("=") for rule in rules]
    for rule, (name, sign, pattern) in zip(rules, pairs, strict=True):
        if not (name and sign and pattern):
            raise InputError("groups", "merge", repr(rule), _EXPECTED)
        if not any(fnmatchcase(label, pattern) for label in labels):
            shown = ", ".join(labels[:8]) + (", ..." if len(labels) > 8 else "")
            raise InputError(
                "groups",
                f"merge {rule}",
                "no group that matches",
                f"a pattern that matches one of {shown}",
            )
    return [
        next((name for name, _, pattern in pairs if fnmatchcase(label, pattern)), label)
        for label in labels
    ]
