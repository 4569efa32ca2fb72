"""Which worker gets the next call, and what waits: a state machine that does nothing but think.

It knows nothing of threads, loops or clocks, and it sends nothing: it is told what happened and
answers with who gets what. Its owner calls it under the pool's lock.

The law: a call that was admitted is in exactly one place - the backlog, the line of suspects, or one seat's
load.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._backlog import Backlog
from ._suspicion import is_suspect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._messages import Call
    from ._seat import Seat

__all__ = ["Roster"]


class Roster:
    """The seats of a pool, its limit and its backlog; and a line of suspects, which have to run alone.

    The seat of a worker that comes up while suspects wait is kept for them, set apart from the others: they
    run there one after the other, and after the last of them the seat is like any other. So no seat has to
    be emptied for a suspect: its own worker has just been lost, and the next one is empty. That costs the
    pool no more than this worker, and a killer meets none that is still well. And as each loss brings such a
    seat, a suspect does not wait for one that waits for it, as a parent does for a nested call: with one
    suspect at a time in the whole pool it would.

    Args:
        limit: Most calls in flight per seat. Nested calls do not count, for their parents wait.
        backlog: Most calls that wait for a seat; None is no limit.
    """

    def __init__(self, limit: int, backlog: int | None) -> None:
        self._limit = limit
        self._longest = backlog
        # Those that take calls. What is set apart is not among them, so the hot path need not ask for it.
        self._open: list[Seat] = []
        self._at: dict[int, Seat] = {}
        self._last = 0
        self._backlog = Backlog()
        self._apart: dict[int, Seat] = {}
        self._suspects = Backlog()

    @property
    def seats(self) -> list[Seat]:
        """The open seats, by index; those that are set apart too."""
        return sorted([*self._open, *self._apart.values()], key=_index)

    @property
    def backlog(self) -> int:
        """How many calls wait for a seat."""
        return len(self._backlog) + len(self._suspects)

    def is_full_for(self, call: Call) -> bool:
        """Whether `call` would have to wait and the backlog has no place for it."""
        if self._longest is None or len(self._backlog) < self._longest:
            return False
        seats = self._open if call.pin is None else [seat for seat in self._open if seat.index == call.pin]
        return not any(seat.has_room(self._limit) for seat in seats)

    @property
    def is_bounded(self) -> bool:
        """Whether the backlog can be full."""
        return self._longest is not None

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is in flight on an open seat."""
        return not self._backlog and not self._suspects and not any(seat.load for seat in self.seats)

    def open(self, seat: Seat) -> list[Call]:
        """Let `seat` take calls; returns those that go to it now, of what waits."""
        seat.is_open = True
        if self._suspects.is_for(seat.index):
            self._apart[seat.index] = seat
            # Wanted for as long as it is apart: its suspect's end is the next one's turn, or the others'.
            seat.is_apart = seat.is_wanted = True
        else:
            self._seat_among_others(seat)
        calls = self.refill(seat)
        if self._backlog:
            self.want(True)
        return calls

    def close(self, seat: Seat) -> None:
        """Give `seat` nothing more. What it had is forgotten: the caller settles or moves it."""
        if seat.is_open:
            seat.is_open = False
            if seat.is_apart:
                seat.is_apart = False
                del self._apart[seat.index]
            else:
                self._open.remove(seat)
                del self._at[seat.index]

    def admit(self, call: Call) -> Seat | None:
        """Take a new call: the seat that gets it, or None when it waits in the backlog."""
        backlog = self._backlog
        if (backlog.unpinned if call.pin is None else backlog.is_awaited(call.pin)) and not call.is_nested:
            backlog.add(call)
            return None
        seat = self._choose(call)
        if seat is None:
            self._backlog.add(call)
            return self._last_look(call)
        # As in give(), spelt out: this is the hot path.
        call.seat = seat
        seat.given += 1
        if call.is_nested:
            seat.nested += 1
        return seat

    def admit_all(self, calls: Sequence[Call]) -> list[tuple[Seat, Sequence[Call]]]:
        """Take several new calls, all pinned or none: who gets which. The others wait in the backlog."""
        if calls and calls[0].pin is not None:
            return self._admit_each(calls)
        shares: list[tuple[Seat, Sequence[Call]]] = []
        # In pieces small enough to be shared out evenly, large enough to be cheap. A guess.
        piece = max(1, min(32, len(calls) // (2 * len(self._open) or 1)))
        for start in range(0, len(calls), piece):
            share = calls[start : start + piece]
            seat = None if self._backlog.unpinned else self._choose(share[0])
            if (
                seat is not None
                and not seat.is_choked
                and seat.given - seat.tally.ended + len(share) <= self._limit
            ):
                for call in share:
                    self.give(call, seat)
                shares.append((seat, share))
                continue
            for call in share:
                seat = self.admit(call)
                if seat is not None:
                    shares.append((seat, (call,)))
        return shares

    def readmit(self, call: Call) -> Seat | None:
        """Take a call back from a worker that is gone, to start or to start anew: first in line."""
        call.seat = None
        if is_suspect(call):
            self._suspects.add_first(call)
            return None
        seat = self._choose(call)
        if seat is None:
            self._backlog.add_first(call)
            return self._last_look(call)
        self.give(call, seat)
        return seat

    def give(self, call: Call, seat: Seat) -> None:
        """Put a call on a seat, whatever its load."""
        # No function is called between these lines, so no signal handler runs between them.
        call.seat = seat
        seat.given += 1
        if call.is_nested:
            seat.nested += 1

    def refill(self, seat: Seat) -> list[Call]:
        """`seat` may have room; returns those that go there now, of what waits; all to one seat."""
        if seat.is_apart:
            if seat.load:
                return []
            suspect = self._suspects.take(seat.index)
            if suspect is not None:
                self.give(suspect, seat)
                return [suspect]
            self._bring_back(seat)
        calls = self._fill(seat)
        if not self._backlog:
            self.want(False)
        return calls

    def release(self, seat: Seat) -> None:
        """The worker of `seat`, which was closed, is gone; what it had is settled or was taken back."""

    def retire(self, index: int) -> None:
        """Let the worker that has this place make room for the next one, where there are quotas."""

    @property
    def vacant(self) -> list[int]:
        """The places whose worker has been given its quota, and whose next worker is not up."""
        return []

    def want(self, is_wanted: bool) -> None:
        """Whether workers have to say when tasks have ended."""
        for seat in self._open:
            seat.is_wanted = is_wanted

    def is_waiting(self, call: Call) -> bool:
        """Whether `call` waits for a seat."""
        return call in self._backlog or call in self._suspects

    def withdraw(self, call: Call) -> bool:
        """Take `call`, which waits, out; False when it does not (any more)."""
        return self._backlog.remove(call) or self._suspects.remove(call)

    def withdraw_all(self) -> list[Call]:
        """Take everything out that waits."""
        return [*self._suspects.take_all(), *self._backlog.take_all()]

    def _seat_among_others(self, seat: Seat) -> None:
        self._open.append(seat)
        self._open.sort(key=_index)
        self._at[seat.index] = seat

    def _bring_back(self, seat: Seat) -> None:
        """No suspect needs it any more: it is one of the others."""
        seat.is_apart = False
        del self._apart[seat.index]
        self._seat_among_others(seat)

    def _fill(self, seat: Seat) -> list[Call]:
        calls: list[Call] = []
        room = seat.room(self._limit) if seat.is_open else 0
        while room > 0:
            call = self._next(seat)
            if call is None:
                break
            self.give(call, seat)
            calls.append(call)
            if not call.is_nested:
                room -= 1
        return calls

    def _next(self, seat: Seat) -> Call | None:
        """Take the next call for this seat out of the backlog."""
        return self._backlog.take(seat.index)

    def _admit_each(self, calls: Sequence[Call]) -> list[tuple[Seat, Sequence[Call]]]:
        shares: dict[Seat, list[Call]] = {}
        for call in calls:
            seat = self.admit(call)
            if seat is not None:
                shares.setdefault(seat, []).append(call)
        return list(shares.items())

    def _last_look(self, call: Call) -> Seat | None:
        """Something waits from now on. Whoever ended before it was wanted did not say so."""
        self.want(True)
        seat = self._choose(call)
        if seat is not None:
            self._backlog.remove(call)
            self.give(call, seat)
        return seat

    def _choose(self, call: Call) -> Seat | None:
        if call.pin is not None:
            seat = self._at.get(call.pin)
            if seat is not None and (call.is_nested or seat.has_room(self._limit)):
                return seat
            return self._last_resort(call)
        seats = self._open
        if not seats:
            return self._last_resort(call)
        # An idle worker that was busy a moment ago is still awake, with its caches warm.
        seat = seats[self._last % len(seats)]
        if seat.given == seat.tally.ended:
            return seat
        # Otherwise the better of two neighbours, in turn: as even as a search for the least
        # loaded of all, at a constant price (Mitzenmacher, "The power of two choices", 2001).
        self._last = at = (self._last + 1) % len(seats)
        seat, other = seats[at], seats[at - 1]
        load, load_of_other = seat.given - seat.tally.ended, other.given - other.tally.ended
        if load_of_other < load:
            seat, load = other, load_of_other
        # The first of these is what has_room() asks first, spelt out: this is the hot path.
        if (load < self._limit and not seat.is_choked) or call.is_nested or seat.has_room(self._limit):
            return seat
        return min((seat for seat in seats if seat.has_room(self._limit)), key=_load, default=None)

    def _last_resort(self, call: Call) -> Seat | None:
        """A seat that is set apart, for a call that cannot wait: what runs there may be its parent."""
        if not call.is_nested:
            return None
        seats = [seat for seat in self._apart.values() if call.pin in {None, seat.index}]
        return min(seats, key=_load, default=None)


def _index(seat: Seat) -> int:
    return seat.index


def _load(seat: Seat) -> int:
    return seat.load
