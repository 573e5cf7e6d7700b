"""Several names in one text, and what follows a name: a path that exists wins over any separator.

Lists of models and streams have commas between their names, a run of a comparison ends with
``@ESTIMATOR``, ASE's ``file@index`` names a structure. Files may have the same signs in their
names, so whatever splits a text that may hold a path does it here. i-PI's ``<parameters>`` hold no
commas; there ``;`` stands for one.
"""

from __future__ import annotations

import re
from pathlib import Path

SEPARATORS = ",;"
"""What stands between names."""

_OPENING, _CLOSING = "([{", ")]}"
_QUOTED = re.compile(r"\"(\\.|[^\"\\])*\"|'[^']*'")


def split_names(text: str) -> list[str]:
    """Names with commas or semicolons between, without blanks around them; empty ones are left out.

    Separators count as part of a name where the longest text up to another one is a path that
    exists, between quotes, and in brackets, as in ``module:callable {"a": 1, "b": 2},model.pt``.
    """
    pieces = _pieces(text)
    names = []
    start = 0
    while start < len(pieces):
        for end in range(len(pieces), start, -1):
            name = text[pieces[start][0] : pieces[end - 1][1]].strip()
            if end == start + 1 or (name and Path(name).exists()):
                break
        names.append(name)
        start = end
    return [name for name in names if name]


def split_run(text: str) -> tuple[list[str], str]:
    """Names, and what follows them after an ``@``: ``a.zarr,b.zarr@bead``; empty without one.

    An ``@`` is part of a name where the names exist with it, or the last one does.
    """
    names = split_names(text)
    base, at, suffix = text.rpartition("@")
    if not at or not names or all(Path(name).exists() for name in names):
        return names, ""
    shorter = split_names(base)
    if Path(names[-1]).exists() and not all(Path(name).exists() for name in shorter):
        return names, ""
    return (shorter, suffix.strip()) if shorter else (names, "")


def split_suffix(text: str) -> tuple[str, str]:
    """A path and what follows it after an ``@``; empty where the text is a path or has none."""
    base, at, suffix = text.rpartition("@")
    if not at or Path(text).exists() or not Path(base).exists():
        return text, ""
    return base, suffix


def _pieces(text: str) -> list[tuple[int, int]]:
    """Begin and end of what is between separators, those in quotes and brackets aside."""
    quoted = [(match.start(), match.end()) for match in _QUOTED.finditer(text)]
    pieces, begin, depth = [], 0, 0
    for k, sign in enumerate(text):
        if any(first <= k < last for first, last in quoted):
            continue
        depth += (sign in _OPENING) - (sign in _CLOSING)
        if sign in SEPARATORS and depth <= 0:
            pieces.append((begin, k))
            begin = k + 1
    return [*pieces, (begin, len(text))]
