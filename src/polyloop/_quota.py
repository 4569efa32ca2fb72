"""Placement where each worker gets so many calls and no more: a state machine that does nothing but think.

It says when the next worker has to come, and when the one before it has nothing left to do. What comes of
that is the business of `Recycler`.

The law: a place - a worker that takes calls and those before it that still finish - is to its calls as one
worker that lives on. Its limit holds for all of them together, and what is pinned there runs on one of them
at a time, in order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._elastic import ElasticRoster, News

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._messages import Call
    from ._seat import Seat

__all__ = ["QuotaRoster"]

# The next worker is started when this part of a quota is left, and takes over as soon as it is up. Workers
# that share the load evenly have had their calls at about the same time, and to start one takes from a tenth
# of a second to as long as its lifespan takes: until then there would be nobody. A guess. Of fewer calls than
# this a worker gets each.
EARLY = 20


class QuotaRoster(ElasticRoster):
    """A roster whose seats are spent after so many calls.

    The calls of such a pool are never nested: what a worker elsewhere runs cannot call the pool. If it could,
    a child would have to pass those that wait for its parent's worker.

    Args:
        limit: As for `ElasticRoster`.
        backlog: As for `ElasticRoster`.
        quota: How many calls a seat gets, at most.
        tell: As for `ElasticRoster`.
    """

    def __init__(
        self, limit: int, backlog: int | None, quota: int, tell: Callable[[News, Seat], object]
    ) -> None:
        super().__init__(limit, backlog, tell)
        self._quota = quota
        self._due = quota - quota // EARLY
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

    def give_up(self, index: int) -> bool:
        """See `ElasticRoster`."""
        is_given_up = super().give_up(index)
        if is_given_up:
            self._vacant.discard(index)
        return is_given_up

    def open(self, seat: Seat) -> list[Call]:
        """See `Roster`."""
        for other in [*self._at.values(), *self._apart.values()]:
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
            call = self._next(seat)
            if call is None:
                break
            self.give(call, seat)
            calls.append(call)
        return calls

    def _next(self, seat: Seat) -> Call | None:
        if not self._is_held(seat.index):
            return super()._next(seat)
        return None if seat.index in self._on_notice else self._backlog.take_unpinned()

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
