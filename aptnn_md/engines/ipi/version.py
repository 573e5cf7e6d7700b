"""The version of i-PI that is needed, and a message for users of an older one."""

from __future__ import annotations

import re
from importlib import metadata

from aptnn_md.errors import RunError

OLDEST = (3, 3, 1)
"""First i-PI that holds back a soft exit while outputs are written, so that its RESTART never
is ahead of a stream."""


def require_ipi() -> str:
    """Return the version of the installed i-PI.

    Raises
    ------
    RunError
        i-PI is not installed, or too old.
    """
    needed = ".".join(map(str, OLDEST))
    try:
        version = metadata.version("ipi")
    except metadata.PackageNotFoundError:
        raise RunError(
            f'i-PI is not installed: pip install "ipi>={needed}" or "aptnn_md[ipi]"'
        ) from None
    check_version(version)
    return version


def check_version(version: str) -> None:
    """Refuse a version of i-PI that is too old.

    Raises
    ------
    RunError
        It is.
    """
    numbers = tuple(int(n) for n in re.findall(r"\d+", version)[:3])
    if numbers < OLDEST:
        needed = ".".join(map(str, OLDEST))
        raise RunError(
            f"i-PI {version} is too old: before {needed} a soft exit may write a RESTART that is "
            f'ahead of the stream; pip install "ipi>={needed}"'
        )
