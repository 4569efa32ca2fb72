"""Placement in a pool that can be resized: a state machine that does nothing but think.

It says when a worker has nothing left to do that its pool does without, and when one is wanted after all.
What comes of that is the business of `Resizing` and of `Recycler`.

The law: a place that is on notice has a worker, or one is on its way; a place that was given up has none, and
no call waits for it.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from ._placement import Roster
from ._seat import Seat

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._messages import Call

__all__ = ["ElasticRoster", "News"]


class News(Enum):
    """What is told of a seat. It may be told twice: Ctrl-C can land after the telling."""

    DUE = "due"
    """The next worker is to come up for its place."""
    DRAINED = "drained"
    """It gets nothing more, and what it was given has ended: its worker can leave."""
    NEEDED = "needed"
    """Its place was given up, and a call has come that is for this one. It is of no worker: only an index."""


class ElasticRoster(Roster):
    """A roster whose places can be put on notice: they get only what is pinned there, and are given up then.

    Who pins a call looks at the size of the pool before it has the pool's lock. So one may come for a place
    that was given up meanwhile, which has a worker for it once more, and is on notice again.

    Args:
        limit: As for `Roster`.
        backlog: As for `Roster`.
        tell: Hears what there is to tell; called under the pool's lock.
    """

    def __init__(self, limit: int, backlog: int | None, tell: Callable[[News, Seat], object]) -> None:
        super().__init__(limit, backlog)
        self._tell = tell
        self._on_notice: set[int] = set()
        self._given_up: set[int] = set()

    def give_notice(self, index: int) -> None:
        """Have a place given up as soon as nothing that is pinned there waits or runs."""
        if index in self._given_up:
            return
        self._on_notice.add(index)
        seat = self._at.get(index)
        if seat is not None and seat in self._open:
            self._open.remove(seat)
            seat.is_wanted = True
            self._look_whether_drained(seat)

    def give_up(self, index: int) -> bool:
        """Give a place up, if it is on notice, has no worker that takes calls, and none is needed.

        Returns:
            Whether it is given up, now or since before.
        """
        if (
            index in self._on_notice
            and index not in self._at
            and index not in self._apart
            and not self._backlog.is_awaited(index)
            and not self._suspects.is_for(index)
        ):
            self._on_notice.remove(index)
            self._given_up.add(index)
        return index in self._given_up

    def take_back(self, index: int) -> Seat | None:
        """Keep a place that is on notice.

        Returns:
            Its seat, for which something may wait; None when its worker does not take calls yet.

        Raises:
            KeyError: It is not on notice, so nobody is there.
        """
        self._on_notice.remove(index)
        seat = self._at.get(index)
        if seat is not None:
            self._seat_among_others(seat)
        return seat

    def renew(self, index: int) -> None:
        """Let the next worker of this place take calls like any other."""
        self._given_up.discard(index)

    @property
    def is_idle(self) -> bool:
        """See `Roster`: the tasks of places on notice count too."""
        leaving = [self._at[index] for index in self._on_notice if index in self._at]
        return super().is_idle and not any(seat.load for seat in leaving)

    def open(self, seat: Seat) -> list[Call]:
        """See `Roster`."""
        # Who comes up for a place that was given up meanwhile is told to leave.
        return [] if seat.is_spent or seat.index in self._given_up else super().open(seat)

    def close(self, seat: Seat) -> None:
        """See `Roster`."""
        if seat.is_open and not seat.is_apart and seat.index in self._on_notice:
            seat.is_open = False
            del self._at[seat.index]
            return
        super().close(seat)

    def refill(self, seat: Seat) -> list[Call]:
        """See `Roster`."""
        calls = super().refill(seat)
        if not calls and seat.index in self._on_notice:
            self._look_whether_drained(seat)
        return calls

    def _look_whether_drained(self, seat: Seat) -> None:
        index = seat.index
        if (
            not seat.is_open
            or seat.is_apart
            or seat.load
            or self._backlog.is_awaited(index)
            or self._suspects.is_awaited(index)
        ):
            return
        self.close(seat)
        self._on_notice.remove(index)
        self._given_up.add(index)
        self._tell(News.DRAINED, seat)

    def _seat_among_others(self, seat: Seat) -> None:
        if seat.index in self._on_notice:
            self._at[seat.index] = seat
            seat.is_wanted = True
        else:
            super()._seat_among_others(seat)

    def _next(self, seat: Seat) -> Call | None:
        if seat.index in self._on_notice:
            return self._backlog.take_pinned(seat.index)
        return super()._next(seat)

    def _last_look(self, call: Call) -> Seat | None:
        if call.pin in self._given_up:
            self._tell(News.NEEDED, Seat(call.pin))
            self._on_notice.add(call.pin)
            self._given_up.discard(call.pin)
        return super()._last_look(call)
