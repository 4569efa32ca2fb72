"""What one task awaits, to go on in the very moment in which it is woken.

A future has the task go on with the next turn of its loop. That is a handle, two looks at the clock and a
system call: a tenth of a round trip to another loop (``bench/round_trip.py``).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextvars import Context

__all__ = ["Waiter"]


class Waiter:
    """Awaited once, by a task of one loop; everything here is called on that loop.

    To `asyncio.Task` it is a future, of which it needs no more than this.

    Args:
        loop: The loop that runs here.
    """

    __slots__ = (
        "_asyncio_future_blocking",
        "_context",
        "_is_cancelled",
        "_is_woken",
        "_loop",
        "_message",
        "_resume",
    )

    _context: Context
    _message: object

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._asyncio_future_blocking = False
        self._resume: Callable[[Waiter], object] | None = None
        self._is_woken = False
        self._is_cancelled = False

    def __await__(self) -> Generator[Any, None, None]:
        """Return when it is woken; at once, when it was.

        Cancellation: ends the waiting.
        """
        if not self._is_woken:
            self._asyncio_future_blocking = True
            yield self

    def wake(self) -> None:
        """Let the task go on, up to where it waits next. For a callback of the loop, not for a task.

        Harmless twice, also when Ctrl-C has landed in the first time, or in the task.
        """
        if self._is_woken:
            return
        is_watched = self._loop.get_debug()  # then each turn is timed, and what takes long is named
        # From here to the task's own code there is nothing in which Ctrl-C could land.
        self._is_woken = True
        if self._resume is None:
            return
        if is_watched:
            self._loop.call_soon(self._resume, self, context=self._context)
        else:
            # In no variable: when the task ends here, the traceback of its error refers to this frame.
            self._context.run(self._resume, self)

    # -- for asyncio.Task --------------------------------------------------------------------

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Whose tasks may await it."""
        return self._loop

    def add_done_callback(self, resume: Callable[[Waiter], object], /, *, context: Context) -> None:
        """The task waits, and goes on when this is called."""
        self._context = context
        self._resume = resume

    def cancel(self, msg: object = None) -> bool:
        """The task is cancelled: have it go on; returns False when it goes on already."""
        if self._is_woken:
            return False
        self._message = msg
        self._is_woken = self._is_cancelled = True
        if self._resume is not None:
            self._loop.call_soon(self._resume, self, context=self._context)
        return True

    def result(self) -> None:
        """What the task goes on with."""
        self._resume = None  # it knows the task, and the error that this ends with
        if self._is_cancelled:
            raise asyncio.CancelledError if self._message is None else asyncio.CancelledError(self._message)
