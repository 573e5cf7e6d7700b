"""Checks for what users add: networks, models, engines and electronic-structure programs.

Each is one function that raises an ``AssertionError`` which says what is wrong, to be called from
a test; the package's own tests call the same ones.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

_HOME = {
    "LabelTolerances": "aptnn_md.testing.labels",
    "assert_equivariant": "aptnn_md.testing.equivariance",
    "check_engine": "aptnn_md.testing.engines",
    "check_label_engine": "aptnn_md.testing.labels",
    "check_tensor_model": "aptnn_md.testing.models",
}

__all__ = [
    "LabelTolerances",
    "assert_equivariant",
    "check_engine",
    "check_label_engine",
    "check_tensor_model",
]

if TYPE_CHECKING:
    from aptnn_md.testing.engines import check_engine
    from aptnn_md.testing.equivariance import assert_equivariant
    from aptnn_md.testing.labels import LabelTolerances, check_label_engine
    from aptnn_md.testing.models import check_tensor_model


def __getattr__(name: str) -> object:
    # torch is imported only by checks that need it
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
