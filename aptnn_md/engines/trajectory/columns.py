"""Which columns of a table are the dipole, its time and its step."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from aptnn_md.engines.trajectory.dipole_units import TIME_UNITS, spelled, unit_of
from aptnn_md.engines.trajectory.table import Table
from aptnn_md.errors import InputError

_UNIT = re.compile(r"\s*[\[({](?P<unit>[^\])}]*)[\])}]\s*$")
_COMPONENT = re.compile(r"(?P<base>.*?)[\s_.\-]*(?:(?P<axis>[xyz])|\[(?P<index>[123])\])", re.I)
_DIPOLES = re.compile(r"dip|^mu|^(tot(al)?_?)?[mdp]$|^(electric_?)?moment|polarization$", re.I)
_RATES = re.compile(r"rate|dot|deriv|current|flux|^j$|^v_?mu", re.I)


def dipole_columns(table: Table, wanted: Sequence[str], rates: bool) -> list[int]:
    """Numbers of the three columns, counted from 0.

    Parameters
    ----------
    table : with or without names
    wanted : names, or numbers counted from 1; empty: found by the names
    rates : the dipole's rate is looked for

    Raises
    ------
    InputError
        They cannot be found.
    """
    if wanted:
        return [_wanted(table, text) for text in wanted]
    n_columns = table.values.shape[1]
    candidates = _vectors(table.names)
    known = {base: vector for base, vector in candidates.items() if _is_known(base, rates)}
    if len(known) == 1:
        return next(iter(known.values()))
    if n_columns == 3:
        return [0, 1, 2]
    # one column of steps or times before the only vector
    if n_columns == 4 and not table.names and _grows(table):
        return [1, 2, 3]
    shown = ", ".join(table.names) or f"{n_columns} columns without names"
    what = "rate" if rates else "dipole"
    expected = f"--columns X Y Z, the names or numbers (from 1 on) of the {what}'s three"
    raise InputError(table.path, "columns", shown, expected)


def first_column_is_time(table: Table, chosen: Sequence[int]) -> bool:
    """Whether a table without names has one more column, which grows."""
    return not table.names and table.values.shape[1] == 4 and list(chosen) == [1, 2, 3]


def unit_of_columns(table: Table, chosen: Sequence[int], rates: bool) -> str | None:
    """Unit in the brackets of the columns' names; None where there is none.

    Raises
    ------
    InputError
        It is unknown, or not the same for all three.
    """
    if not table.names:
        return None
    brackets = {text for k in chosen if (text := bracket(table.names[k])) is not None}
    if not brackets:
        return None
    text = brackets.pop()
    name = None if brackets else unit_of(text, rates)
    if name is None:
        found = ", ".join(sorted({text, *brackets}))
        raise InputError(table.path, "unit", found, "one that is known; --units NAME says it")
    return name


def column_named(table: Table, *names: str) -> int | None:
    """Number of the first column of one of these names, without case and unit."""
    for k, name in enumerate(table.names):
        if plain(name).casefold() in names:
            return k
    return None


def time_unit(name: str) -> float | None:
    """fs of the unit in a column's name; None where it has none that is known."""
    text = bracket(name)
    return None if text is None else TIME_UNITS.get(spelled(text))


def plain(name: str) -> str:
    """A name without its unit."""
    return name if _index(name) else _UNIT.sub("", name)


def bracket(name: str) -> str | None:
    """The unit in a name; None where it has none. ``c_dip[1]`` is a component without unit."""
    found = _UNIT.search(name)
    return None if found is None or _index(name) else found["unit"].strip()


def _index(name: str) -> bool:
    found = _UNIT.search(name)
    return found is not None and found["unit"] in ("1", "2", "3")


def _wanted(table: Table, text: str) -> int:
    matches = [k for k, name in enumerate(table.names) if text in (name, plain(name))]
    if len(matches) == 1:
        return matches[0]
    n_columns = table.values.shape[1]
    if text.isdecimal() and 1 <= int(text) <= n_columns:
        return int(text) - 1
    shown = ", ".join(table.names) or "columns without names"
    expected = f"one of these names, or a number from 1 to {n_columns} ({shown})"
    raise InputError(table.path, "--columns", repr(text), expected)


def _vectors(names: Sequence[str]) -> dict[str, list[int]]:
    """Base of names -> the columns of its three components, where all three are there."""
    parts: dict[str, dict[int, int]] = {}
    for k, name in enumerate(names):
        found = _COMPONENT.fullmatch(plain(name))
        if found is not None:
            axis = "xyz".index(found["axis"].lower()) if found["axis"] else int(found["index"]) - 1
            parts.setdefault(found["base"], {}).setdefault(axis, k)
    return {
        base: [axes[0], axes[1], axes[2]] for base, axes in parts.items() if set(axes) == {0, 1, 2}
    }


def _is_known(base: str, rates: bool) -> bool:
    if rates:
        return _RATES.search(base) is not None
    return _DIPOLES.search(base) is not None and _RATES.search(base) is None


def _grows(table: Table) -> bool:
    return bool((np.diff(table.values[:, 0]) > 0.0).all())
