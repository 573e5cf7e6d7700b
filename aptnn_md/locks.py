"""One writer at a time: a lock on the directory of a stream.

The kernel gives the lock back when the process ends, however it does. File systems without such
locks (some NFS), and systems without ``flock``, do not have this protection.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from aptnn_md.errors import InputError

try:
    import fcntl
except ImportError:  # no flock here: a second writer goes unnoticed
    fcntl = None  # type: ignore[assignment]

_TRIES, _PAUSE = 3, 0.05


def lock(path: Path) -> int:
    """Lock a directory for writing; the descriptor that holds the lock until it is closed.

    Raises
    ------
    InputError
        Another writer is at work.
    OSError
        The directory cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY)
    if fcntl is None:
        return descriptor
    for tries_left in reversed(range(_TRIES)):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # maybe a reader that has just asked whether there is a writer
            if tries_left:
                time.sleep(_PAUSE)
                continue
            os.close(descriptor)
            raise InputError(path, "stream", "another writer at work", "none") from None
        except OSError:
            pass  # no locks on this file system
        break
    return descriptor


def locked(path: Path) -> bool | None:
    """Whether a writer holds the lock of a directory; None where that cannot be known."""
    if fcntl is None:
        return None
    descriptor = os.open(path, os.O_RDONLY)
    try:
        # shared, and for a moment only: a writer that starts just now tries again
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False
