"""The way back of one call that is awaited where it was made: what `run` waits on.

A `Future` can be asked from any thread and awaited by several loops, and pays for it. This is for one
waiter on one loop, and everything but the settling happens on that loop.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Never

from ._errors import DeadlineExceeded, TaskCancelled
from ._local import replies

if TYPE_CHECKING:
    from ._local import Letter
    from ._mailbox import Mailbox
    from ._messages import Call

__all__ = ["Reply"]


class Reply:
    """The sink of one call, and what its caller awaits: `waiter` gets the value or the error.

    Args:
        loop: The loop that runs here, and awaits.
        call: The call.
    """

    __slots__ = ("_call", "_error", "_is_here", "_mailbox", "_value", "waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop, call: Call) -> None:
        self.waiter: asyncio.Future[Any] = loop.create_future()
        self._mailbox: Mailbox[Letter] = replies(loop)
        self._call = call
        self._is_here = False
        self._value: Any = None
        self._error: BaseException | None = None

    async def see_out(self, interruption: asyncio.CancelledError) -> Never:
        """The caller was cancelled: ask the task to stop, and raise once it has ended.

        An error of the task's clean-up is raised; otherwise the interruption is, which wins over a
        value that came anyway, and over a deadline of the task's own that passed as well.

        Cancellation: asks once more, and waits on.
        """
        while not self._is_here:
            self._call.cancel_with_waiter()
            self.waiter = asyncio.get_running_loop().create_future()
            try:
                await asyncio.wait([self.waiter])
            except asyncio.CancelledError as error:
                interruption = error
        if self.waiter.done() and not self.waiter.cancelled():
            self.waiter.exception()  # looked at, so that nobody is told that it was not
        try:
            if self._error is not None and not isinstance(self._error, TaskCancelled | DeadlineExceeded):
                raise self._error
            raise interruption
        finally:
            # The traceback refers to this frame: without this, a cycle with the error in it.
            del self, interruption

    def started(self) -> None:
        """Nobody can see it."""

    def settle_value(self, value: Any, /) -> None:
        """The task returned."""
        self._value = value
        self._mailbox.put(self)

    def settle_error(self, error: BaseException, /) -> None:
        """The task raised."""
        self._error = error
        self._mailbox.put(self)

    def settle_cancelled(self) -> None:
        """The task was cancelled and has ended."""
        self._error = TaskCancelled(f"{self._call.title} was cancelled, and not by the one who awaits it")
        self._mailbox.put(self)

    def arrive(self, _mailbox: object, /) -> None:
        """The outcome is here, on the loop that waits for it."""
        self._is_here = True
        if self.waiter.done():
            return  # the caller was cancelled, and has yet to notice
        if self._error is None:
            self.waiter.set_result(self._value)
        else:
            self.waiter.set_exception(self._error)
