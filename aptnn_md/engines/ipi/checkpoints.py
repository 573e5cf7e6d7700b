"""i-PI's checkpoint files, written whole or not at all.

i-PI writes its ``<checkpoint>`` and RESTART in place, so a process that is killed meanwhile
leaves a file that cannot be read. Here they are written next to their place, to the disk, and moved
there; a file of an earlier run is kept as ``#NAME#0#`` first, as i-PI does.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ipi.engine.outputs import CheckpointOutput

from aptnn_md.files import PARTIAL, sync_directory


def write_whole_checkpoints(simulation: Any) -> None:
    """Make all checkpoint outputs of a bound simulation write their files whole."""
    for output in (*simulation.outputs, simulation.chk):
        if type(output) is CheckpointOutput:
            output.write = functools.partial(_write, output, output.write)


def next_backup(path: Path) -> Path:
    """``#NAME#0#``, or with the first free number: i-PI's names for older files."""
    number = 0
    while (backup := path.with_name(f"#{path.name}#{number}#")).exists():
        number += 1
    return backup


def _write(output: Any, write: Callable[..., None], store: bool = True) -> None:
    if not output.active():
        return
    name, continued = output.filename, output._continued
    suffix = "" if output.overwrite else f"_{output.step}"
    path, partial = Path(f"{name}{suffix}"), Path(f"{name}{PARTIAL}")
    output.filename, output._continued = str(partial), True
    try:
        write(store)
    finally:
        output.filename = name
    written = Path(f"{partial}{suffix}")
    with written.open("rb") as file:
        os.fsync(file.fileno())
    if path.exists() and not (output.overwrite and continued):
        _back_up(path)
    written.replace(path)
    sync_directory(path.parent)


def _back_up(path: Path) -> None:
    """Keep a file under another name; where links are possible it has its own name throughout."""
    backup = next_backup(path)
    try:
        os.link(path, backup)
    except OSError:
        path.rename(backup)
