"""Where things are in a checkout."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
HELPERS = TESTS / "helpers"
DATA = TESTS / "data"
DRIVERS = ROOT / "drivers"
EXAMPLES = ROOT / "examples"
