"""Ids of trajectories: streams that watch one run have one id in their headers.

An id is random. What fixes a trajectory, potential and random numbers included, is never known
completely, and two runs from the same start must not be taken for one. So the id belongs to the
object that makes the trajectory (the dynamics of ASE, a system of i-PI), all streams of that object
share it, and a stream that is resumed keeps what its header says.
"""

from __future__ import annotations

import os
import secrets
import weakref
from pathlib import Path

from aptnn_md.errors import InputError
from aptnn_md.stream.contents import read_header

_IDS: weakref.WeakKeyDictionary[object, str] = weakref.WeakKeyDictionary()


def new_run_id() -> str:
    """An id that no other run has, 32 hexadecimal digits."""
    return secrets.token_hex(16)


def run_id_of(engine: object, resumed: str | os.PathLike[str] | None = None) -> str:
    """The id of the trajectory that an object makes, the same at every call.

    Parameters
    ----------
    engine : what makes the trajectory
    resumed : stream of the same trajectory that is continued; where it has an id and the object
        has none yet, the object takes it, so that streams which are added later share it
    """
    if engine not in _IDS:
        _IDS[engine] = _of_stream(resumed) or new_run_id()
    return _IDS[engine]


def _of_stream(path: str | os.PathLike[str] | None) -> str:
    """What the header of a stream says; empty where there is no stream that can be read."""
    if path is None:
        return ""
    try:
        return read_header(Path(path))[0].run_id
    except InputError:
        return ""  # the writer will say what is wrong
