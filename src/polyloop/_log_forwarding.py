"""The worker's end of its logging: a handler that sends records to the pool, for the handlers there.

A record is on its way when the call that made it goes on: who dies of its next step has said so. But nobody
waits for a pool that does not read: so much may wait, and what comes above that is counted and dropped.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Any

from ._codec import MOST_BYTES, Kind, encode
from ._log_levels import adopt_levels
from ._log_records import pack_record

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from ._codec import Bytes
    from ._log_levels import Levels
    from ._outbox import Outbox

__all__ = ["LogForwarder"]

# Of records that the line has not taken yet. A guess: what comes after them, outcomes for instance, waits for
# no more than that.
MOST_WAITING_BYTES = 1 << 20


class LogForwarder(logging.Handler):
    """Sends the records of a worker; they may be made in any of its threads.

    Its lock is held only while a frame is put into the outbox, which never waits. What a record's arguments
    say of themselves is code of the user's, and is not called under it.

    Args:
        levels: Those of the pool's process.
        outbox: The worker's way out.
        loop: The worker's loop.
        go_on: Called there after another thread has put something into the outbox: what the loop has put in
            meanwhile was left to that thread, and is sent by now, or waits for room.
    """

    lock: Any  # there is one: see __init__

    def __init__(
        self,
        levels: Levels,
        outbox: Outbox,
        loop: asyncio.AbstractEventLoop,
        go_on: Callable[[], object],
    ) -> None:
        super().__init__()
        self._levels = levels
        self._outbox = outbox
        self._loop = loop
        self._go_on = go_on
        self._thread = 0
        # Whether the loop has been told to, and has not done so yet.
        self._is_told = False
        self._process = os.getpid()
        self._waiting_bytes = 0
        self._dropped = 0
        self._is_over = False

    def begin(self) -> None:
        """Take all records of this process, or interpreter, from now on; for the loop's thread."""
        self._thread = threading.get_ident()
        adopt_levels(self._levels, self)

    def end(self) -> None:
        """Send nothing any more, for the line is about to be closed; waits for who is sending.

        What is logged from now on goes where it goes in a process that has set up no logging.
        """
        with self.lock:
            if self._dropped:
                self._post((), 0, 0)
            self._is_over = True

    def handle(self, record: logging.LogRecord) -> bool:
        """As any handler's, without its lock."""
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record. What it raises is told as every handler tells it, and not to who logs."""
        try:
            tag, parts, size = pack_record(record)
            with self.lock:
                # Not of a child that was forked here: the line is not its own.
                is_ours = not self._is_over and os.getpid() == self._process
                if is_ours:
                    self._post(parts, tag, size)
            if not is_ours:
                _tell_without_handlers(record)
        except Exception:  # noqa: BLE001 - by the user's code: an argument that cannot be formatted
            self.handleError(record)

    def _post(self, parts: Sequence[Bytes], tag: int, size: int) -> None:
        if self._outbox.is_full:
            # The loop, which would hear that there is room, may be what logs and never pauses.
            self._outbox.resume()
        if self._outbox.is_empty:
            self._waiting_bytes = 0
        # Who has dropped one goes on doing so until the line is free: there is to be one gap, not many.
        elif parts and (self._dropped or self._waiting_bytes + size > MOST_WAITING_BYTES):
            self._dropped += 1
            return
        if size > MOST_BYTES:
            self._dropped += 1
            return
        dropped, self._dropped = self._dropped, 0
        self._waiting_bytes += size
        self._outbox.put(encode(Kind.LOG, [(dropped, tag, parts, size)]))
        if threading.get_ident() != self._thread and not self._is_told:
            self._is_told = True
            self._loop.call_soon_threadsafe(self._hear)

    def _hear(self) -> None:
        self._is_told = False  # first: who puts something in from now on tells again
        self._go_on()


def _tell_without_handlers(record: logging.LogRecord) -> None:
    last = logging.lastResort
    if last is not None and record.levelno >= last.level:
        last.handle(record)
