"""Which cases of a parametrized test run by default, and which among the thorough tests only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def thorough_but(cases: Iterable[Any], *quick: object) -> list[Any]:
    """Mark cases for ``pytest.mark.parametrize`` as thorough, but those with a value in ``quick``.

    Raises
    ------
    AssertionError
        One of ``quick`` is the value of no case.
    """
    marked, found = [], set()
    for case in cases:
        if not hasattr(case, "marks"):
            case = pytest.param(*case) if isinstance(case, tuple) else pytest.param(case)
        kept = [value for value in quick if _is_among(value, case.values)]
        found.update(kept)
        marks = [*case.marks] if kept else [*case.marks, pytest.mark.thorough]
        marked.append(pytest.param(*case.values, marks=marks, id=case.id))
    assert found == set(quick), f"no case: {set(quick) - found}"
    return marked


def _is_among(value: object, values: Iterable[object]) -> bool:
    # others may not be comparable, as arrays and structures
    return any(type(value) is type(other) and value == other for other in values)
