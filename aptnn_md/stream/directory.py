"""The committed part of a stream on disk: create, resume after a restart, extend."""

from __future__ import annotations

import errno
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from aptnn_md.arrays import AnyArray
from aptnn_md.errors import InputError
from aptnn_md.files import PARTIAL, sync_directory, write_together, write_whole
from aptnn_md.locks import DirectoryLock
from aptnn_md.stream.contents import Contents, open_contents
from aptnn_md.stream.digest import DIGEST, FrameDigest
from aptnn_md.stream.header import StreamHeader
from aptnn_md.stream.layout import ArrayLayout, digest_layout
from aptnn_md.stream.metadata import DOCUMENT, encode, group_document, sealed
from aptnn_md.stream.reader import stream_exists
from aptnn_md.stream.store import StoredArray


class DirectoryGone(OSError):
    """The directory of a stream is no longer where it was."""


class StreamDirectory:
    """Directory of a stream, locked for one writer.

    Parameters
    ----------
    path : directory; made where there is none
    header : constants of the run
    first_step : step of the next frame; frames from there on are dropped
    durable : whether what is committed shall survive that the power fails

    Attributes
    ----------
    n_frames : number of committed frames
    last : step and time of the last of them, fs; None if there are none
    layouts : arrays of the stream; empty until the first frame says which optional ones it has

    Raises
    ------
    InputError
        See :class:`aptnn_md.stream.StreamWriter`.
    """

    def __init__(
        self, path: Path, header: StreamHeader, first_step: int | None, durable: bool = True
    ) -> None:
        self.path, self.header, self.durable = path, header, durable
        self.n_frames = 0
        self.last: tuple[int, float] | None = None
        self.layouts: dict[str, ArrayLayout] = {}
        self._attributes: dict[str, Any] = {}
        self._arrays: dict[str, StoredArray] = {}
        self._digest: FrameDigest | None = None
        # committed frames of the last chunk of each array, which is replaced as it grows
        self._tails: dict[str, AnyArray] = {}
        self._lock = lock_directory(path)
        try:
            status = path.stat()
            self._identity = status.st_dev, status.st_ino
            if stream_exists(path):
                self._reopen(first_step)
            else:
                self._create(first_step)
        except OSError as error:
            self.close()
            raise _unwritable(path, error) from error
        except BaseException:
            self.close()
            raise

    @property
    def version(self) -> int:
        """Version of the format; that of a stream that is continued stays what it is."""
        return int(self._attributes["version"])

    def extend(self, arrays: Mapping[str, AnyArray]) -> None:
        """Add frames to all arrays at once.

        Parameters
        ----------
        arrays : name -> (frames, ...), the arrays of ``layouts``

        Raises
        ------
        OSError
            They cannot be written; the stream still holds the frames of before, and no others.
        DirectoryGone
            It was moved, removed or replaced; nothing is written.
        """
        self._check_place()
        first_time = not self._arrays
        start, stop = self.n_frames, self.n_frames + len(arrays["step"])
        stored = self._arrays or self._new_arrays()
        values: dict[str, AnyArray] = dict(arrays)
        if DIGEST in stored:
            self._digest = self._digest or FrameDigest(self._attributes["identity"], [*arrays])
            values[DIGEST] = self._digest.rows(arrays, start)
        tails: dict[str, AnyArray] = {}
        chunks: dict[Path, bytes] = {}
        for name, array in stored.items():
            tail = self._tails.get(name, values[name][:0])
            whole = np.concatenate([tail, values[name]])
            chunks |= array.chunk_files(whole, start - len(tail))
            tails[name] = whole[len(whole) - stop % array.chunk_frames :].copy()
        write_together(chunks, durable=self.durable)
        self._arrays = self._with_shapes(stored, stop)
        if first_time and self.version >= 2:
            self._write_attributes({"arrays": [*arrays]})
        self.n_frames, self._tails = stop, tails
        self.last = int(arrays["step"][-1]), float(arrays["time"][-1])

    def close(self) -> None:
        """Unlock the directory."""
        self._lock.release()

    def _check_place(self) -> None:
        try:
            status = self.path.stat()
            here = (status.st_dev, status.st_ino) == self._identity
        except (FileNotFoundError, NotADirectoryError):
            here = False
        if not here or not (self.path / DOCUMENT).exists():
            text = "its directory was moved, removed or replaced during the run"
            raise DirectoryGone(errno.ESTALE, text)

    def _create(self, first_step: int | None) -> None:
        self._remove_partials()
        # in one write: a group without these attributes would not be a stream
        attributes = self.header.to_attributes() | {"first_step": first_step}
        self._write_attributes(attributes | {"identity": secrets.token_hex(8)})
        if self.durable:
            sync_directory(self.path.absolute().parent)

    def _write_attributes(self, changes: Mapping[str, Any]) -> None:
        """Change some attributes of the group."""
        attributes = {**self._attributes, **changes}
        document = group_document(attributes)
        if attributes["version"] >= 2:
            document = sealed(document)
        write_whole(self.path / DOCUMENT, encode(document), durable=self.durable)
        self._attributes = attributes

    def _new_arrays(self) -> dict[str, StoredArray]:
        """Directories for the arrays of ``layouts``, without anything that counts their frames."""
        self._remove_arrays()
        made = dict(self.layouts)
        if self.version >= 2:
            # step stays the last one: it counts what is committed
            made = {DIGEST: digest_layout(len(made)), **made}
        for name in made:
            group, _, rest = name.rpartition("/")
            if group and not (self.path / group).exists():
                (self.path / group).mkdir()
                document = sealed(group_document({}))
                content = encode(document if self.version >= 2 else group_document({}))
                write_whole(self.path / group / DOCUMENT, content, durable=self.durable)
            (self.path / group / rest).mkdir()
        return {
            name: StoredArray(self.path, layout, layout.chunk_frames, 0)
            for name, layout in made.items()
        }

    def _remove_partials(self) -> None:
        for partial in self.path.rglob(f".*{PARTIAL}"):
            partial.unlink(missing_ok=True)

    def _remove_arrays(self) -> None:
        for child in self.path.iterdir():
            if child.is_dir():
                shutil.rmtree(child)

    def _with_shapes(
        self, arrays: Mapping[str, StoredArray], n_frames: int
    ) -> dict[str, StoredArray]:
        """Write the shapes; that of ``step`` is the last to grow and the first to be cut."""
        counted = {name: replace(array, n_frames=n_frames) for name, array in arrays.items()}
        step = dict([counted["step"].shape_file(self.version)])
        others = dict(
            array.shape_file(self.version) for name, array in counted.items() if name != "step"
        )
        for files in (others, step) if n_frames > self.n_frames else (step, others):
            write_together(files, durable=self.durable)
        return counted

    def _reopen(self, first_step: int | None) -> None:
        contents = open_contents(self.path)
        header = contents.header
        if first_step is None:
            found = f"a stream of {header.formula or 'another run'}"
            raise InputError(self.path, "stream", found, "no such path, or a step to resume from")
        self.header.check_same_run(self.path, header)
        if unknown := [n for n in contents.names if n not in contents.arrays]:
            expected = "only those that this version of aptnn_md knows"
            raise InputError(self.path, "arrays", ", ".join(unknown), expected)
        self._remove_partials()
        self._attributes = dict(contents.attributes)
        restarts = [*contents.attributes.get("restarts", ()), self._restart(first_step)]
        if contents.n_frames > 0:
            self._truncate(contents, first_step)
            self.layouts = contents.layouts
            self._write_attributes({"restarts": restarts})
        else:
            planned = contents.attributes.get("first_step")
            if planned not in (None, first_step):
                expected = f"those from step {planned} to {first_step - self.header.stride}"
                raise InputError(self.path, "frames", "none", expected)
            # before the arrays go, the header must not speak of them
            self._attributes.pop("arrays", None)
            self._write_attributes({"restarts": restarts})
            self._remove_arrays()

    def _truncate(self, contents: Contents, first_step: int) -> None:
        """Drop frames from ``first_step`` on; refuse where one before it is missing."""
        n_frames = contents.n_frames
        steps = contents.read("step", 0, n_frames)
        keep, stride = int(steps.searchsorted(first_step)), self.header.stride
        if keep == 0 and steps[0] != first_step:
            expected = f"at most {first_step}, where this run begins"
            raise InputError(self.path, "first step", steps[0], expected)
        if keep > 0 and steps[keep - 1] + stride != first_step:
            found = f"{steps[keep - 1]} as the last before {first_step}"
            expected = f"{first_step - stride} (stride {stride}), else frames would be missing"
            raise InputError(self.path, "steps", found, expected)
        if keep > 0:
            self.last = int(steps[keep - 1]), float(contents.read("time", keep - 1, keep)[0])
        arrays = {name: contents.arrays[name] for name in contents.layouts}
        if contents.digest is not None:
            arrays = {DIGEST: contents.digest, **arrays}
        self._tails = {
            name: contents.read(name, keep - keep % array.chunk_frames, keep)
            for name, array in arrays.items()
        }
        self.n_frames = n_frames
        self._arrays = self._with_shapes(arrays, keep)
        self.n_frames = keep
        for array in arrays.values():
            for index in range(array.n_chunks(keep), array.n_chunks(array.n_frames)):
                array.chunk_path(index).unlink(missing_ok=True)

    def _restart(self, first_step: int) -> dict[str, Any]:
        from aptnn_md._version import __version__

        provenance = self.header.provenance
        return {
            "first_step": first_step,
            "package_version": __version__,
            "provenance": provenance,
        }


def lock_directory(path: Path) -> DirectoryLock:
    """Make and lock a directory for writing."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        return DirectoryLock(path)
    except FileExistsError:
        raise InputError(path, "stream", "a file", "a directory or nothing") from None
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(path, "stream", error.strerror or error, "a directory that can be written")
