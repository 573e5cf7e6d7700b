"""Which cases of a parametrized test run by default, among the thorough tests, or by hand only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest


def thorough_but(cases: Iterable[Any], *quick: object) -> list[Any]:
    """Mark cases for ``pytest.mark.parametrize`` as thorough, but those with a value in ``quick``.

    Raises
    ------
    AssertionError
        One of ``quick`` is the value of no case.
    """
    return _marked(cases, quick, (), (pytest.mark.thorough,))


def slow(cases: Iterable[Any], *values: object) -> list[Any]:
    """Mark the cases for ``pytest.mark.parametrize`` with a value in ``values`` as slow.

    Raises
    ------
    AssertionError
        One of ``values`` is the value of no case.
    """
    return _marked(cases, values, (pytest.mark.slow,), ())


def _marked(
    cases: Iterable[Any], values: Sequence[object], for_them: Sequence[Any], others: Sequence[Any]
) -> list[Any]:
    """Cases with the marks of those that have one of ``values``, and of the others."""
    marked, found = [], set()
    for case in cases:
        if not hasattr(case, "marks"):
            case = pytest.param(*case) if isinstance(case, tuple) else pytest.param(case)
        had = [value for value in values if _is_among(value, case.values)]
        found.update(had)
        marks = [*case.marks, *(for_them if had else others)]
        marked.append(pytest.param(*case.values, marks=marks, id=case.id))
    assert found == set(values), f"no case: {set(values) - found}"
    return marked


def _is_among(value: object, values: Iterable[object]) -> bool:
    # others may not be comparable, as arrays and structures
    return any(type(value) is type(other) and value == other for other in values)
