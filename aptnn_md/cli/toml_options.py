"""Options of a command from a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aptnn_md.errors import InputError


def read_options(
    path: Path, tables: Sequence[str]
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Options at the top of a TOML file, and its tables by name, empty where it has none.

    Parameters
    ----------
    tables : names of those that it may have

    Raises
    ------
    InputError
        The file cannot be read, is no TOML, or has something else in place of a table.
    """
    try:
        options = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(path, "file", error.strerror, "a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(path, "file", str(error), "a TOML file") from error
    found = {name: options.pop(name, {}) for name in tables}
    for name, table in found.items():
        if not isinstance(table, dict):
            raise InputError(path, name, repr(table), f"a table [{name}]")
    return options, found
