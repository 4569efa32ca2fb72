"""The deadline of one call, in front of the call's sink: it tells a deadline from a cancellation.

It keeps no time: when it passes is told by `Deadlines`, which watches it.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, cast

from ._errors import DeadlineExceeded

if TYPE_CHECKING:
    from ._link import Link
    from ._messages import Call, Sink

__all__ = ["Deadline", "Watch", "current_deadline"]

logger = logging.getLogger("polyloop")

current_deadline: ContextVar[Deadline | None] = ContextVar("polyloop.deadline", default=None)
"""The deadline of the task that is running here: what it calls and waits for inherits it."""


class Watch(Protocol):
    """Who watches deadlines."""

    name: str
    grace: float
    live: dict[Deadline, bool]


class Desk(Protocol):
    """Where a call was sent."""

    index: int
    link: Link


class Deadline:
    """The sink of a call that has a deadline, in front of the call's own sink.

    Whoever takes it out of ``watch.live`` settles the call, and nobody else: ``dict.pop`` gives it to one
    thread only, with the GIL or without.

    Args:
        watch: Who watches it.
        call: The call; what is its sink by now becomes the one behind this.
        when: When it passes, on the clock of ``time.monotonic``.
        timeout: Seconds until then.
    """

    __slots__ = (
        "_own_timeout",
        "_own_when",
        "_sink",
        "_source",
        "_watch",
        "call",
        "has_passed",
        "is_cause",
        "timeout",
        "when",
    )

    def __init__(self, watch: Watch, call: Call, when: float, timeout: float) -> None:
        self._watch = watch
        self._sink: Sink | None = call.sink
        self._source: Deadline | None = None
        self.call: Call | None = call
        self.when = when
        self.timeout = timeout
        self.has_passed = False
        # Whether it is why the task was cancelled, and not somebody who had asked for that before.
        self.is_cause = False

    @property
    def is_over(self) -> bool:
        """Whether the call has its outcome."""
        return self.call is None

    # -- the sink ----------------------------------------------------------------------------

    def started(self) -> None:
        """See `Sink`."""
        # Not when it was handed in: what this makes would wait with thousands of calls, and be looked through
        # by the garbage collector again and again.
        current_deadline.set(self)
        sink = self._sink
        if sink is not None:  # otherwise it was given up just now
            sink.started()

    def settle_value(self, value: Any, /) -> None:
        """See `Sink`."""
        # As in _release(), spelt out: this is the hot path.
        if self._watch.live.pop(self, False):
            sink, self._sink, self.call = self._sink, None, None
            cast("Sink", sink).settle_value(value)

    def settle_error(self, error: BaseException, /) -> None:
        """See `Sink`."""
        call = self.call
        sink = self._release()
        if sink is None or call is None:
            logger.error("a task that was given up at its deadline failed after that", exc_info=error)
            return
        if self.is_cause and _is_of_deadlines(error):
            # Of what it waited for and what had inherited the deadline: they pass together.
            exceeded = self._exceeded(call, still_running=False)
            exceeded.__cause__ = error
            error = exceeded
        sink.settle_error(error)

    def settle_cancelled(self) -> None:
        """See `Sink`."""
        call = self.call
        sink = self._release()
        if sink is None or call is None:
            return  # it was given up, and has ended now
        if self.is_cause:
            sink.settle_error(self._exceeded(call, still_running=False))
        else:
            sink.settle_cancelled()

    # -- for who watches it ------------------------------------------------------------------

    def inherit(self, source: Deadline, now: float) -> None:
        """Pass with `source`, which comes first, for as long as the task runs whose deadline that is."""
        self._source, self._own_when, self._own_timeout = source, self.when, self.timeout
        self.when, self.timeout = source.when, source.when - now

    def drop(self) -> None:
        """Watch it no more: its call was refused."""
        self._release()

    def postpone(self) -> None:
        """Put it off to when it passes by now, for what it was inherited from may have been met."""
        # From the first of the chain on, and no recursion: a chain is as long as calls are nested.
        chain: list[Deadline] = []
        link: Deadline | None = self
        while link is not None:
            chain.append(link)
            link = link._source
        for each in reversed(chain):
            each._follow_source()

    def _follow_source(self) -> None:
        source = self._source
        if source is None:
            return
        if source.is_over or source.when >= self._own_when:
            self._source = None
            self.when, self.timeout = self._own_when, self._own_timeout
        elif source.when != self.when:
            self.timeout += source.when - self.when
            self.when = source.when

    def give_up(self) -> None:
        """Settle the call, whose task has not ended."""
        call = self.call
        sink = self._release()
        if sink is not None and call is not None:
            desk = cast("Desk | None", call.seat)
            # First: then what has been heard of the call is true.
            is_unheard = desk is not None and desk.link.is_unheard
            sink.settle_error(self._exceeded(call, still_running=call.is_taken or is_unheard))

    def _release(self) -> Sink | None:
        """The sink behind this one, for the one caller that may settle it."""
        if not self._watch.live.pop(self, False):
            return None
        # What watches this may keep it until the deadline; the call and its future it may not.
        sink, self._sink, self.call = self._sink, None, None
        return sink

    def _exceeded(self, call: Call, *, still_running: bool) -> DeadlineExceeded:
        index = cast("Desk", call.seat).index if call.seat is not None else None
        if still_running:
            runs = "still runs" if call.is_taken else "may run"
            what = (
                f"did not end, nor within {self._watch.grace:g} s after it was cancelled: it {runs} on "
                f"{self._watch.name}-{index}"
            )
        elif call.is_taken:
            what = "did not end; it was cancelled and has ended"
        else:
            what = "did not start, and never will"
        return DeadlineExceeded(
            f"{call.title} had a deadline of {self.timeout:.6g} s, and {what}",
            worker=index,
            timeout=self.timeout,
            still_running=still_running,
        )


def _is_of_deadlines(error: BaseException) -> bool:
    """Whether it is a `DeadlineExceeded`, or a group of nothing else."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_of_deadlines, cast("BaseExceptionGroup[BaseException]", error).exceptions))
    return isinstance(error, DeadlineExceeded)
