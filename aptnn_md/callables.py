"""Objects by name: ``package.module:callable``, then keyword arguments if there are any.

Keyword arguments are words ``key=value`` with blanks between, or one JSON object:

    ase.calculators.lj:LennardJones sigma=3.4 epsilon=0.01
    ase.calculators.lj:LennardJones {"sigma": 3.4, "epsilon": 0.01}

A value of the first form is JSON where it can be (``3.4``, ``true``, ``[1,2]``), ``True``,
``False`` or ``None``, and otherwise a text; quotes hold blanks together. i-PI's ``<parameters>``
keep this form as it is, but for commas, for which ``;`` stands in brackets: ``k_points=[2;2;2]``.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from typing import Any

from aptnn_md.errors import InputError, RunError

_WORD = r"[A-Za-z_]\w*=(?:\"[^\"]*\"|'[^']*'|[^\s\"'])*"
_CALLABLE = re.compile(
    r"(?P<module>[A-Za-z_][\w.]*):(?P<name>[A-Za-z_]\w*(\.[A-Za-z_]\w*)*)"
    rf"(?P<keywords>\s*\{{.*\}}|(?:\s+{_WORD})+)?\s*",
    re.DOTALL,
)
_CONSTANTS = {"True": True, "False": False, "None": None}

_UNEXPECTED = re.compile(r"unexpected keyword argument '(?P<name>\w+)'")


def is_callable_name(text: str) -> bool:
    """Whether ``text`` has the form ``package.module:callable ...``; see the module."""
    return _CALLABLE.fullmatch(text) is not None


def call_by_name(kind: str, text: str, expected: str) -> Any:
    """Return what a callable returns that is named by a text.

    The module may be installed or lie in the working directory, which can be imported from as long
    as the callable runs.

    Parameters
    ----------
    kind : what it is to be, for messages, e.g. ``"potential"``
    text : ``package.module:callable``, where the callable may be an attribute of a class
        (``module:Class.method``), followed by keyword arguments if there are any
    expected : for messages, the texts that would do

    Raises
    ------
    InputError
        Nothing has this name, or the keyword arguments are not those of the callable.
    RunError
        The user's module or callable raised an error of its own.
    """
    match = _CALLABLE.fullmatch(text)
    if match is None:
        raise InputError(kind, "name", repr(text), expected)
    where = f"{kind} {text}"
    keywords = keyword_arguments(where, match["keywords"])
    with working_directory_importable():
        maker = _resolved(where, match["module"], match["name"], expected)
        _check_keywords(where, maker, keywords, match["name"])
        with _blamed_on_the_user(where):
            try:
                return maker(**keywords)
            except TypeError as error:
                # one that takes any keyword and hands it on
                refused = _UNEXPECTED.search(str(error))
                if refused is None or refused["name"] not in keywords:
                    raise
                expected = f"those of {match['name']}"
                raise InputError(where, "keyword arguments", error, expected) from error


@contextlib.contextmanager
def working_directory_importable() -> Iterator[None]:
    """Import from the working directory, too; it comes last, so that it hides nothing."""
    directory = os.getcwd()
    if directory in sys.path:
        yield
        return
    sys.path.append(directory)
    try:
        yield
    finally:
        # once, and only ours: what was imported may have changed the list
        with contextlib.suppress(ValueError):
            sys.path.remove(directory)


def keyword_arguments(where: str, text: str | None) -> dict[str, Any]:
    """Keyword arguments from words ``key=value`` or a JSON object; none where there is no text.

    Raises
    ------
    InputError
        It is neither.
    """
    expected = 'words key=value with blanks between, or a JSON object {"key": value, ...}'
    text = (text or "").strip()
    try:
        if text.startswith(("{", "[")):
            keywords = json.loads(text)
            if not isinstance(keywords, dict):
                raise InputError(where, "keyword arguments", type(keywords).__name__, expected)
            return keywords
        pairs = [word.partition("=") for word in shlex.split(text)]
    except ValueError as error:
        raise InputError(where, "keyword arguments", error, expected) from error
    if wrong := [key + equals for key, equals, _ in pairs if not (key.isidentifier() and equals)]:
        raise InputError(where, "keyword arguments", repr(wrong[0]), expected)
    return {key: _value(value) for key, _, value in pairs}


def _value(text: str) -> Any:
    """What a word stands for."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    for candidate in (text, text.replace(";", ",")) if text[:1] in "[{" else (text,):
        with contextlib.suppress(ValueError):
            return json.loads(candidate)
    return text


def _resolved(where: str, module: str, name: str, expected: str) -> Callable[..., Any]:
    try:
        with _blamed_on_the_user(where):
            found: Any = importlib.import_module(module)
    except ImportError as error:
        raise InputError(where, "callable", error, expected) from error
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise InputError(where, "callable", error, expected) from error
    if not callable(found):
        raise InputError(where, "callable", f"{name} of type {type(found).__name__}", expected)
    return found  # type: ignore[no-any-return]


def _check_keywords(
    where: str, maker: Callable[..., Any], keywords: dict[str, Any], name: str
) -> None:
    """Compare with the signature, so that an error inside the callable is not taken for this."""
    try:
        signature = inspect.signature(maker)
    except (TypeError, ValueError):
        return  # some callables of C have none
    try:
        signature.bind(**keywords)
    except TypeError as error:
        expected = f"those of {name}{signature}"
        raise InputError(where, "keyword arguments", error, expected) from error


@contextlib.contextmanager
def _blamed_on_the_user(where: str) -> Iterator[None]:
    """Say whose error it is that the user's own code raises."""
    try:
        yield
    except (InputError, RunError, ImportError):
        raise
    except Exception as error:  # users raise whatever they like
        message = " ".join(str(error).split())
        raise RunError(f"{where}: it raised {type(error).__name__}: {message}") from error
