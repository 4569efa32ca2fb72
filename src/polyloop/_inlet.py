"""Takes what comes over a line, frame by frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._codec import BrokenFrame, Decoder, Frame

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

__all__ = ["READ_BYTES", "Inlet"]

# Read at once. A guess: as much as a socket's buffer holds, or more.
READ_BYTES = 1 << 18


class Inlet:
    """One end of a line, for whoever reads it.

    Args:
        sock: That end.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._decoder = Decoder()
        # The same for all that is read: memory of that size comes from the system each time, page by page.
        self._buffer = memoryview(bytearray(READ_BYTES))

    def read(self, take: Callable[[Frame], object]) -> int | None:
        """Take some of what has arrived.

        Args:
            take: Called with each frame that is whole by now.

        Returns:
            How many bytes that were: 0 when the other end is gone, and None when nothing has arrived.

        Raises:
            BrokenFrame: That is no frame. What came before it has been taken.
        """
        try:
            size = self._sock.recv_into(self._buffer)
        except BlockingIOError:
            return None
        except OSError:
            return 0  # what was sent before that has been read by now
        try:
            frames = self._decoder.feed(self._buffer[:size])
        except BrokenFrame as error:
            for frame in error.frames:  # outcomes, perhaps, of calls that would be lost otherwise
                take(frame)
            raise
        for frame in frames:
            take(frame)
        return size
