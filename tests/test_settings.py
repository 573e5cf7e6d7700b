"""One mechanism checks types and ranges of all settings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest

from aptnn_md.errors import InputError
from aptnn_md.settings import Range, check_settings, settings_from


@dataclass(frozen=True)
class Example:
    out: Path
    epochs: Annotated[int, Range(at_least=0)] = 3
    rate: Annotated[float, Range(more_than=0.0, at_most=1.0)] = 0.5
    minutes: Annotated[float, Range(more_than=0.0, infinite=True)] = math.inf
    part: Annotated[float, Range(at_least=0.0, less_than=1.0)] | None = None
    loud: bool = False
    kind: Literal["a", "b"] = "a"
    sizes: tuple[int, ...] = (1,)
    weights: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_settings(self)


def test_values_are_taken_as_the_annotations_say() -> None:
    made = settings_from(
        Example,
        {"out": "a.pt", "rate": 1, "epochs": np.int64(4), "sizes": [2, 3], "weights": {"x": 2}},
        "a.toml",
    )
    assert made == Example(Path("a.pt"), 4, 1.0, sizes=(2, 3), weights={"x": 2.0})
    assert isinstance(made.rate, float)
    assert isinstance(made.epochs, int)
    assert made.minutes == math.inf
    assert Example.epochs == 3


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("epochs", "60", "'60', expected a whole number, at least 0"),
        ("epochs", 1.5, "a whole number"),
        ("epochs", math.inf, "inf, expected a whole number, at least 0"),
        ("rate", 10**400, "a number, more than 0"),
        ("epochs", True, "True, expected a whole number"),
        ("epochs", -1, "-1, expected a whole number, at least 0"),
        ("rate", math.nan, "a number, more than 0, at most 1"),
        ("rate", math.inf, "a number, more than 0, at most 1"),
        ("rate", 0, "more than 0"),
        ("minutes", math.nan, "more than 0"),
        ("part", 1.0, "a number, at least 0, less than 1"),
        ("part", "none", "a number"),
        ("loud", 1, "true or false"),
        ("kind", "c", "one of a, b"),
        ("sizes", 3, "a list"),
        ("sizes", "3", "a list"),
        ("sizes", [1, "2"], "a list"),
        ("weights", {"x": "heavy"}, "a table"),
        ("weights", [1.0], "a table"),
        ("out", 3, "a file name"),
        ("out", "", "a file name"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, value: Any, expected: str) -> None:
    values = {"out": "a.pt", name: value}
    with pytest.raises(InputError, match=rf"^a\.toml: {name}: found .*{expected}"):
        settings_from(Example, values, "a.toml")
    with pytest.raises(InputError, match=rf"^Example: {name}"):
        Example(**values)


def test_keys_are_known_and_complete() -> None:
    with pytest.raises(InputError, match=r"a\.toml: settings: found epoch, expected keys among e"):
        settings_from(Example, {"out": "a", "epoch": 1}, "a.toml")
    with pytest.raises(InputError, match=r"a\.toml: out: found nothing, expected a file name"):
        settings_from(Example, {}, "a.toml")
