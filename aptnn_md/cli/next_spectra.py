"""What to type next, after a run that wrote streams."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def print_next_spectra(streams: Sequence[Path]) -> None:
    """Print the commands that make spectra of finished streams."""
    from aptnn_md.stream import StreamReader
    from aptnn_md.stream.ensemble import stream_paths

    names = " ".join(map(str, streams))
    print(f"spectrum: aptnn-md spectrum ir {names} --out ir.csv --plot ir.png")
    arrays = StreamReader(stream_paths(streams)[0]).arrays
    if any(name.startswith("polarizability") for name in arrays):
        print(f"spectrum: aptnn-md spectrum raman {names} --out raman.csv --plot raman.png")
