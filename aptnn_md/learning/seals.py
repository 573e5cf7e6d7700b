"""Checksums of the structure files of a campaign, which have none of their own.

A digit of a position or of a label that has changed on a disk looks like any other, and models
would be trained on it. The points from which labels are made, the states and the streams guard
themselves; files of frames are compared, when a campaign is resumed, with what they were when they
were written.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from aptnn_md.errors import InputError
from aptnn_md.learning.directory import CampaignDirectory, Stage
from aptnn_md.learning.documents import read_document, write_document


class FrameSeals:
    """SHA-256 of each file of structures of a campaign, by its path in the directory.

    Parameters
    ----------
    directory : of the campaign

    Raises
    ------
    InputError
        The file with the checksums is damaged.
    """

    def __init__(self, directory: CampaignDirectory) -> None:
        self._directory = directory
        self._known: dict[str, str] = {}
        if directory.seals.exists():
            expected = "checksums of frames; remove it to take the frames as they are"
            found = read_document(directory.seals, "checksums", expected)
            self._known = {name: str(digest) for name, digest in found.items()}

    def check(self) -> None:
        """Compare what is there with what was written; files that were removed are made again.

        Raises
        ------
        InputError
            A file has changed.
        """
        files = self._files()
        for name, digest in self._known.items():
            if name in files and _digest(files[name]) != digest:
                way_out = "remove it to make it again"
                if files[name] == self._directory.start:
                    way_out = "begin again with another --out"
                expected = f"the frames that were written (restore the file, or {way_out})"
                raise InputError(files[name], "checksum", "another one", expected)
        self._keep({name: digest for name, digest in self._known.items() if name in files})

    def add(self) -> None:
        """Note files that were written since."""
        new = {n: _digest(path) for n, path in self._files().items() if n not in self._known}
        self._keep(self._known | new)

    def forget(self, stage: Stage) -> None:
        """A stage is to be made again."""
        inside = f"{stage.name}/"
        self._keep({n: digest for n, digest in self._known.items() if not n.startswith(inside)})

    def _keep(self, known: dict[str, str]) -> None:
        if known != self._known:
            self._known = dict(sorted(known.items()))
            write_document(self._directory.seals, self._known)

    def _files(self) -> dict[str, Path]:
        root = self._directory.path
        return {path.relative_to(root).as_posix(): path for path in root.glob("**/*.extxyz")}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
