"""The calls that were sent to one worker elsewhere and have no outcome yet.

Who takes a call out settles it, and nobody else: ``dict.pop`` gives it to one thread only, with the GIL or
without. That is the whole of "exactly once".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ._codec import BrokenFrame
from ._link import Leftovers

if TYPE_CHECKING:
    from ._messages import Call
    from ._packing import Packed

__all__ = ["CREDIT_BYTES", "Underway"]

# Of calls that the worker has not begun to read. A guess: enough to keep it busy, little to lose.
CREDIT_BYTES = 8 << 20


class Underway:
    """Calls by the numbers that they travel under, which grow.

    `add` and `call_off` are called under the pool's lock, `begin` by the thread that hears from the worker,
    and the rest by anybody.
    """

    def __init__(self) -> None:
        self._calls: dict[int, Call] = {}
        self._last = 0
        self._begun = 0
        # Of each of them one thread is the owner: who sends, and who hears.
        self._sent_bytes = 0
        self._read_bytes = 0
        self.is_full = False
        """What `is_too_much` would have said when the last call was added: asking costs a call for each."""

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._calls)

    def add(self, call: Call) -> int:
        """Give a call, which is packed, its number."""
        packed: Any = call.packed
        size = packed[2]
        number = self._last + 1
        # No function is called between these lines, so no signal handler runs between them.
        self._last = number
        self._calls[number] = call
        call.number = number
        self._sent_bytes += size
        self.is_full = self._sent_bytes - self._read_bytes > CREDIT_BYTES
        return number

    def take(self, number: int | None) -> Call | None:
        """The call of that number, for the one who settles it; None for everybody after."""
        return None if number is None else self._calls.pop(number, None)

    def call_off(self, number: int) -> Call | None:
        """Take a call that is not to start after all; nobody is going to read it."""
        call = self.take(number)
        if call is not None and not call.is_taken:
            # If it begins just now, it is counted as read, too, and so much more may be on its way: no harm.
            self._sent_bytes -= cast("Packed", call.packed)[2]
        return call

    def take_all(self, untold: int = 0) -> Leftovers:
        """Those that are left, for whoever answers for them.

        Args:
            untold: The greatest number of those that may have started though nothing was heard of it.
        """
        started: list[Call] = []
        unstarted: list[Call] = []
        for number in list(self._calls):
            call = self._calls.pop(number, None)
            if call is not None:
                call.number = None
                (started if call.is_taken or number <= untold else unstarted).append(call)
        return Leftovers(started, unstarted)

    def begin(self, last: int) -> list[Call]:
        """Those that have started by now; they can not move any more.

        All of them are marked before anybody is told of the first.

        Args:
            last: The greatest number of those.

        Raises:
            BrokenFrame: There is no such call.
        """
        if last > self._last:
            raise BrokenFrame(f"call {last} is said to have started, and the last one sent is {self._last}")
        read = 0
        begun: list[Call] = []
        for number in range(self._begun + 1, last + 1):
            call = self._calls.get(number)
            if call is not None:
                call.is_taken = True
                packed: Any = call.packed
                read += packed[2]
                begun.append(call)
        self._begun = max(last, self._begun)
        self._read_bytes += read
        return begun

    def is_too_much(self) -> bool:
        """Whether the worker is to get no more until it has read some of it."""
        return self._sent_bytes - self._read_bytes > CREDIT_BYTES
