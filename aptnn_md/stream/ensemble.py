"""Directories of the streams of many independent runs: an ensemble.

An ensemble is a directory with the file ``ensemble.json`` and a stream for each run,
``run-001.zarr``, ``run-002.zarr``, ... Its runs come one after the other, so all but the last one
are complete. Whatever takes streams takes such a directory in place of its complete runs
(:func:`stream_paths`); while it is written, its directory is locked.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from aptnn_md.errors import InputError
from aptnn_md.files import write_whole
from aptnn_md.locks import locked
from aptnn_md.settings import Count, check_settings
from aptnn_md.stream.contents import open_contents
from aptnn_md.stream.metadata import check_seal, encode, sealed

DOCUMENT = "ensemble.json"
FORMAT = "aptnn_md.ensemble"
VERSION = 1

_EXPECTED = "an ensemble of runs, as it was written"
_RUN = re.compile(r"run-(\d{3,})\.zarr")


@dataclass(frozen=True)
class Ensemble:
    """What ``ensemble.json`` says.

    Parameters
    ----------
    n_runs : number of runs that are planned
    n_frames : of the stream of each complete run

    Raises
    ------
    InputError
        Numbers that are not positive and whole.
    """

    n_runs: Count
    n_frames: Count

    def __post_init__(self) -> None:
        check_settings(self, "ensemble")

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Ensemble:
        """That of the directory at ``path``.

        Raises
        ------
        InputError
            There is none, or its file is damaged or of a later version.
        """
        try:
            document = json.loads((Path(path) / DOCUMENT).read_bytes().decode())
            attributes: dict[str, Any] = dict(document["attributes"])
        except OSError as error:
            raise InputError(path, DOCUMENT, error.strerror or error, _EXPECTED) from error
        except (ValueError, RecursionError, KeyError, TypeError) as error:
            raise InputError(path, DOCUMENT, f"damaged JSON ({error})", _EXPECTED) from error
        if attributes.get("format") != FORMAT:
            raise InputError(path, "format", repr(attributes.get("format")), FORMAT)
        if attributes.get("version") != VERSION:
            raise InputError(path, "format version", attributes.get("version"), VERSION)
        check_seal(path, DOCUMENT, document)
        try:
            return cls(**{field.name: attributes[field.name] for field in fields(cls)})
        except (KeyError, InputError) as error:
            raise InputError(path, DOCUMENT, error, _EXPECTED) from error

    def write(self, path: str | os.PathLike[str]) -> None:
        """Put the file into the directory at ``path``.

        Raises
        ------
        InputError
            It cannot be written.
        """
        attributes = {"format": FORMAT, "version": VERSION, **asdict(self)}
        try:
            write_whole(Path(path) / DOCUMENT, encode(sealed({"attributes": attributes})))
        except OSError as error:
            expected = "a directory that can be written"
            raise InputError(path, DOCUMENT, error.strerror or error, expected) from error


def run_path(path: str | os.PathLike[str], number: int) -> Path:
    """Stream of a run of the ensemble at ``path``; runs are counted from 1."""
    return Path(path) / f"run-{number:03d}.zarr"


def is_ensemble(path: str | os.PathLike[str]) -> bool:
    """Whether ``path`` is a directory of runs."""
    return (Path(path) / DOCUMENT).is_file()


def complete_runs(path: str | os.PathLike[str]) -> list[Path]:
    """Streams of the complete runs of an ensemble.

    Raises
    ------
    InputError
        A run is missing or damaged, or the ensemble's file is.
    """
    directory, ensemble = Path(path), Ensemble.read(path)
    begun = _begun(directory)
    if begun and open_contents(begun[-1]).n_frames < ensemble.n_frames:
        return begun[:-1]
    return begun


def stream_paths(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Paths of streams, each ensemble among them replaced by the streams of its complete runs.

    Of an ensemble without a complete run it is the stream of the first one, as far as it is.

    Raises
    ------
    InputError
        An ensemble that is damaged, or in which no run has begun.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if not is_ensemble(path):
            found.append(path)
            continue
        runs = complete_runs(path) or _begun(path)[:1]
        if not runs:
            raise InputError(path, "runs", "none yet", "one or more that have begun")
        found += runs
    return found


def being_written(path: str | os.PathLike[str]) -> bool:
    """Whether runs are being added to the ensemble at ``path``; False where it is none."""
    return is_ensemble(path) and locked(Path(path)) is True


def _begun(directory: Path) -> list[Path]:
    """Streams of all runs that have begun, in order."""
    numbers = [
        int(match.group(1))
        for child in directory.iterdir()
        if (match := _RUN.fullmatch(child.name)) and (child / "zarr.json").exists()
    ]
    for number in range(1, len(numbers) + 1):
        if number not in numbers:
            raise InputError(directory, run_path(directory, number).name, "nothing", _EXPECTED)
    return [run_path(directory, number) for number in sorted(numbers)]
