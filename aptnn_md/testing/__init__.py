"""Checks for what users add: networks, models, engines and electronic-structure programs.

Each is one function that raises an ``AssertionError`` which says what is wrong, to be called from
a test; the package's own tests call the same ones.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

_HOME = {
    "LabelTolerances": "aptnn_md.testing.labels",
    "check_label_engine": "aptnn_md.testing.labels",
}

__all__ = ["LabelTolerances", "check_label_engine"]

if TYPE_CHECKING:
    from aptnn_md.testing.labels import LabelTolerances, check_label_engine


def __getattr__(name: str) -> object:
    # torch is imported only by checks that need it
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
