"""Whether streams are runs of one system under the same conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from aptnn_md.errors import InputError
from aptnn_md.stream import StreamHeader

_SAME_CONSTANT, _SAME_MEAN = 1e-4, 0.05

_HOW_TO_GIVE = {
    "temperature": "one: --temperature K",
    "volume": "one, as in {}: either all are of systems with a volume, or none; --volume A3 gives "
    "one to all",
}
"""What to do where a stream does not say a condition."""


@dataclass(frozen=True)
class Condition:
    """Temperature or volume of one run.

    Attributes
    ----------
    name : of the run
    value : K or Å³; None where the stream does not say it
    constant : it was set, not measured
    n_frames : over which it holds
    """

    name: str
    value: float | None
    constant: bool
    n_frames: int


def check_same_system(headers: Mapping[Path, StreamHeader]) -> None:
    """Refuse streams that are not runs of one system in one way.

    Parameters
    ----------
    headers : path -> header of each stream

    Raises
    ------
    InputError
        Time step, stride, groups, estimators, beads, system or model differ. Temperatures and
        volumes are compared where they are used, because the caller may give them.
    """
    (first, header), *others = headers.items()
    header = replace(header, temperature=None, volume=None)
    for path, other in others:
        header.check_same_run(path, other, f"in {first}")


def check_different(paths: Sequence[Path]) -> None:
    """Refuse a stream that is given twice: it would count as two independent runs.

    Raises
    ------
    InputError
        One is given twice.
    """
    seen: dict[Path, Path] = {}
    for path in paths:
        place = path.resolve()
        if place in seen:
            raise InputError(
                path, "stream", f"the same as {seen[place]}", "independent runs, each once"
            )
        seen[place] = path


def of_each_stream(
    field: str, given: float | None, found: Sequence[Condition], *, mix: bool = False
) -> tuple[float, ...]:
    """Temperature or volume of each run.

    Parameters
    ----------
    field : its name
    given : by the caller, for all runs; None to take what the streams say
    found : what the streams say
    mix : accept runs under different conditions; each counts with its own value

    Raises
    ------
    InputError
        A stream does not say it, or they differ.
    """
    if given is not None:
        return (given,) * len(found)
    values: list[float] = []
    known = next((one.name for one in found if one.value is not None), "")
    for one in found:
        if one.value is None:
            expected = _HOW_TO_GIVE[field].format(known)
            raise InputError(one.name, field, "none in the stream", expected)
        values.append(one.value)
        tolerance = _SAME_CONSTANT if one.constant else _SAME_MEAN
        if not mix and abs(one.value - values[0]) > tolerance * abs(values[0]):
            expected = (
                f"{values[0]:.6g}, as in {found[0].name}; --{field} gives one for all, "
                "--mix-conditions lets each count with its own"
            )
            raise InputError(one.name, field, f"{one.value:.6g}", expected)
    if mix:
        return tuple(values)
    lengths = [max(one.n_frames, 1) for one in found]
    return (float(np.average(values, weights=lengths)),) * len(found)
