"""Settings in dataclasses: types and ranges stand in the annotations and are checked here.

::

    @dataclass(frozen=True)
    class Settings:
        epochs: Annotated[int, Range(at_least=0)] = 0
        device: str = "cpu"

        def __post_init__(self) -> None:
            check_settings(self)

From Python, a file or the command line, all settings meet the same checks, and defaults stand in
the class alone (``Settings.epochs``).
"""

from __future__ import annotations

import math
import numbers
import operator
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from aptnn_md.errors import InputError

Settings = TypeVar("Settings")

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
_WORDS |= {Path: "a file name", NoneType: "nothing", dict: "a table", tuple: "a list"}


@dataclass(frozen=True)
class Range:
    """Limits of a number; infinity is refused unless ``infinite`` is set, NaN always.

    ``words`` say what is expected where they do it better than type and limits.
    """

    at_least: float | None = None
    more_than: float | None = None
    at_most: float | None = None
    less_than: float | None = None
    infinite: bool = False
    words: str = ""

    def __contains__(self, value: float) -> bool:
        tests: tuple[tuple[Callable[[Any, Any], bool], float | None], ...] = (
            (operator.ge, self.at_least),
            (operator.gt, self.more_than),
            (operator.le, self.at_most),
            (operator.lt, self.less_than),
        )
        return all(test(value, limit) for test, limit in tests if limit is not None)

    def __str__(self) -> str:
        limits = [(f.name.replace("_", " "), getattr(self, f.name)) for f in fields(self)[:4]]
        return ", ".join(f"{name} {limit:g}" for name, limit in limits if limit is not None)


@dataclass(frozen=True)
class NewName:
    """Of a path that is written: it has a last part, which ``.``, ``..`` and ``/`` have not."""

    def __contains__(self, path: Path) -> bool:
        return path.name not in ("", "..")

    def __str__(self) -> str:
        return "not . or / or .."


@dataclass(frozen=True)
class NotEmpty:
    """Of a text or a list: something is in it."""

    def __contains__(self, value: Any) -> bool:
        return bool(value.strip() if isinstance(value, str) else value)

    def __str__(self) -> str:
        return "not empty"


NewPath: TypeAlias = Annotated[Path, NewName()]
"""A file or directory to write."""

Text: TypeAlias = Annotated[str, NotEmpty()]
"""A text that is not empty."""

Positive: TypeAlias = Annotated[float, Range(more_than=0.0, words="a positive number")]
"""A positive finite number."""

AtLeastZero: TypeAlias = Annotated[float, Range(at_least=0.0, words="a number, zero or more")]
"""A finite number, zero or more."""

Count: TypeAlias = Annotated[
    int, Range(at_least=1, less_than=2**31, words="a whole number from 1 to 2^31 - 1")
]
"""A whole number, one or more."""

Seed: TypeAlias = Annotated[
    int, Range(at_least=0, less_than=2**63, words="a whole number, zero or more, below 2^63")
]
"""Of a random number generator."""


def check_settings(settings: Any, where: str = "") -> None:
    """Check every field of a dataclass against its annotation; call it in ``__post_init__``.

    Whole numbers become floats, strings paths and lists tuples where the annotation says so.
    ``where`` names the settings in messages; by default the class does.

    Raises
    ------
    InputError
        A value of another type or out of its range.
    """
    hints = get_type_hints(type(settings), include_extras=True)
    for field in fields(settings):
        value, kind = getattr(settings, field.name), hints[field.name]
        try:
            checked = _fit(value, kind)
        except (TypeError, ValueError, OverflowError) as error:
            name = where or type(settings).__name__
            raise InputError(name, field.name, repr(value), in_words(kind)) from error
        object.__setattr__(settings, field.name, checked)


def fitting(value: Any, kind: Any, where: object, name: str) -> Any:
    """One value as an annotation has it, for what is no field of a dataclass.

    Raises
    ------
    InputError
        A value of another type or out of its range.
    """
    try:
        return _fit(value, kind)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(where, name, repr(value), in_words(kind)) from error


def settings_from(
    kind: type[Settings],
    values: Mapping[str, Any],
    where: object,
    table: str = "settings",
    given: Mapping[str, Any] = MappingProxyType({}),
) -> Settings:
    """An instance of a dataclass from a table of a file or from options.

    ``table`` names the values in messages; ``given`` are fields that it must not set.

    Raises
    ------
    InputError
        Unknown or missing keys, or a value that the class refuses; the message names ``where``.
    """
    known = {f.name: f for f in fields(kind) if f.name not in given}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(known))
    if unknown:
        expected = f"keys among {', '.join(sorted(known))}"
        raise InputError(where, table, ", ".join(unknown), expected)
    for name, field in known.items():
        required = field.default is MISSING and field.default_factory is MISSING
        if required and name not in values:
            words = in_words(get_type_hints(kind, include_extras=True)[name])
            raise InputError(where, name, "nothing", words)
    try:
        return kind(**values, **given)
    except InputError as error:
        raise InputError(where, error.field, error.found, error.expected) from error


def _fit(value: Any, kind: Any, infinite: bool = False) -> Any:
    """The value as the annotation has it; an error of Python's where it does not fit."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin is Annotated:
        ranges = [note for note in arguments[1:] if isinstance(note, Range)]
        value = _fit(value, arguments[0], any(limits.infinite for limits in ranges))
        others = [note for note in arguments[1:] if isinstance(note, NewName | NotEmpty)]
        if value is not None and not all(value in note for note in (*ranges, *others)):
            raise ValueError
        return value
    if origin in (Union, UnionType):
        for option in arguments:
            with suppress(TypeError, ValueError, OverflowError):
                return _fit(value, option)
    if origin is Literal and value in arguments:
        return value
    if kind in (int, float) and isinstance(value, numbers.Real) and not isinstance(value, bool):
        number = kind(value)
        if number != value or (math.isinf(number) and not infinite):  # NaN is not equal to itself
            raise ValueError
        return number
    if kind is Path and isinstance(value, str | os.PathLike) and os.fspath(value):
        return Path(value)
    if origin in (tuple, Sequence) and isinstance(value, Sequence) and not isinstance(value, str):
        alike = origin is Sequence or arguments[1:] == (...,)
        kinds = arguments[:1] * len(value) if alike else arguments
        return tuple(_fit(item, item_kind) for item, item_kind in zip(value, kinds, strict=True))
    if origin in (Mapping, dict) and isinstance(value, Mapping):
        return {_fit(k, arguments[0]): _fit(item, arguments[1]) for k, item in value.items()}
    if isinstance(kind, type) and kind not in (int, float, Path) and isinstance(value, kind):
        return value
    raise TypeError


def in_words(kind: Any) -> str:
    """What an annotation asks for, in words."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        spoken = [note.words for note in arguments[1:] if isinstance(note, Range) and note.words]
        return (
            spoken[0] if spoken else ", ".join([in_words(arguments[0]), *map(str, arguments[1:])])
        )
    if origin in (Union, UnionType):
        return " or ".join(in_words(option) for option in arguments if option is not NoneType)
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    plain = {Mapping: dict, Sequence: tuple}.get(origin, origin or kind)
    return _WORDS.get(plain, getattr(plain, "__name__", str(plain)))
