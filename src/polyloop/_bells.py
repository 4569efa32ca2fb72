"""How workers' threads wake the consumer of a map, who blocks its thread or awaits on a loop."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Protocol

from ._local import replies
from ._locks import as_raised

if TYPE_CHECKING:
    from ._local import Letter
    from ._mailbox import Mailbox

__all__ = ["Bell", "LoopBell", "ThreadBell"]


class Bell(Protocol):
    """How workers' threads wake the consumer."""

    def ring(self) -> None:
        """Wake it; callable from any thread."""


class ThreadBell:
    """Wakes a consumer that blocks its thread."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def ring(self) -> None:
        """See `Bell`."""
        self._event.set()

    def wait(self) -> None:
        """Block until it is rung; once for each ring, or for several."""
        as_raised(self._event.wait)
        self._event.clear()


class LoopBell:
    """Wakes a consumer that awaits on a loop; made on that loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._mailbox: Mailbox[Letter] = replies(self._loop)
        self._waiter: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """See `Bell`."""
        self._mailbox.put(self)

    def arrive(self, _mailbox: object, /) -> None:
        """It was rung, and this is the loop."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        """Return when it is rung. Cancellation: stops the waiting only."""
        self._waiter = self._loop.create_future()
        await self._waiter
