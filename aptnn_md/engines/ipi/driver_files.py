"""Where the files of ``drivers/`` are, for i-PI's ``<pes_path>``: in a checkout or installed."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from aptnn_md.errors import InputError

DRIVERS = ("bec", "field", "potential", "stream", "tensors")
"""Names of the files, without ``aptnn_md_`` and suffix."""


def driver_file(name: str) -> Path:
    """Path of a driver file.

    Parameters
    ----------
    name : one of :data:`DRIVERS`

    Raises
    ------
    InputError
        No such driver, or the installation lacks its file.
    """
    if name not in DRIVERS:
        raise InputError("i-PI driver", "name", repr(name), f"one of {', '.join(DRIVERS)}")
    file = f"aptnn_md_{name}.py"
    in_checkout = Path(__file__).parents[3] / "drivers" / file
    if in_checkout.is_file():
        return in_checkout
    try:
        installed = [path for path in metadata.files("aptnn_md") or () if path.name == file]
    except metadata.PackageNotFoundError:
        installed = []
    for path in installed:
        located = Path(str(path.locate())).resolve()
        if located.is_file():
            return located
    raise InputError("i-PI driver", file, "no such file", "a whole installation of aptnn_md")
