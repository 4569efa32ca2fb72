"""What a worker at the other end of a socket says of the outcomes of its calls, and the settling of these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._codec import CANCELLED, ERROR, VALUE
from ._errors import RemoteError
from ._messages import text_of
from ._packed_errors import unpack_error
from ._packing import unpack
from ._plain import PLAIN, split

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._codec import Frame
    from ._link import Reports
    from ._messages import Call, Sink
    from ._underway import Underway

__all__ = ["Settler"]


class Settler:
    """Settles the calls of one worker, and counts them.

    Owned by the thread that carries what comes, where nothing else is said.

    Args:
        reports: Where the worker counts.
        underway: What was sent to it and has no outcome.
    """

    def __init__(self, reports: Reports, underway: Underway) -> None:
        self._reports = reports
        self._underway = underway
        # For this to settle, and nobody else, for it is the one that counts.
        self._called_off: dict[Call, None] = {}

    def take(self, frame: Frame) -> None:
        """Settle all that a frame tells the outcomes of."""
        for number, tag, payload in zip(frame.numbers, frame.tags, frame.payloads, strict=True):
            if tag == VALUE | PLAIN:
                self._take_plain(payload)
                continue
            call = self._underway.take(number)
            if call is not None:  # otherwise it was given up
                self._settle(call, tag, payload)

    def call_off(self, call: Call) -> None:
        """This one has not started, and never will; from any thread."""
        self._called_off[call] = None

    def take_back(self, call: Call) -> bool:
        """Take out a call that was called off, from any thread; False when it is settled, or about to be."""
        return self._called_off.pop(call, self) is None

    def settle_called_off(self) -> bool:
        """Settle those as cancelled; returns whether there were any."""
        calls = list(self._called_off)
        for call in calls:
            if self.take_back(call):
                self._reports.tally.cancelled += 1
                self._count((call,))
                call.sink.settle_cancelled()
        return bool(calls)

    def _take_plain(self, payload: memoryview) -> None:
        numbers, values = split(payload)
        calls = list(map(self._underway.take, numbers))
        # All of them before the first is settled, so that who waits for one finds it counted.
        self._count([call for call in calls if call is not None])
        for call, value in zip(calls, values, strict=True):
            if call is not None:
                self._let_go(call).settle_value(value)

    def _settle(self, call: Call, tag: int, payload: memoryview) -> None:
        kind, packing = tag & 0xF0, tag & 0x0F
        value: Any = None
        error: BaseException | None = None
        if kind == VALUE:
            value, error = _unpacked(call, packing, payload)
        elif kind == ERROR:
            error = unpack_error(payload, packing)
        # Before it is settled, so that who waits for it finds it counted.
        if error is not None:
            self._reports.tally.failed += 1
        elif kind == CANCELLED:
            self._reports.tally.cancelled += 1
        self._count((call,))
        sink = self._let_go(call)
        if error is not None:
            sink.settle_error(error)
        elif kind == CANCELLED:
            sink.settle_cancelled()
        else:
            sink.settle_value(value)

    @staticmethod
    def _let_go(call: Call) -> Sink:
        """The sink of a call, about to be settled."""
        sink = call.sink
        # As the runner does: what refers to each other here would be left to the garbage collector.
        del call.sink, call.context
        call.packed = None
        return sink

    def _count(self, calls: Sequence[Call]) -> None:
        tally = self._reports.tally
        for call in calls:
            if call.options is not None and call.options.name is not None:
                tally.named[call.options.name] += 1
            if call.is_nested:
                tally.nested += 1
            if call.pin is not None:
                tally.pinned += 1
        tally.ended += len(calls)


def _unpacked(call: Call, packing: int, payload: memoryview) -> tuple[Any, BaseException | None]:
    try:
        return unpack(payload, packing), None
    except BaseException as failure:  # noqa: BLE001 - by the code of a class of the user's
        error = RemoteError(
            f"{call.title} has returned something that cannot be made again in this process: "
            f"{type(failure).__name__}: {text_of(failure)}",
            type(failure).__qualname__,
            text_of(failure),
        )
        error.__cause__ = failure
        return None, error
