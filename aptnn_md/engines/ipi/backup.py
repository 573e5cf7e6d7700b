"""What an earlier run left: its streams, and the sockets of an i-PI that was killed."""

from __future__ import annotations

import socket
import stat
from pathlib import Path
from typing import Any

from ipi.engine.forcefields import FFSocket

from aptnn_md.engines.ipi.checkpoints import next_backup
from aptnn_md.errors import InputError
from aptnn_md.progress import log
from aptnn_md.stream.directory import lock_directory


def set_aside(path: Path) -> None:
    """Rename the stream of an earlier run before one from step 0, as i-PI does with its own files.

    ``water.zarr`` becomes ``#water.zarr#0#``, the next one ``#water.zarr#1#``.

    Raises
    ------
    InputError
        A run is writing it.
    """
    if not path.is_dir() or not any(path.iterdir()):
        return
    with lock_directory(path):
        backup = next_backup(path)
        path.rename(backup)
    log.info("%s: the run starts from step 0; the earlier stream is now %s", path, backup)


def remove_stale_sockets(simulation: Any) -> None:
    """Remove Unix sockets on which no server listens; they would keep i-PI from starting.

    Raises
    ------
    InputError
        Another process listens there, or it is not a socket.
    """
    for forcefield in simulation.fflist.values():
        if isinstance(forcefield, FFSocket) and forcefield.socket.mode in ("unix", "shm"):
            server = forcefield.socket
            _remove_if_stale(Path(f"{server.sockets_prefix}{server.address}"), forcefield.name)


def _remove_if_stale(path: Path, name: str) -> None:
    where = f"forcefield {name}"
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise InputError(where, "address", f"{path}, which is not a socket", "another address")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            log.info(
                "%s: left by a run that was killed; no server listens there, so it is removed", path
            )
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            expected = f"another address, or no such file (rm {path})"
            raise InputError(where, "address", f"{path} ({error.strerror})", expected) from error
    found = f"{path}, where another process listens"
    raise InputError(where, "address", found, "an address of its own for each run")
