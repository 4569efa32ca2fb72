"""Items whose reading may block, for a loop that must not.

A pipe whose writer is slow would hold up results that are long there. So it is read in a thread, and the
loop gets the items through a mailbox, at most so many that it has not taken yet.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import Generic, TypeVar

from .._mailbox import Mailbox, MailboxClosed

__all__ = ["Feed"]

T = TypeVar("T")

# Items read and not taken. A guess: enough that neither side waits for the other item by item.
ROOM = 1000


class Feed(AsyncIterator[T], Generic[T]):
    """The items of an iterable, pulled in a thread of its own; made on the loop that takes them.

    The thread is a daemon: nobody can end it while it waits for a writer that does not write.
    """

    def __init__(self, items: Iterable[T]) -> None:
        self._items = items
        self._taken: deque[T] = deque()
        self._room = threading.Semaphore(ROOM)
        self._waiter: asyncio.Future[None] | None = None
        self._error: BaseException | None = None
        self._is_over = False
        self._is_closed = False
        self._loop = asyncio.get_running_loop()
        self._mailbox = Mailbox[T | _End](self._loop, self._arrive)
        threading.Thread(target=self._read, name="polyloop-input", daemon=True).start()

    async def __anext__(self) -> T:
        """The next item. Cancellation: stops the waiting only."""
        while not self._taken:
            if self._error is not None:
                raise self._error
            if self._is_over:
                raise StopAsyncIteration
            self._waiter = self._loop.create_future()
            await self._waiter
        self._room.release()
        return self._taken.popleft()

    async def aclose(self) -> None:
        """Have nothing more read."""
        self._is_closed = True
        self._mailbox.close()
        self._mailbox.let_go()
        self._room.release()

    def _read(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._items:
                self._room.acquire()
                if self._is_closed:
                    return
                self._mailbox.put(item)
        except MailboxClosed:
            return
        except Exception as caught:  # noqa: BLE001 - raised to whoever takes the items
            error = caught
        try:
            self._mailbox.put(_End(error))
        except MailboxClosed:
            return

    def _arrive(self, item: T | _End) -> None:
        if isinstance(item, _End):
            self._is_over = True
            self._error = item.error
        else:
            self._taken.append(item)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _End:
    """Nothing more comes, because of this error if there is one."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error
