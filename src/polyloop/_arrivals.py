"""The calls that have come to a worker elsewhere and have not begun, in order."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any, TypeAlias

from ._packing import divide
from ._plain import PLAIN, split

if TYPE_CHECKING:
    from ._codec import Frame

__all__ = ["Arrival", "Arrivals"]


Arrival: TypeAlias = tuple[int, tuple[Any, ...], Any, int]
"""A call that has come: its number, and they grow; its arguments, if it is plain; what is to be unpacked, and
that is the name of its function then; and the tag of that."""


class Arrivals:
    """A queue of them; owned by the worker's loop.

    No object is made for a call that waits, and as much as possible is left to C: there may be so many that
    the loop's timers would be late.
    """

    def __init__(self) -> None:
        self._calls: deque[Arrival] = deque()
        self._called_off: set[int] = set()
        # The greatest numbers that have come, and that have begun.
        self._last = self._begun = 0

    def __len__(self) -> int:
        """How many wait."""
        return len(self._calls)

    def add(self, frame: Frame) -> None:
        """These have come. Some may have come before, sent by a submit() that Ctrl-C interrupted."""
        for number, tag, payload in zip(frame.numbers, frame.tags, frame.payloads, strict=True):
            if tag == PLAIN:
                self._add_plain(payload)
            elif number > self._last:
                self._last = number
                self._calls.append((number, (), payload, tag))

    def call_off(self, number: int) -> None:
        """This one must not begin; nothing happens if it has."""
        if number > self._begun:
            self._called_off.add(number)

    def numbers(self, count: int) -> list[int]:
        """Those of the first so many."""
        return [number for number, *_ in islice(self._calls, count)]

    def number_at(self, index: int) -> int:
        """That of one."""
        return self._calls[index][0]

    def begin(self) -> tuple[Arrival, bool]:
        """Take the first one, to begin it; and whether it must not begin."""
        call = self._calls.popleft()
        self._begun = number = call[0]
        if number not in self._called_off:
            return call, False
        self._called_off.discard(number)
        return call, True

    def _add_plain(self, payload: memoryview) -> None:
        name, rest = divide(payload)
        numbers, arguments = split(rest)
        if numbers[0] <= self._last:
            new = bisect_right(numbers, self._last)
            numbers, arguments = numbers[new:], arguments[new:]
        if numbers:
            self._last = numbers[-1]
            self._calls.extend(zip(numbers, arguments, repeat(name), repeat(PLAIN)))
