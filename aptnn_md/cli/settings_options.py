"""Options of a command from the fields of a dataclass, which alone has defaults and checks.

Options that belong to no dataclass are checked by annotations, too: ``type=checked(Positive)``.
"""

from __future__ import annotations

import argparse
import dataclasses
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from aptnn_md.errors import InputError
from aptnn_md.settings import fitting

Settings = TypeVar("Settings")

_FLAGS = "flags_of_fields"
"""Among the arguments: field -> the flag of its option, for messages."""


def option_adder(
    parser: argparse.ArgumentParser | argparse._ArgumentGroup, settings: type[Any]
) -> Callable[..., argparse.Action]:
    """Return a function ``add(field, flag=None, **keywords)`` that adds the option of a field.

    Type and default are the field's; a field without default must be given, and a Boolean one is a
    switch. ``flag`` is ``--FIELD`` unless it is another one, and ``keywords`` are those of
    ``ArgumentParser.add_argument``.
    """
    hints = typing.get_type_hints(settings)
    fields = {field.name: field for field in dataclasses.fields(settings)}

    def add(name: str, flag: str | None = None, **keywords: Any) -> argparse.Action:
        field = fields[name]
        default: Any = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        own = keywords.get("type")
        kind, choices = (own, ()) if own else _type(hints[name])
        flag = flag or "--" + name.replace("_", "-")
        if kind is bool:
            keywords.setdefault("action", "store_true")
        else:
            keywords.setdefault("type", kind)
        if choices:
            keywords.setdefault("choices", choices)
        if default is dataclasses.MISSING:
            keywords.setdefault("required", True)
        else:
            keywords.setdefault("default", default)
        parser.set_defaults(**{_FLAGS: {**(parser.get_default(_FLAGS) or {}), name: flag}})
        return parser.add_argument(flag, dest=name, **keywords)

    return add


def settings_from(
    arguments: argparse.Namespace, settings: type[Settings], **changes: Any
) -> Settings:
    """Make settings from the options that :func:`option_adder` added.

    Parameters
    ----------
    arguments : of the command line
    settings : the class
    changes : fields whose values are not what stands on the command line

    Raises
    ------
    InputError
        What the settings themselves refuse; it names the option.
    """
    names = [field.name for field in dataclasses.fields(settings)]  # type: ignore[arg-type]
    given = {name: getattr(arguments, name) for name in names if hasattr(arguments, name)}
    try:
        return settings(**(given | changes))
    except InputError as error:
        flag = getattr(arguments, _FLAGS, {}).get(error.field, error.field)
        raise InputError(error.where, flag, error.found, error.expected) from error


def checked(kind: Any) -> Callable[[str], Any]:
    """The type of an option from an annotation of :mod:`aptnn_md.settings`, e.g. ``Positive``.

    The command line names the option and says what is expected where a value is something else.
    The annotation is kept as ``kind`` of the function.
    """
    plain = _type(kind)[0]

    def value_of(text: str) -> Any:
        try:
            value = plain(text)
        except (ValueError, OverflowError):
            value = text
        try:
            return fitting(value, kind, "option", "value")
        except InputError as error:
            words = f"found {text!r}, expected {error.expected}"
            raise argparse.ArgumentTypeError(words) from error

    value_of.kind = kind  # type: ignore[attr-defined]
    return value_of


def _type(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """The type of a value that is given, and its choices: of ``X`` for ``X | None``."""
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return _type(typing.get_args(hint)[0])
    if isinstance(hint, types.UnionType) or origin is typing.Union:
        (hint,) = (part for part in typing.get_args(hint) if part is not type(None))
        return _type(hint)
    if origin is typing.Literal:
        return str, typing.get_args(hint)
    assert hint in (int, float, str, bool, Path), hint
    return hint, ()
