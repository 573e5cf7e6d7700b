"""JSON that every program reads: numbers that are not finite are null."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def json_text(facts: Any) -> str:
    """Facts as JSON; what is neither number, text, list nor table is written as text."""
    return json.dumps(_strict(facts), indent=2, default=str, allow_nan=False)


def _strict(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return value
