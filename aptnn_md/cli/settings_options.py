"""Options of a command from the fields of a dataclass, which alone has defaults and checks."""

from __future__ import annotations

import argparse
import dataclasses
import types
import typing
from collections.abc import Callable
from typing import Any, TypeVar

Settings = TypeVar("Settings")


def option_adder(
    parser: argparse.ArgumentParser, settings: type[Any]
) -> Callable[..., argparse.Action]:
    """Return a function ``add(field, flag=None, **keywords)`` that adds the option of a field.

    Type and default are the field's; a field without default must be given, and a Boolean one is a
    switch. ``flag`` is ``--FIELD`` unless it is another one, and ``keywords`` are those of
    ``ArgumentParser.add_argument``.
    """
    hints = typing.get_type_hints(settings)
    fields = {field.name: field for field in dataclasses.fields(settings)}

    def add(name: str, flag: str | None = None, **keywords: Any) -> argparse.Action:
        default = fields[name].default
        kind = _type(hints[name])
        if kind is bool:
            keywords.setdefault("action", "store_true")
        else:
            keywords.setdefault("type", kind)
        if default is dataclasses.MISSING:
            keywords.setdefault("required", True)
        else:
            keywords.setdefault("default", default)
        return parser.add_argument(flag or "--" + name.replace("_", "-"), dest=name, **keywords)

    return add


def settings_from(arguments: argparse.Namespace, settings: type[Settings]) -> Settings:
    """Make settings from the options that :func:`option_adder` added.

    Raises
    ------
    InputError
        What the settings themselves refuse.
    """
    names = [field.name for field in dataclasses.fields(settings)]  # type: ignore[arg-type]
    given = {name: getattr(arguments, name) for name in names if hasattr(arguments, name)}
    return settings(**given)


def _type(hint: Any) -> type:
    """The type of a value that is given: ``X`` of ``X`` and of ``X | None``."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        (hint,) = (part for part in typing.get_args(hint) if part is not type(None))
    assert isinstance(hint, type)
    return hint
