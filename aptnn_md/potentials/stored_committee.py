"""The file of a committee of stored potentials: their names, and how each file must be.

``NAME.json`` holds ``"members"``, a list of ``{"file": "NAME-1.json", "sha256": ...}`` with files
in its own directory (:mod:`aptnn_md.potentials.stored`) and the digests that these give of
themselves, a card, and ``"sha256"``, the digest of all its other fields.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aptnn_md.errors import InputError
from aptnn_md.files import write_output
from aptnn_md.models.archive import content_sha256
from aptnn_md.potentials.stored import check_content, header_of, read_json

FORMAT = "aptnn_md.potential_committee"
VERSION = 1


@dataclass(frozen=True)
class StoredCommittee:
    """What the file of a committee says.

    Attributes
    ----------
    name, card : of the committee
    members : files of the potentials
    """

    name: str
    card: Mapping[str, Any]
    members: tuple[Path, ...]


def write_committee(
    path: str | os.PathLike[str],
    members: Sequence[str | os.PathLike[str]],
    card: Mapping[str, Any],
) -> None:
    """Write the file of a committee; the stored potentials are there, in the same directory.

    Raises
    ------
    InputError
        No members, one elsewhere or damaged, or a place that cannot be written to.
    """
    path = Path(path).with_suffix(".json")
    if not members:
        raise InputError(path, "members", "none", "at least one stored potential")
    for member in members:
        if Path(member).resolve().parent != path.resolve().parent:
            raise InputError(path, "members", member, f"a file in {path.parent}, beside this one")
    listed = [{"file": Path(m).name, "sha256": _digest(Path(m))} for m in members]
    header = {
        "format": FORMAT,
        "version": VERSION,
        "name": path.stem,
        "members": listed,
        "card": dict(card),
    }
    header["sha256"] = content_sha256(header)
    write_output(path, (json.dumps(header, indent=1, ensure_ascii=False) + "\n").encode())


def is_committee(path: str | os.PathLike[str]) -> bool:
    """Whether a file says that it is that of a committee; it may still be a damaged one.

    Raises
    ------
    InputError
        It cannot be read, or is no JSON.
    """
    return read_json(Path(path)).get("format") == FORMAT


def read_committee(path: str | os.PathLike[str]) -> StoredCommittee:
    """Read the file of a committee and compare the digests of its members.

    Raises
    ------
    InputError
        It is damaged, of a newer version, or names potentials that are not there or others.
    """
    path = Path(path)
    header = read_json(path)
    check_content(path, header, FORMAT, VERSION)
    members, card = header.get("members"), header.get("card")
    if not isinstance(card, dict) or not isinstance(members, list) or not members:
        raise InputError(path, "members", "none", "a list of stored potentials, and a card")
    files = []
    for number, member in enumerate(members):
        file = path.parent / _name_of(path, number, member)
        digest = _digest(file)
        if digest != member["sha256"]:
            expected = f"{member['sha256']}, as {path.name} says"
            raise InputError(file, "SHA-256 of the content", digest, expected)
        files.append(file)
    return StoredCommittee(str(header.get("name", path.stem)), card, tuple(files))


def _digest(path: Path) -> str:
    """Of all that a potential's header says; of its weights where it is of version 1."""
    header = header_of(path)
    return str(header.get("sha256", header["weights_sha256"]))


def _name_of(path: Path, number: int, member: Any) -> str:
    """The file of a member: a name in the same directory, not a path to elsewhere."""
    is_table = isinstance(member, dict) and set(member) == {"file", "sha256"}
    name = member["file"] if is_table else None
    if not isinstance(name, str) or Path(name).name != name or name in ("", ".", ".."):
        expected = '{"file": a name in the same directory, "sha256": its digest}'
        raise InputError(path, f"members[{number}]", str(member)[:80], expected)
    return name
