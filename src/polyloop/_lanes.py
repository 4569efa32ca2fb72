"""Which items of a map may go, if each key may have so many under way: a machine that does only think.

It knows nothing of windows, workers or results: it is told who comes and who has ended, and answers
with who may go. Owned by the map's consumer.

The law: items of one key go in the order they came in, and never more of them are under way than its width.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Lanes", "Place"]

T = TypeVar("T")


class Lane(Generic[T]):
    """One key's items that have not ended."""

    __slots__ = ("is_ready", "key", "under_way", "waiting")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.under_way = 0
        self.is_ready = False
        self.waiting: deque[Place[T]] = deque()


class Place(Generic[T]):
    """One item's place among all and in its lane.

    Attributes:
        number: Who has the lower one came first.
        item: Who has it.
        key: Whose lane it goes into.
        lane: That lane, once it is in there.
        is_under_way: Whether it counts there: it may go, and has not ended.
        is_waiting: Whether it waits there.
    """

    __slots__ = ("is_under_way", "is_waiting", "item", "key", "lane", "number")

    def __init__(self, number: int, item: T, key: Hashable = None) -> None:
        self.number = number
        self.item = item
        self.key = key
        self.lane: Lane[T] | None = None
        self.is_under_way = False
        self.is_waiting = False


class Lanes(Generic[T]):
    """A lane for each key, in which at most `width` items are under way; the others wait, in order.

    Who waits and may go is given out by number, whatever its lane: the first of an ordered map must not
    wait for those behind it.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._lanes: dict[Hashable, Lane[T]] = {}
        # All lanes where somebody waits and there is room, with the number of who is first: a heap.
        self._ready: list[tuple[int, Lane[T]]] = []
        self._waiting = 0

    def __len__(self) -> int:
        """How many wait."""
        return self._waiting

    @property
    def keys(self) -> int:
        """How many keys have items that wait or are under way."""
        return len(self._lanes)

    def enter(self, place: Place[T]) -> None:
        """Take a new item: it is under way at once, or waits.

        Raises:
            Exception: Its key cannot be hashed or compared; nothing was taken.
        """
        lane = self._lanes.get(place.key)
        if lane is None:
            lane = self._lanes[place.key] = Lane(place.key)
        place.lane = lane
        if lane.waiting or lane.under_way >= self._width:
            lane.waiting.append(place)
            place.is_waiting = True
            self._waiting += 1
        else:
            lane.under_way += 1
            place.is_under_way = True

    def end(self, place: Place[T]) -> None:
        """This item is under way no longer, or waits no longer; told a second time, nothing happens."""
        lane = place.lane
        if lane is None:
            return
        if place.is_waiting:
            place.is_waiting = False
            lane.waiting.remove(place)
            self._waiting -= 1
        elif place.is_under_way:
            place.is_under_way = False
            lane.under_way -= 1
        self._look_at(lane)

    def release(self, most: int, *, before: int | None = None) -> list[T]:
        """Let those go who waited and may, by number.

        Args:
            most: No more than so many.
            before: Only those with a lower number than this.
        """
        released: list[T] = []
        while self._ready and len(released) < most and (before is None or self._ready[0][0] < before):
            number, lane = heappop(self._ready)
            lane.is_ready = False
            # Otherwise who was first here has left without having gone.
            if lane.waiting and lane.waiting[0].number == number:
                place = lane.waiting.popleft()
                self._waiting -= 1
                lane.under_way += 1
                place.is_waiting, place.is_under_way = False, True
                released.append(place.item)
            self._look_at(lane)
        return released

    def _look_at(self, lane: Lane[T]) -> None:
        """Put a lane among those that are ready, or forget it, if that is what it has come to."""
        if lane.waiting:
            if lane.under_way < self._width and not lane.is_ready:
                lane.is_ready = True
                heappush(self._ready, (lane.waiting[0].number, lane))
        # A key whose hash has changed since belongs to another lane now, or to none.
        elif not lane.under_way and self._lanes.get(lane.key) is lane:
            del self._lanes[lane.key]
