"""Placement where each worker gets so many calls and no more: a state machine that does nothing but think.

It says when the next worker has to come, and when the one before it has nothing left to do. What comes of
that is the business of `Recycler`.

The law: a place - a worker that takes calls and those before it that still finish - is to its calls as one
worker that lives on. Its limit holds for all of them together, and what is pinned there runs on one of them
at a time, in order.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from ._placement import Roster

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._messages import Call
    from ._seat import Seat

__all__ = ["News", "QuotaRoster"]


class News(Enum):
    """What is told of a seat. It may be told twice: Ctrl-C can land after the telling."""

    DUE = "due"
    """The next worker is to come up for its place."""
    DRAINED = "drained"
    """It gets nothing more, and what it was given has ended: its worker can leave."""


# The next worker is started when this part of a quota is left, and takes over as soon as it is up. Workers
# that share the load evenly have had their calls at about the same time, and to start one takes from a tenth
# of a second to as long as its lifespan takes: until then there would be nobody. A guess. Of fewer calls than
# this a worker gets each.
EARLY = 20


class QuotaRoster(Roster):
    """A roster whose seats are spent after so many calls.

    The calls of such a pool are never nested: what a worker elsewhere runs cannot call the pool. If it could,
    a child would have to pass those that wait for its parent's worker.

    Args:
        limit: As for `Roster`.
        backlog: As for `Roster`.
        quota: How many calls a seat gets, at most.
        tell: Hears what there is to tell; called under the pool's lock.
    """

    def __init__(
        self, limit: int, backlog: int | None, quota: int, tell: Callable[[News, Seat], object]
    ) -> None:
        super().__init__(limit, backlog)
        self._quota = quota
        self._due = quota - quota // EARLY
        self._tell = tell
        # Spent, with tasks that have not ended; by index, of which each may have several.
        self._leaving: dict[int, list[Seat]] = {}
        self._vacant: set[int] = set()

    @property
    def vacant(self) -> list[int]:
        """See `Roster`."""
        return sorted(self._vacant)

    @property
    def is_idle(self) -> bool:
        """See `Roster`: a leaving worker's tasks count too."""
        return super().is_idle and not any(seat.load for seats in self._leaving.values() for seat in seats)

    def is_full_for(self, call: Call) -> bool:
        """See `Roster`."""
        if self._longest is None or len(self._backlog) < self._longest:
            return False
        return not any(self._fits(call, seat) for seat in self._open if call.pin in {None, seat.index})

    def open(self, seat: Seat) -> list[Call]:
        """See `Roster`."""
        for other in [*self._open, *self._apart.values()]:
            if other.index == seat.index:
                self._spend(other)
        self._vacant.discard(seat.index)
        return super().open(seat)

    def admit(self, call: Call) -> Seat | None:
        """See `Roster`."""
        # As there, but for give(), which it spells out.
        backlog = self._backlog
        if (backlog.unpinned if call.pin is None else backlog.is_awaited(call.pin)) and not call.is_nested:
            backlog.add(call)
            return None
        seat = self._choose(call)
        if seat is None:
            backlog.add(call)
            return self._last_look(call)
        self.give(call, seat)
        return seat

    def admit_all(self, calls: Sequence[Call]) -> list[tuple[Seat, Sequence[Call]]]:
        """See `Roster`. One by one: a piece of several may be more than what is left of a quota."""
        return self._admit_each(calls)

    def give(self, call: Call, seat: Seat) -> None:
        """See `Roster`."""
        if call.pin is not None:
            seat.pinned += 1
        super().give(call, seat)
        if seat.given >= self._due:
            self._tell_due(seat)
            if seat.given >= self._quota:
                self._spend(seat)

    def refill(self, seat: Seat) -> list[Call]:
        """See `Roster`. What leaves may have made room where the next worker is."""
        if not seat.load and seat in self._leaving.get(seat.index, ()):
            self.release(seat)
            self._tell(News.DRAINED, seat)
        if not seat.is_open:
            seat = self._at.get(seat.index, seat)
        return super().refill(seat)

    def release(self, seat: Seat) -> None:
        """See `Roster`."""
        leaving = self._leaving.get(seat.index, [])
        if seat in leaving:
            leaving.remove(seat)

    def retire(self, index: int) -> None:
        """See `Roster`."""
        seat = self._at.get(index)
        if seat is not None:
            self._spend(seat)

    def _spend(self, seat: Seat) -> None:
        """Give `seat` nothing more."""
        # Ctrl-C can land after each line of this. So each can be done twice, and as long as the last is not
        # done the seat is found again, by `_choose` or by `open`.
        self._tell_due(seat)
        seat.is_spent = seat.is_wanted = True
        self._vacant.add(seat.index)
        leaving = self._leaving.setdefault(seat.index, [])
        if seat.load and seat not in leaving:
            leaving.append(seat)
        if not seat.load:
            self._tell(News.DRAINED, seat)
        seat.is_open = False
        if self._apart.get(seat.index) is seat:
            del self._apart[seat.index]
        if self._at.get(seat.index) is seat:
            del self._at[seat.index]
        if seat in self._open:
            self._open.remove(seat)
        seat.is_apart = False

    def _tell_due(self, seat: Seat) -> None:
        if not seat.is_due:
            self._tell(News.DUE, seat)
            seat.is_due = True

    def _choose(self, call: Call) -> Seat | None:
        seat = super()._choose(call)
        while seat is not None and seat.given >= self._quota:
            self._spend(seat)
            seat = super()._choose(call)
        if seat is None or self._fits(call, seat):
            return seat
        # Only now: most often the one that the others would take is good.
        fitting = [seat for seat in self._open if call.pin is None and self._fits(call, seat)]
        return min(fitting, key=lambda seat: seat.load, default=None)

    def _fill(self, seat: Seat) -> list[Call]:
        calls: list[Call] = []
        while seat.is_open and self._has_room(seat):
            is_held = self._is_held(seat.index)
            call = self._backlog.take_unpinned() if is_held else self._backlog.take(seat.index)
            if call is None:
                break
            self.give(call, seat)
            calls.append(call)
        return calls

    def _fits(self, call: Call, seat: Seat) -> bool:
        if seat.given >= self._quota:
            return False
        if call.is_nested:
            return True
        return self._has_room(seat) and not (call.pin is not None and self._is_held(call.pin))

    def _has_room(self, seat: Seat) -> bool:
        """Whether the place has: its limit is not all taken up by its workers together."""
        leaving = self._leaving.get(seat.index, ())
        return not seat.is_choked and seat.load + sum(other.load for other in leaving) < self._limit

    def _is_held(self, index: int) -> bool:
        """Whether pinned calls still run on a worker that had this place before."""
        return any(seat.pinned > seat.tally.pinned for seat in self._leaving.get(index, ()))
