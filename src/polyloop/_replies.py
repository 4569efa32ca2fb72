"""Outcomes on their way back from a worker to its pool: many in one frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._codec import CANCELLED, ERROR, VALUE, Kind, encode
from ._packed_errors import pack_error
from ._packing import pack_value
from ._plain import PLAIN, join, plain_size

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from ._codec import Bytes, Entry
    from ._messages import Call
    from ._outbox import Outbox

__all__ = ["Replies"]

# Those that wait are sent when they are so large, though more may come at once.
MOST_WAITING_BYTES = 1 << 20


class Replies:
    """Gathers outcomes and sends them; owned by the worker's loop.

    Args:
        loop: The loop.
        outbox: The way back.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, outbox: Outbox) -> None:
        self._loop = loop
        self._outbox = outbox
        self._calls: dict[int, Call] = {}
        self._waiting: list[Entry] = []
        self._waiting_bytes = 0
        # Those that are plain are one message when they are sent.
        self._plain_numbers: list[int] = []
        self._plain_values: list[Any] = []
        self._is_flushing = False

    def expect(self, number: int, call: Call) -> None:
        """Be the sink of a call that came under this number."""
        call.sink = _Return(self, number)
        self._calls[number] = call

    def call(self, number: int) -> Call | None:
        """The call of that number, if it has no outcome yet."""
        return self._calls.get(number)

    def numbers(self, calls: Sequence[Call]) -> list[int]:
        """Under which numbers these came."""
        return [number for number, call in self._calls.items() if call in calls]

    def settle_value(self, number: int, value: Any) -> None:
        """A task has returned something."""
        try:
            tag, parts, size = pack_value(value, self._calls[number].title)
        except BaseException as error:  # noqa: BLE001 - by the code of a class of the user's
            self.settle_error(number, error)
            return
        self.add(number, VALUE | tag, parts, size)

    def settle_error(self, number: int, error: BaseException) -> None:
        """A task has raised."""
        tag, parts, size = pack_error(error)
        self.add(number, ERROR | tag, parts, size)

    def settle_cancelled(self, number: int) -> None:
        """A task was cancelled."""
        self.add(number, CANCELLED, (), 0)

    def hold(self) -> None:
        """Send nothing, unless it is a lot, until somebody calls `take` or `flush`, who is about to."""
        self._is_flushing = True

    def flush(self) -> None:
        """Send those that wait."""
        self._is_flushing = False
        frame = self.take()
        if frame:
            self._outbox.put(frame)

    def take(self) -> list[Bytes]:
        """A frame of those that wait, for who sends something of their own just now; nothing if none do."""
        if self._plain_numbers:
            self._waiting.append(join(VALUE | PLAIN, self._plain_numbers, self._plain_values))
            self._plain_numbers, self._plain_values = [], []
        if not self._waiting:
            return []
        waiting, self._waiting = self._waiting, []
        self._waiting_bytes = 0
        return encode(Kind.DONE, waiting)

    def add_plain(self, number: int, value: Any, size: int) -> None:
        """A value that is plain."""
        del self._calls[number]
        self._plain_numbers.append(number)
        self._plain_values.append(value)
        self._send_soon(size)

    def add(self, number: int, tag: int, parts: Sequence[Bytes], size: int) -> None:
        """An outcome, as it is sent."""
        self._calls.pop(number, None)  # it may never have begun
        if (self._waiting or self._plain_numbers) and self._waiting_bytes + size > MOST_WAITING_BYTES:
            self.flush()  # before: together they might be more than a frame may have
        self._waiting.append((number, tag, parts, size))
        self._send_soon(size)

    def _send_soon(self, size: int) -> None:
        self._waiting_bytes += size
        if self._waiting_bytes > MOST_WAITING_BYTES:
            self.flush()
        elif not self._is_flushing:
            self._is_flushing = True
            self._loop.call_soon(self.flush)


class _Return:
    """The sink of one call: it sends the outcome back."""

    __slots__ = ("_number", "_replies")

    def __init__(self, replies: Replies, number: int) -> None:
        self._replies = replies
        self._number = number

    def started(self) -> None:
        """The pool has been told."""

    def settle_value(self, value: Any, /) -> None:
        """See `Sink`."""
        size = plain_size((value,))
        if size:
            self._replies.add_plain(self._number, value, size)
        else:
            self._replies.settle_value(self._number, value)

    def settle_error(self, error: BaseException, /) -> None:
        """See `Sink`."""
        self._replies.settle_error(self._number, error)

    def settle_cancelled(self) -> None:
        """See `Sink`."""
        self._replies.settle_cancelled(self._number)
