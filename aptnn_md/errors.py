"""The errors a user meets.

Each is one sentence that names the file or field, what was found and what was expected.
The command line prints it without a traceback.
"""

from __future__ import annotations


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
        super().__init__(f"{where}: {field}: found {found}, expected {expected}")


class RunError(RuntimeError):
    """A run could not go on; the command line ends with exit code 1."""
