"""Numbers with errors, and columns of text."""

from __future__ import annotations

import math
from collections.abc import Sequence

_MOST_DIGITS = 6  # after the point


def with_error(value: float, error: float) -> str:
    """``12.3 ± 0.4``: as many digits as the error justifies; no error if it is unknown."""
    if math.isnan(value):
        return "-"
    if math.isnan(error) or error <= 0.0:
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
    # one digit of the error, two where the first one is 1 or 2
    digits = max(0, -math.floor(math.log10(error / 3.0)))
    if digits > _MOST_DIGITS:
        return f"{value:.4g} ± {error:.1g}"
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines whose columns begin below each other; rows may be short."""
    n_columns = max(map(len, rows))
    full = [row for row in rows if len(row) == n_columns]
    widths = [max(len(row[k]) for row in full) for k in range(n_columns)]
    return [
        "   ".join(
            cell.ljust(width) for cell, width in zip(row, widths[: len(row)], strict=True)
        ).rstrip()
        for row in rows
    ]
