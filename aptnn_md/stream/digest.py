"""A digest of every frame of every array, which says to whom, what and where it belongs.

The checksum of a chunk says that its bytes are whole; the digest says that they are those of this
stream, array and frame, so that a chunk in a wrong place is seen. For the 8-byte words w₀, w₁, … of
a frame (4-byte words where the numbers are of 4 bytes), modulo 2⁶⁴,

    digest = upper 32 bits of mix(Σⱼ cⱼ fold(wⱼ) + mix(s + g n)),   cⱼ = mix(j + 1) | 1,

where fold(w) = w ^ (w >> 32), without which an even number of changed signs would cancel, n is the
frame's number counted from 0, g = 0x9E3779B97F4A7C15, s the first 8 bytes, little-endian, of the
SHA-256 of "<identity>/<array>" (the stream's attribute ``identity``), and mix the finaliser of
splitmix64 (Steele, Lea, Flood, OOPSLA 2014, doi:10.1145/2660193.2660195). A wrong frame has the
right digest by chance once in 2³².
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from aptnn_md.arrays import AnyArray

DIGEST = "digest"
"""Name of the array of the digests, (frame, array) uint32."""

_Words = npt.NDArray[np.uint64]
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class FrameDigest:
    """Digests of the frames of a stream.

    Parameters
    ----------
    identity : of the stream, different for each
    names : of the arrays, in the order of the columns of the digests
    """

    def __init__(self, identity: str, names: Sequence[str]) -> None:
        self.columns = {name: column for column, name in enumerate(names)}
        self._seeds = {name: _seed(f"{identity}/{name}") for name in names}
        self._factors: dict[int, _Words] = {}

    def of(self, name: str, values: AnyArray, start: int) -> npt.NDArray[np.uint32]:
        """(frames,) digests of the frames ``values`` (frames, ...) of an array, which are those
        from ``start`` on.
        """
        little_endian = values.dtype.newbyteorder("<")
        flat = np.ascontiguousarray(values, little_endian).reshape(len(values), -1)
        words = flat.view(f"<u{flat.dtype.itemsize}").astype(np.uint64, copy=False)
        if flat.dtype.itemsize == 8:
            words = words ^ (words >> np.uint64(32))
        numbers = np.arange(start, start + len(values), dtype=np.uint64)
        places = _mix(self._seeds[name] + numbers * _GOLDEN)
        return (_mix(words @ self._factor(words.shape[1]) + places) >> np.uint64(32)).astype("u4")

    def rows(self, arrays: Mapping[str, AnyArray], start: int) -> npt.NDArray[np.uint32]:
        """(frames, arrays) digests of frames of all arrays."""
        return np.stack([self.of(name, arrays[name], start) for name in self.columns], axis=1)

    def _factor(self, n_words: int) -> _Words:
        if n_words not in self._factors:
            self._factors[n_words] = _mix(np.arange(1, n_words + 1, dtype=np.uint64)) | np.uint64(1)
        return self._factors[n_words]


class WrittenDigests:
    """The digests that a stream holds, with which its frames are compared.

    Parameters
    ----------
    digests : how they are calculated
    chunk_frames, read_chunk : frames in a chunk of the array of digests, and what reads one
    """

    def __init__(
        self, digests: FrameDigest, chunk_frames: int, read_chunk: Callable[[int], AnyArray]
    ) -> None:
        self._digests, self._chunk_frames, self._read_chunk = digests, chunk_frames, read_chunk
        self._last: tuple[int, AnyArray] | None = None

    def first_wrong(self, name: str, values: AnyArray, start: int) -> int | None:
        """Number of the first frame that is not the one that was written.

        Parameters
        ----------
        name : of the array
        values : (frames, ...) those that were read as the frames from ``start`` on
        """
        found = self._digests.of(name, values, start)
        column, at = self._digests.columns[name], 0
        while at < len(found):
            index, first = divmod(start + at, self._chunk_frames)
            written = self._chunk(index)[first : first + len(found) - at, column]
            same = written == found[at : at + len(written)]
            if not same.all():
                return start + at + int(np.argmin(same))
            at += len(written)
        return None

    def _chunk(self, index: int) -> AnyArray:
        # chunks of data are shorter than those of digests, so the last is mostly the next
        if self._last is None or self._last[0] != index:
            self._last = index, self._read_chunk(index)
        return self._last[1]


def _mix(values: _Words) -> _Words:
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _seed(text: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little"))
