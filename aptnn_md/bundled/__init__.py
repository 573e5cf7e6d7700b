"""Models, potential and start structure that come with the package."""

from __future__ import annotations

from pathlib import Path


def bundled_path(name: str) -> Path:
    """Path of a file that comes with the package."""
    return Path(__file__).parent / name
