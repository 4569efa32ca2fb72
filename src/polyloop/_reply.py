"""The way back of one call that is awaited where it was made: what `run` waits on.

A `Future` can be asked from any thread and awaited by several loops, and pays for it. This is for one
waiter on one loop, and everything but the settling happens on that loop.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Never, cast

from ._errors import DeadlineExceeded, TaskCancelled
from ._local import replies
from ._waiter import Waiter

if TYPE_CHECKING:
    from ._local import Letter
    from ._mailbox import Mailbox
    from ._messages import Call

__all__ = ["Reply"]


class Reply:
    """The sink of one call, and what its caller awaits: once `waiter` is woken, there is a value or an error.

    Args:
        loop: The loop that runs here, and awaits.
        call: The call.
    """

    __slots__ = ("_call", "_is_here", "_mailbox", "error", "value", "waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop, call: Call) -> None:
        self.waiter = Waiter(loop)
        self._mailbox: Mailbox[Letter] = replies(loop)
        self._call = call
        self._is_here = False
        self.value: Any = None
        self.error: BaseException | None = None

    async def see_out(self, interruption: asyncio.CancelledError) -> Never:
        """The caller was cancelled: ask the task to stop, and raise once it has ended.

        An error of the task's clean-up is raised; otherwise the interruption is, which wins over a
        value that came anyway, and over a deadline of the task's own that passed as well.

        Cancellation: asks once more, and waits on.
        """
        while not self._is_here:
            self._call.cancel_with_waiter()
            self.waiter = Waiter(asyncio.get_running_loop())
            try:
                await self.waiter
            except asyncio.CancelledError as error:
                interruption = error
        try:
            if self.error is not None and not isinstance(self.error, TaskCancelled | DeadlineExceeded):
                raise self.take_error()
            raise interruption
        finally:
            # The traceback refers to this frame: without this, a cycle with the error in it.
            del self, interruption

    def take_error(self) -> BaseException:
        """The error, to be raised: once, for its traceback leads here, by way of who has woken the caller."""
        error, self.error = cast("BaseException", self.error), None
        return error

    def started(self) -> None:
        """Nobody can see it."""

    def settle_value(self, value: Any, /) -> None:
        """The task returned."""
        self.value = value
        self._mailbox.put(self)

    def settle_error(self, error: BaseException, /) -> None:
        """The task raised."""
        self.error = error
        self._mailbox.put(self)

    def settle_cancelled(self) -> None:
        """The task was cancelled and has ended."""
        self.error = TaskCancelled(f"{self._call.title} was cancelled, and not by the one who awaits it")
        self._mailbox.put(self)

    def arrive(self, _mailbox: object, /) -> None:
        """The outcome is here, on the loop that waits for it."""
        self._is_here = True
        self.waiter.wake()
