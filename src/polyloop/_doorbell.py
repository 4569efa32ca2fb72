"""A file descriptor that any thread can make readable, for a thread that waits for several at once."""

from __future__ import annotations

import contextlib
import os

from ._locks import Lock

__all__ = ["Doorbell"]


class Doorbell:
    """Rung by any thread, also from a signal handler; answered by the one that waits for it."""

    def __init__(self) -> None:
        # A thread must not write to a number that has been closed and means another file by now.
        self._lock = Lock()
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def fileno(self) -> int:
        """What becomes readable."""
        return self._reader

    def ring(self) -> None:
        """Make it readable. Nothing happens once it is closed."""
        # A pipe that is full was rung often, and not answered yet.
        with self._lock, contextlib.suppress(BlockingIOError):
            if self._writer >= 0:
                os.write(self._writer, b".")

    def answer(self) -> None:
        """Forget all ringing so far."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._reader, 4096)

    def forked(self) -> None:
        """This is a forked child: whoever held the lock did not come along."""
        self._lock = Lock()
        self.close()

    def close(self) -> None:
        """Give the descriptors back; harmless twice."""
        with self._lock:
            reader, self._reader = self._reader, -1
            writer, self._writer = self._writer, -1
            if writer >= 0:
                os.close(reader)
                os.close(writer)
