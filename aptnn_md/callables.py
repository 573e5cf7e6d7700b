"""Objects by name: ``package.module:callable`` with keyword arguments in JSON behind it."""

from __future__ import annotations

import importlib
import json
import re
from typing import Any

from aptnn_md.errors import InputError

_CALLABLE = re.compile(r"(?P<module>[A-Za-z_][\w.]*):(?P<name>[A-Za-z_]\w*)\s*(?P<json>\{.*\})?\s*")


def is_callable_name(text: str) -> bool:
    """Whether ``text`` has the form ``package.module:callable {...}``."""
    return _CALLABLE.fullmatch(text) is not None


def call_by_name(kind: str, text: str, expected: str) -> Any:
    """What the callable returns.

    Parameters
    ----------
    kind : what it is to be, for messages, e.g. ``"potential"``
    text : ``package.module:callable``, with keyword arguments in JSON behind it if there are any
    expected : for messages, the texts that would do

    Raises
    ------
    InputError
        Nothing of this name, or keyword arguments that are none of its.
    """
    match = _CALLABLE.fullmatch(text)
    if match is None:
        raise InputError(kind, "name", repr(text), expected)
    where = f"{kind} {text}"
    try:
        maker = getattr(importlib.import_module(match["module"]), match["name"])
    except (ImportError, AttributeError) as error:
        raise InputError(where, "callable", error, expected) from error
    keywords = json_object(where, match["json"])
    try:
        return maker(**keywords)
    except TypeError as error:
        raise InputError(where, "keyword arguments", error, f"those of {match['name']}") from error


def json_object(where: str, text: str | None) -> dict[str, Any]:
    """Keyword arguments from JSON text; none where there is no text.

    Raises
    ------
    InputError
        It is no JSON object.
    """
    try:
        keywords = json.loads(text) if text else {}
        if not isinstance(keywords, dict):
            raise ValueError(f"{type(keywords).__name__}")
    except ValueError as error:
        raise InputError(where, "keyword arguments", error, "a JSON object") from error
    return keywords
