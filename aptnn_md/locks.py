"""One writer at a time: a lock on the directory that is written (stream, trail, labels' work).

The kernel gives the lock back when the process ends, however it does. File systems without such
locks (some NFS), and systems without ``flock``, do not have this protection.

Why not the package ``filelock``: it locks a file of its own, and

* asking whether somebody writes would need permission to write, make that file in a directory that
  is only read, and hold it exclusively, so that two readers take each other for a writer; here a
  reader asks with a shared lock on the directory itself, which changes nothing;
* where the file system answers ENOLCK or EOPNOTSUPP, filelock 3.12 reports the lock as taken, so
  that nothing could ever be written there, and 4.3 raises; on ENOSYS it leaves a marker file that
  outlives a killed process;
* a forked child inherits the lock and keeps it after its parent was killed (3.12 and 4.3);
* the lock of a directory follows it when it is renamed, is not copied with it, and leaves an empty
  directory empty, which is how a stream that was never begun is recognised.
"""

from __future__ import annotations

import os
import time
import weakref
from pathlib import Path
from types import TracebackType

from aptnn_md.errors import InputError

try:
    import fcntl
except ImportError:  # no flock here: a second writer goes unnoticed
    fcntl = None  # type: ignore[assignment]

_TRIES, _PAUSE = 3, 0.05


class DirectoryLock:
    """The lock of a directory for writing, held until it is released or the process ends.

    A forked child does not hold it. Also a context manager that releases it at its end.

    Parameters
    ----------
    path : directory, which must exist
    what, other, expected : what it is, who else may write it, and the way out, for the message

    Raises
    ------
    InputError
        Another writer is at work.
    OSError
        The directory cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        what: str = "stream",
        other: str = "another writer",
        expected: str = "none",
    ) -> None:
        self._descriptor: int | None = os.open(path, os.O_RDONLY)
        _held.add(self)
        if not self._acquired():
            self.release()
            raise InputError(path, what, f"{other} at work", expected)

    def release(self) -> None:
        """Let others write; nothing happens the second time."""
        descriptor, self._descriptor = self._descriptor, None
        _held.discard(self)
        if descriptor is not None:
            os.close(descriptor)

    def _acquired(self) -> bool:
        assert self._descriptor is not None
        for tries_left in reversed(range(_TRIES if fcntl is not None else 0)):
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # maybe a reader that has just asked whether there is a writer
                if not tries_left:
                    return False
                time.sleep(_PAUSE)
            except OSError:
                break  # no locks on this file system
            else:
                break
        return True

    def __enter__(self) -> DirectoryLock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


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


_held: weakref.WeakSet[DirectoryLock] = weakref.WeakSet()


def _release_in_child() -> None:
    # the lock belongs to the open file, which the child shares: closing is no unlocking
    for held in list(_held):
        held.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_release_in_child)
