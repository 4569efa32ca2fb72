"""The way back of one call that is awaited where it was made: what `run` waits on.

A `Future` can be asked from any thread and awaited by several loops, and pays for it. This is
for one waiter on one loop, and everything but the settling happens on that loop.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ._errors import TaskCancelled
from ._local import replies

if TYPE_CHECKING:
    from ._local import Letter
    from ._mailbox import Mailbox
    from ._messages import Call

__all__ = ["Reply"]

_VALUE, _ERROR, _CANCELLED = range(3)


class Reply:
    """The sink of one call and the waiting for it, on the loop that made it."""

    __slots__ = ("_is_here", "_kind", "_mailbox", "_outcome", "_waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._mailbox: Mailbox[Letter] = replies(loop)
        self._waiter: asyncio.Future[None] = loop.create_future()
        self._kind = _VALUE
        self._is_here = False
        self._outcome: Any = None

    async def wait(self, call: Call) -> Any:
        """Return the task's value or raise its error.

        Cancellation: asks the task to stop and goes on when it has ended. The cancellation then
        wins over a value that came anyway; an error of the task's clean-up is raised.
        """
        interruption: asyncio.CancelledError | None = None
        while not self._is_here:
            try:
                await self._waiter
            except asyncio.CancelledError as error:
                interruption = error
                self._waiter = asyncio.get_running_loop().create_future()
                call.cancel_task()
        try:
            if self._kind == _ERROR:
                raise self._outcome
            if interruption is not None:
                raise interruption
            if self._kind == _CANCELLED:
                raise TaskCancelled(f"{call.title} was cancelled, and not by the one who awaits it")
            return self._outcome
        finally:
            # An error's traceback refers to this frame, and this frame to the error.
            self._outcome = interruption = None

    def started(self) -> None:
        """Nobody can see it."""

    def settle_value(self, value: Any, /) -> None:
        """The task returned."""
        self._outcome = value
        self._send(_VALUE)

    def settle_error(self, error: BaseException, /) -> None:
        """The task raised."""
        self._outcome = error
        self._send(_ERROR)

    def settle_cancelled(self) -> None:
        """The task was cancelled and has ended."""
        self._send(_CANCELLED)

    def _send(self, kind: int) -> None:
        self._kind = kind
        self._mailbox.put(self)

    def arrive(self, _mailbox: object, /) -> None:
        """The outcome is here, on the loop that waits for it."""
        self._is_here = True
        if not self._waiter.done():
            self._waiter.set_result(None)
