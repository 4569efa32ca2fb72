"""Whether a worker still answers: asked again and again for as long as it has something to do."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from ._codec import Kind, encode
from ._link import Parting

if TYPE_CHECKING:
    from ._outbox import Outbox

__all__ = ["Pulse"]


class Pulse:
    """Asks one worker. Owned by the thread that hears from it.

    Args:
        limit: Seconds that an answer may take; None is for ever, and nothing is asked.
        outbox: Where the questions go.
    """

    def __init__(self, limit: float | None, outbox: Outbox) -> None:
        self.limit = limit
        self._outbox = outbox
        self._asked_at: float | None = None
        self._next_at = 0.0

    def feel(self, *, is_busy: bool) -> int | None:
        """Ask if it is time to; returns how many milliseconds to wait for anything, None for ever.

        Args:
            is_busy: Whether the worker has something to do. Of one that has not, nobody needs to know.

        Raises:
            Parting: It has not answered for too long.
        """
        if self.limit is None or (self._asked_at is None and not is_busy):
            return None
        now = monotonic()
        if self._asked_at is None and now >= self._next_at:
            self._asked_at = now
            self._outbox.put(encode(Kind.PING))
        if self._asked_at is None:
            due = self._next_at
        else:
            due = self._asked_at + self.limit
            if now - due > self.limit / 4:
                # This thread did not run itself, as with a program that was stopped and went on: the answer
                # may be there, and nobody has looked.
                self._asked_at = now
                due = now + self.limit
            elif now > due:
                raise Parting(f"its loop did not answer for {self.limit:g} s, as long as stall_limit= allows")
        return int((due - now) * 1000) + 1

    def answered(self) -> float:
        """The worker has answered; returns after how many seconds."""
        now = monotonic()
        asked_at, self._asked_at = self._asked_at, None
        self._next_at = now + (self.limit or 0.0) / 4
        return 0.0 if asked_at is None else now - asked_at
