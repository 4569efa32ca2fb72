"""The calls that wait for a worker, in order: each for any worker, or for the one it is pinned to.

It decides nothing: who may go where is told by its owner, `Roster`.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._messages import Call

__all__ = ["Backlog"]


class Backlog:
    """A queue of calls, of which some are only for one seat; a call in the middle can leave in constant time.

    Attributes:
        unpinned: Those that may go to any seat. Read, and tested for emptiness, by the roster's hot path.
    """

    def __init__(self) -> None:
        # The values are tickets: whose is lower came first. Those that come back get lower ones than all.
        self.unpinned: OrderedDict[Call, int] = OrderedDict()
        self._pinned: dict[int, OrderedDict[Call, int]] = {}
        self._first = 0
        self._last = 0

    def __len__(self) -> int:
        """How many calls wait."""
        return len(self.unpinned) + sum(map(len, self._pinned.values()))

    def __bool__(self) -> bool:
        """Whether any call waits."""
        return bool(self.unpinned or self._pinned)

    def __contains__(self, call: Call) -> bool:
        """Whether `call` waits."""
        return call in self._queue(call.pin)

    def is_awaited(self, pin: int) -> bool:
        """Whether a call waits for this seat and no other."""
        return pin in self._pinned

    def is_for(self, index: int) -> bool:
        """Whether a call waits that may go to this seat."""
        return bool(self.unpinned) or index in self._pinned

    def add(self, call: Call) -> None:
        """Put a call last."""
        self._last += 1
        if call.pin is None:
            self.unpinned[call] = self._last
        else:
            self._queue(call.pin, is_needed=True)[call] = self._last

    def add_first(self, call: Call) -> None:
        """Put a call first, before those that wait already."""
        self._first -= 1
        queue = self._queue(call.pin, is_needed=True)
        queue[call] = self._first
        queue.move_to_end(call, last=False)

    def remove(self, call: Call) -> bool:
        """Take a call out; False when it does not wait (any more)."""
        queue = self._queue(call.pin)
        try:
            del queue[call]
        except KeyError:
            return False
        if call.pin is not None and not queue:
            del self._pinned[call.pin]
        return True

    def take(self, index: int) -> Call | None:
        """Take out the first of those that may go to this seat; None when there is none."""
        pinned = self._pinned.get(index)
        if not pinned:
            # As take_unpinned(), spelt out: this is the hot path.
            return self.unpinned.popitem(last=False)[0] if self.unpinned else None
        if self.unpinned and _ticket(self.unpinned) < _ticket(pinned):
            return self.unpinned.popitem(last=False)[0]
        return self.take_pinned(index)

    def take_unpinned(self) -> Call | None:
        """Take out the first of those that may go to any seat; None when there is none."""
        return self.unpinned.popitem(last=False)[0] if self.unpinned else None

    def take_pinned(self, index: int) -> Call | None:
        """Take out the first of those that may go to this seat and no other; None when there is none."""
        pinned = self._pinned.get(index)
        if not pinned:
            return None
        call, _ = pinned.popitem(last=False)
        if not pinned:
            del self._pinned[index]
        return call

    def take_all(self) -> list[Call]:
        """Take everything out, in order."""
        tickets = dict(self.unpinned)
        for queue in self._pinned.values():
            tickets.update(queue)
        self.unpinned.clear()
        self._pinned.clear()
        return sorted(tickets, key=tickets.__getitem__)

    def _queue(self, pin: int | None, *, is_needed: bool = False) -> OrderedDict[Call, int]:
        if pin is None:
            return self.unpinned
        queue = self._pinned.get(pin)
        if queue is None:
            new: OrderedDict[Call, int] = OrderedDict()
            # Only for what is put there: a seat with an empty queue would look like one that is waited for.
            if is_needed:
                self._pinned[pin] = new
            return new
        return queue


def _ticket(queue: OrderedDict[Call, int]) -> int:
    return next(iter(queue.values()))
