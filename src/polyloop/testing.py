"""A backend for tests: what a worker does, and when, is what the test says.

    backend = FakeBackend()
    with LoopPool(1, backend=backend) as pool:
        future = pool.submit(fetch, "http://...")
        [link] = backend.links
        link.deliver()
        link.finish(link.running[0], b"body")

No thread, no loop and no runner: calls are never run, so each way that a worker can take, the rare ones
too, is a few lines and always the same. It tests what a program makes of outcomes, losses and refusals; it
says nothing of how fast anything is.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from ._link import Leftovers
from ._locks import Lock
from ._mailbox import MailboxClosed
from ._messages import Call, Cancel, Leave

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._link import Reports, Resizable
    from ._local import Worker
    from ._messages import Command

__all__ = ["FakeBackend", "FakeLink"]


class FakeBackend:
    """Makes the links of one pool, for ``LoopPool(backend=...)``. Used in one thread.

    But with ``max_tasks_per_worker`` a thread of the pool's has workers replaced, and tells them to leave.

    Attributes:
        name: What ``Worker.backend`` says.
        links: All links that were made, in order; those of workers that were replaced stay.
        answers: Whether workers come up when they are started and leave when they are told to. If not,
            the test says when, by `FakeLink.come_up` and `FakeLink.deliver`; ``open()`` and ``close()``,
            which wait for it, are then for another thread.
        start_error: What starting the next workers raises, if anything.
    """

    name = "fake"

    def __init__(self, *, answers: bool = True) -> None:
        self.links: list[FakeLink] = []
        self.pack = None
        self.answers = answers
        self.start_error: Exception | None = None

    def opened(self, pool: Resizable, /) -> None:
        """For the pool: it is open."""

    def close(self) -> None:
        """For the pool: its last worker is gone."""

    def make_link(self, worker: Worker, reports: Reports, delay: float) -> FakeLink:
        """For the pool: the link to a worker that is to be."""
        link = FakeLink(self, worker, reports, delay)
        self.links.append(link)
        return link


class FakeLink:
    """A worker that the test plays.

    Attributes:
        worker: Who it is.
        delay: The seconds that it was to wait before it came up.
        sent: The commands that were sent and not delivered yet: calls, cancellations, the order to leave.
        running: The calls that were delivered and have not ended.
        lag: What the pool's statistics say of its loop.
    """

    def __init__(self, backend: FakeBackend, worker: Worker, reports: Reports, delay: float) -> None:
        self._backend = backend
        self._reports = reports
        self._has_ended = False
        self._leaving = Lock()
        self.worker = worker
        self.delay = delay
        self.sent: deque[Command] = deque()
        self.running: list[Call] = []
        self.lag = 0.0

    # -- what the test says ------------------------------------------------------------------

    def come_up(self) -> None:
        """The worker is up."""
        self._reports.ready()

    def fail(self, error: BaseException) -> None:
        """The worker does not come up, because of `error`."""
        self._has_ended = True
        self._reports.failed(error)

    def deliver(self, most: int | None = None) -> None:
        """Let the worker have the oldest `most` of the commands sent, or all.

        It starts calls, cancels the tasks that are to be cancelled, and leaves, which cancels the rest.
        """
        count = len(self.sent) if most is None else most
        for _ in range(count):
            self._carry_out(self.sent.popleft())

    def finish(self, call: Call, value: Any) -> None:
        """A running task returns `value`."""
        self.running.remove(call)
        call.sink.settle_value(value)
        self._count(call)

    def finish_with_error(self, call: Call, error: BaseException) -> None:
        """A running task raises `error`."""
        self.running.remove(call)
        self._reports.tally.failed += 1
        call.sink.settle_error(error)
        self._count(call)

    def finish_cancelled(self, call: Call) -> None:
        """A running task ends as cancelled."""
        self.running.remove(call)
        self._settle_cancelled(call)

    def lose(self, reason: BaseException | None = None) -> None:
        """The worker is gone without having been told to."""
        self._reports.lost(reason, self.abandon())

    # -- what the pool says: see `Link` ------------------------------------------------------

    def start(self) -> None:
        """See `Link`."""
        if self._backend.start_error is not None:
            raise self._backend.start_error
        if self._backend.answers:
            self.come_up()

    def send(self, command: Command, /) -> None:
        """See `Link`."""
        if self._backend.answers and isinstance(command, Leave):
            # Two threads may want it to leave: one has it leave, and the other hears that it has.
            with self._leaving:
                self._put(command)
                self.deliver()
        else:
            self._put(command)

    def _put(self, command: Command) -> None:
        if self._has_ended:
            raise MailboxClosed
        self.sent.append(command)

    def send_calls(self, calls: Sequence[Call], /) -> None:
        """See `Link`."""
        if self._has_ended:
            raise MailboxClosed(list(calls))
        self.sent.extend(calls)

    def abandon(self) -> Leftovers:
        """See `Link`."""
        self._has_ended = True
        unstarted = [command for command in self.sent if isinstance(command, Call) and not command.is_taken]
        started, self.running = self.running, []
        self.sent.clear()
        return Leftovers(started, unstarted)

    can_be_ended = False
    is_unheard = False

    def join(self, timeout: float) -> bool:
        """See `Link`."""
        return self._has_ended

    def forked(self) -> None:
        """See `Link`."""

    # -- the worker --------------------------------------------------------------------------

    def _carry_out(self, command: Command) -> None:
        if isinstance(command, Call):
            self._begin(command)
        elif isinstance(command, Cancel):
            if command.call in self.running:
                self.finish_cancelled(command.call)
        else:
            for call in list(self.running):
                self.finish_cancelled(call)
            self._reports.left(self.abandon())

    def _begin(self, call: Call) -> None:
        if call.is_taken:
            return  # sent twice by a submit() that Ctrl-C interrupted
        call.is_taken = True
        if call.is_cancelling:
            self._settle_cancelled(call)
        else:
            self.running.append(call)
            call.context.run(call.sink.started)

    def _settle_cancelled(self, call: Call) -> None:
        self._reports.tally.cancelled += 1
        call.sink.settle_cancelled()
        self._count(call)

    def _count(self, call: Call) -> None:
        tally = self._reports.tally
        tally.nested += call.is_nested
        tally.pinned += call.pin is not None
        tally.ended += 1
        if self._reports.is_wanted:
            self._reports.ended()
