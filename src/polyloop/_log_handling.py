"""The pool's end of its workers' logging: their records are handled here as if they had been made here.

In a thread of its own, for a handler may block, or wait for what only a call can bring: the threads that
carry results do not wait for it. What waits for it is bounded: what comes above that is counted and dropped.
"""

from __future__ import annotations

import logging
import queue
import threading
import traceback
from typing import TYPE_CHECKING, TypeAlias

from ._future import Future
from ._log_records import unpack_record
from ._threads import daemon_thread, start_thread

if TYPE_CHECKING:
    from ._codec import Frame

__all__ = ["LogInlet", "LogListener"]

logger = logging.getLogger("polyloop")

# Of one worker's records that have not been handled yet. A guess: some thousands of them.
MOST_WAITING_BYTES = 4 << 20
# What a record takes beside its payload, about.
RECORD_BYTES = 512

_GAP = "%d log records of %s were dropped: they came faster than they could be handled"


class LogListener:
    """Handles the records of one pool's workers.

    Args:
        pool: The pool's name.
    """

    def __init__(self, pool: str) -> None:
        # Not a deque and a lock: a signal handler may close the pool in the middle of anything.
        self._items: _Items = queue.SimpleQueue()
        self._ended: Future[None] = Future()
        # It does not refer to this, and so not to the pool either, which may be dropped.
        self._thread = daemon_thread(_listen, f"{pool}-logs", self._items, self._ended)

    def inlet(self, worker: str) -> LogInlet:
        """Where the records of one worker come in; there is a thread from the first one on.

        Raises:
            Exception: The thread could not be started.
        """
        if self._thread.ident is None:
            start_thread(self._thread)
        return LogInlet(worker, self._items)

    def close(self) -> Future[None] | None:
        """No more comes in; returns what is settled when all has been handled, if that can be waited for."""
        self._items.put(None)
        if self._thread.ident is None or self._thread is threading.current_thread():
            return None
        return self._ended


class LogInlet:
    """Takes the records of one worker in; owned by the thread that carries what comes from it.

    Args:
        worker: The worker's name.
        items: Where they wait.
    """

    def __init__(self, worker: str, items: _Items) -> None:
        self.worker = worker
        self.handled_bytes = 0
        """Of all that were taken in; its owner is the thread that handles them."""
        self._items = items
        self._taken_bytes = 0
        self._dropped = 0

    def take(self, frame: Frame) -> None:
        """Records have come."""
        for dropped, tag, payload in zip(frame.numbers, frame.tags, frame.payloads, strict=True):
            self._dropped += dropped
            if payload:
                self._take(payload, tag)

    def end(self) -> None:
        """The worker is gone."""
        if self._dropped:
            self._put(memoryview(b""), 0)

    def _take(self, payload: memoryview, tag: int) -> None:
        waiting = self._taken_bytes - self.handled_bytes
        size = len(payload) + RECORD_BYTES
        # As in the worker: there is to be one gap, not many.
        if waiting > MOST_WAITING_BYTES // 2 and (self._dropped or waiting + size > MOST_WAITING_BYTES):
            self._dropped += 1
            return
        self._put(payload, tag)

    def _put(self, payload: memoryview, tag: int) -> None:
        dropped, self._dropped = self._dropped, 0
        self._taken_bytes += len(payload) + RECORD_BYTES
        self._items.put((self, dropped, payload, tag))


_Items: TypeAlias = "queue.SimpleQueue[tuple[LogInlet, int, memoryview, int] | None]"


def _listen(items: _Items, ended: Future[None]) -> None:
    try:
        while (item := items.get()) is not None:
            _attend(*item)
    finally:
        ended.settle_value(None)


def _attend(inlet: LogInlet, dropped: int, payload: memoryview, tag: int) -> None:
    try:
        if dropped:
            logger.warning(_GAP, dropped, inlet.worker)
        if payload:
            _handle(inlet.worker, payload, tag)
    except BaseException:  # noqa: BLE001 - by a handler or a filter of the user's: the others go on
        if logging.raiseExceptions:
            traceback.print_exc()  # not logged: it would come here again
    inlet.handled_bytes += len(payload) + RECORD_BYTES


def _handle(worker: str, payload: memoryview, tag: int) -> None:
    try:
        record = unpack_record(payload, tag)
    except Exception:
        logger.exception("a log record of %s cannot be made again in this process", worker)
        return
    target = logging.getLogger(record.name)
    if target.isEnabledFor(record.levelno):
        target.handle(record)
