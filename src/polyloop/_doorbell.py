"""A file descriptor that any thread can make readable, for a thread that waits for several at once."""

from __future__ import annotations

import contextlib
import os
import threading

__all__ = ["Doorbell"]


class Doorbell:
    """Rung by any thread, also from a signal handler; answered by the one that waits for it."""

    def __init__(self) -> None:
        # A thread must not write to a number that has been closed and means another file by now. Re-entrant,
        # for a signal handler may ring in the middle of this.
        self._lock = threading.RLock()
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def fileno(self) -> int:
        """What becomes readable."""
        return self._reader

    def ring(self) -> None:
        """Make it readable. Nothing happens once it is closed."""
        # Not `with`: since Python 3.14 Ctrl-C can land between the taking of the lock and the block, and
        # nobody would let go of it. It cannot in a `for`.
        for _ in map(self._lock.acquire, (True,)):
            try:
                if self._writer >= 0:
                    os.write(self._writer, b".")
            except BlockingIOError:
                pass  # it was rung often, and not answered yet
            finally:
                self._lock.release()

    def answer(self) -> None:
        """Forget all ringing so far."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._reader, 4096)

    def forked(self) -> None:
        """This is a forked child: whoever held the lock did not come along."""
        self._lock = threading.RLock()
        self.close()

    def close(self) -> None:
        """Give the descriptors back; harmless twice."""
        with self._lock:
            reader, self._reader = self._reader, -1
            writer, self._writer = self._writer, -1
            if writer >= 0:
                os.close(reader)
                os.close(writer)
