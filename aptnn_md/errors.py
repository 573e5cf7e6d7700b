"""The errors a user meets.

Each is one sentence that names the file or field, what was found and what was expected.
The command line prints it without a traceback.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class InputError(ValueError):
    """What the user gave cannot be used; the command line ends with exit code 2.

    Parameters
    ----------
    where : file, object or option at fault, e.g. ``"train.extxyz, frame 3"``
    field : the part of it, e.g. ``"apt"``
    found, expected : what is there, and what should be
    """

    def __init__(self, where: object, field: str, found: object, expected: object) -> None:
        self.where, self.field, self.found, self.expected = str(where), field, found, expected
        super().__init__(_in_one_line(f"{where}: {field}: found {found}, expected {expected}"))

    def __reduce__(self) -> tuple[type[InputError], tuple[str, str, str, str]]:
        """Pickled by its four parts, as it may come from another process."""
        return type(self), (self.where, self.field, str(self.found), str(self.expected))


def _in_one_line(text: str) -> str:
    """The text with line ends and other control characters, as names may hold them, escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class RunError(RuntimeError):
    """A run could not go on; the command line ends with exit code 1."""


@contextlib.contextmanager
def raised_by(who: str) -> Iterator[None]:
    """Show an exception of a user's own code, ``who``, by its type and message.

    Errors of ours and ``NotImplementedError``, by which a calculator says what it does not know,
    pass through.

    Raises
    ------
    RunError
        Anything else was raised inside; it is the cause.
    """
    try:
        yield
    except (InputError, RunError, NotImplementedError):
        raise
    except Exception as error:
        # code that is not ours may raise anything
        raise RunError(f"{who} raised {exception_text(error)}") from error


def exception_text(error: BaseException) -> str:
    """Type and message of an exception in one line."""
    message = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
