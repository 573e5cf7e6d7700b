"""A local Zarr store that replaces files whole and orders metadata after data."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore, WrapperStore

from aptnn_md.files import write_whole


class OrderedStore(WrapperStore[LocalStore]):
    """Local directory store for one writer.

    Each file is written next to its place and moved there. Between :meth:`hold_metadata` and the
    end of that context array shapes are kept in memory and chunks are not deleted; then the
    shapes are written in the order that was asked for, and chunks are deleted last. So a shape
    on disk never counts a frame whose data are not there.

    (The store of zarr writes files in place before 3.1.3, and shapes before chunks in any version.)
    """

    def __init__(self, store: LocalStore) -> None:
        super().__init__(store)
        self._held: dict[str, Buffer] | None = None
        self._doomed: list[str] = []

    @contextlib.contextmanager
    def hold_metadata(self, first: str = "", last: str = "") -> Iterator[None]:
        """Write metadata only at the end of the context, that of array ``first`` before and that
        of array ``last`` after the others; nothing of it when the context fails.
        """
        self._held, self._doomed = {}, []
        try:
            yield
            held, doomed = self._held, self._doomed
        finally:
            self._held, self._doomed = None, []
        rank = {f"{first}/zarr.json": -1, f"{last}/zarr.json": 1}
        for key in sorted(held, key=lambda key: rank.get(key, 0)):
            self._write(key, held[key])
        for key in doomed:
            self._path(key).unlink(missing_ok=True)

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Bytes of a file, or None."""
        if self._held is not None and key in self._held:
            return self._held[key]
        if byte_range is not None:
            return await super().get(key, prototype, byte_range)
        # without zarr's thread pool, which is gone when the interpreter exits
        try:
            return prototype.buffer.from_bytes(self._path(key).read_bytes())
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None

    async def set(self, key: str, value: Buffer) -> None:
        """Replace a file, or hold it back."""
        if self._held is not None and key.endswith("zarr.json"):
            self._held[key] = value
        else:
            self._write(key, value)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Write a file that is not there."""
        if not self._path(key).exists():
            await self.set(key, value)

    async def delete(self, key: str) -> None:
        """Remove a file, or hold that back."""
        if self._held is not None:
            self._doomed.append(key)
        else:
            await super().delete(key)

    def _path(self, key: str) -> Path:
        return self._store.root / key

    def _write(self, key: str, value: Buffer) -> None:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, value.to_bytes(), durable=False)
