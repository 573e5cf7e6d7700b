"""What engines do with the stream of a run that begins later than they do."""

from __future__ import annotations

from aptnn_md.stream.writer import StreamWriter


class StreamOwner:
    """Opens a stream when its run begins, and can be asked to commit and close it at any time.

    Attributes
    ----------
    writer : of the stream; None before it is open
    """

    writer: StreamWriter | None = None

    def commit(self) -> None:
        """Write all complete frames to disk; do so before a checkpoint is written by hand."""
        if self.writer is not None:
            self.writer.commit()

    def close(self) -> None:
        """Commit and release the stream."""
        if self.writer is not None:
            self.writer.close()
