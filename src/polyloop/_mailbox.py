"""The one way into a loop from outside it.

It knows only asyncio: what the items are and what is done with them is its owner's business.
Everything else in polyloop that crosses from one thread's loop to another goes through here.
"""

from __future__ import annotations

import threading
from asyncio import _get_running_loop  # pyright: ignore[reportPrivateUsage]  # raises nothing, half the price
from collections import deque
from contextvars import Context
from time import perf_counter
from typing import TYPE_CHECKING, Generic, TypeVar

from ._waker import make_waker

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from ._waker import Waker

__all__ = ["Mailbox", "MailboxClosed"]

T = TypeVar("T")

# One pass handles so much and then lets the loop's timers and sockets have their turn. A guess
# between two harms: a smaller pass costs a turn of the loop per few items, a larger one delays
# timers. 5 ms is also how long CPython lets one thread keep the GIL.
PASS_ITEMS = 256
PASS_SECONDS = 0.005

_ONE_PASS = range(PASS_ITEMS)
_NOTHING = object()


class MailboxClosed(Exception):
    """The loop behind this mailbox takes nothing more; the item was not accepted."""


class Mailbox(Generic[T]):
    """A queue that any thread may put into and one loop takes from.

    However many items arrive while the loop is busy, they cost one wake-up: waking a loop is a
    system call, and by far the dearest part of crossing over to it.

    An item that `put` accepted is handled, in order, or returned by `close`. One that came too
    late raises, so the sender learns of it and nothing is dropped in silence.

    There is no lock, so that a signal handler or a ``__del__`` that puts in the middle of a
    put of the same thread can neither hang nor see anything half-made. It rests on this: every
    method of a deque and every store of an attribute is atomic, and what a thread wrote before
    it touched the deque is seen by whoever touches the deque after it. Both hold with the GIL,
    and without it by the lock inside each deque.

    Args:
        loop: The loop that handles the items; it need not run yet.
        handle: Called on that loop with each item. Must not raise, and when Ctrl-C lands in it, it is called
            once more with the same item.
        waker: Makes what wakes the loop, of the loop and of what to call on it; None is the best there
            is, and for loops that run here, or nowhere yet.
    """

    __slots__ = (
        "__weakref__",
        "_context",
        "_handle",
        "_is_awake",
        "_is_closed",
        "_items",
        "_loop",
        "_waker",
        "_woken_at",
        "lag",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        handle: Callable[[T], object],
        waker: Callable[[asyncio.AbstractEventLoop, Callable[[], object]], Waker] | None = None,
    ) -> None:
        self._loop = loop
        self._handle = handle
        self._items: deque[T] = deque()
        self._is_awake = False
        self._is_closed = False
        # An empty context of its own: a drain that ran in some submitter's context would keep
        # that alive, and one context cannot be entered by two loops at once.
        self._context = Context()
        self._waker = (waker or make_waker)(loop, self._drain)
        self._woken_at = 0.0
        self.lag = 0.0
        """The longest that this loop took to answer a wake-up, in seconds."""

    def put(self, item: T) -> None:
        """Hand `item` to the loop.

        Raises:
            MailboxClosed: The mailbox is closed. The item was not accepted.
        """
        self._items.append(item)
        if self._is_closed:
            self._take_back(item)
        elif not self._is_awake:
            self._wake()

    def put_all(self, items: Iterable[T]) -> None:
        """Hand several items to the loop, in order, for one wake-up.

        Raises:
            MailboxClosed: The mailbox is closed. Those that it did not accept are its argument.
        """
        refused: list[T] = []
        for item in items:
            self._items.append(item)
            if self._is_closed:
                try:
                    self._take_back(item)
                except MailboxClosed:
                    refused.append(item)
        if refused:
            raise MailboxClosed(refused)
        if not self._is_awake:
            self._wake()

    def retract(self, item: T) -> bool:
        """Take `item` out again; False when the loop has taken it, or it was never put."""
        try:
            self._items.remove(item)
        except ValueError:
            return False
        return True

    def let_go(self) -> None:
        """The loop is about to be closed: give back what wakes it. Called on its thread."""
        self._waker.close()

    def close(self) -> list[T]:
        """Accept nothing more; returns what was accepted and not taken by the loop, in order.

        May be called from any thread, also when the loop is gone, and more than once.
        """
        self._is_closed = True
        left: list[T] = []
        while True:
            try:
                left.append(self._items.popleft())
            except IndexError:
                return left

    def _take_back(self, item: T) -> None:
        # The item is in, and the mailbox was closed before or since. Either close() takes it
        # out, which then answers for it, or this does: never both, never neither.
        if self.retract(item):
            raise MailboxClosed

    def _wake(self) -> None:
        self._is_awake = True
        try:
            self._woken_at = perf_counter()
            if _get_running_loop() is self._loop and (
                # A signal handler comes in while the loop sleeps, and has to wake it.
                threading.current_thread() is not threading.main_thread()
            ):
                self._loop.call_soon(self._drain, context=self._context)
            else:
                self._waker.wake()
        except RuntimeError:
            # The loop is closed. Its owner closes this mailbox too and answers for what is in it.
            self._is_awake = False
        except BaseException:
            # Ctrl-C can land on any line of the main thread: without this the mailbox would
            # believe for ever that a wake-up is on its way.
            self._is_awake = False
            raise

    def _drain(self) -> None:
        # The flag is cleared before anything is taken. The other way round, an item put between
        # the last look and the clearing would wait for a wake-up that never comes.
        self._is_awake = False
        now = perf_counter()
        if now - self._woken_at > self.lag:
            self.lag = now - self._woken_at
        end = now + PASS_SECONDS
        items, handle = self._items, self._handle
        try:
            # The taking is left to `for`: Ctrl-C cannot land between that and the first line of its body, as
            # it could after a call of popleft(), and the item would be lost.
            for count, item in zip(_ONE_PASS, iter(items.popleft, _NOTHING), strict=False):
                try:
                    handle(item)
                except KeyboardInterrupt:
                    # Ctrl-C, which landed there by chance: what was to be done is not done.
                    items.appendleft(item)
                    raise
                # Every eighth: the clock costs as much as a tenth of a small item.
                if not count & 7 and perf_counter() > end:
                    break
        except IndexError:
            pass  # all are taken
        finally:
            if items and not self._is_awake:
                self._wake()
