"""Brings workers up, replaces those that are lost, and ends them: the life of a pool.

It does not know who waits: opening and closing are `Steps`.
"""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING

from ._dispatch import Dispatch
from ._errors import ForkedPool, PoolBroken, PoolClosed, StartupError, WorkerLost
from ._future import Future
from ._lifecycle import Event, advance
from ._local import Worker
from ._mailbox import MailboxClosed
from ._member import Member
from ._messages import Leave
from ._process import move_in, move_out
from ._statistics import PoolStatistics, WorkerStatistics
from ._steps import Steps, drive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._link import Leftovers, Link, Reports
    from ._messages import Call

__all__ = ["Supervisor"]

logger = logging.getLogger("polyloop")

# What a worker may take beyond the grace to be gone: its last clean-up, and the machine's noise.
CLOSE_MARGIN = 0.4
# So many replacements in a row may be lost without finishing a call before the pool gives up;
# the wait before each doubles. Guesses: enough to live through a bad minute.
MAX_FRUITLESS = 5
FIRST_DELAY = 0.05


class Supervisor:
    """The workers of one pool.

    `state` moves only forward, under the dispatch's refusal: new, open, closing, closed.

    Args:
        name: The pool's name.
        loops: How many workers.
        limit: Most calls in flight per worker.
        backlog: Most calls that wait; None is no limit.
        backend: The kind of place, for messages.
        make_link: Makes the link to a worker that is to be: the worker, who hears its reports,
            and the seconds to wait before it starts.
    """

    def __init__(
        self,
        *,
        name: str,
        loops: int,
        limit: int,
        backlog: int | None,
        backend: str,
        make_link: Callable[[Worker, Reports, float], Link],
    ) -> None:
        self.name = name
        self.loops = loops
        self.dispatch = Dispatch(limit, backlog, self._not_open)
        self.members: list[Member] = []
        self._backend = backend
        self._make_link = make_link
        self._fruitless = 0
        self.past: list[Member] = []
        self._closed: Future[None] | None = None
        self.is_open = False

    # -- opening -----------------------------------------------------------------------------

    def opening(self) -> Steps:
        """Bring every worker up, or none.

        Raises:
            StartupError: One did not come up; the others have been stopped.
        """
        if self.members:
            raise PoolClosed(f"{self.name} has been opened already; a pool is opened once")
        try:
            for index in range(self.loops):
                self._hire(index, 0)
            for member in self.members:
                yield member.up, None
                member.up.result()
            for member in self.members:
                if member.gone.done():
                    raise WorkerLost(f"{member.worker.name} was lost while others came up", member.index)
        except BaseException as error:
            yield from self._dismissing(0.0)
            self._closed = Future()
            self._closed.settle_value(None)
            self.dispatch.shut(self._is_closed)
            if isinstance(error, Exception):
                raise StartupError(
                    f"{self.name} could not be opened: one of its {self.loops} workers did not come up: "
                    f"{type(error).__name__}: {error}"
                ) from error
            raise
        self.is_open = True
        move_in(self)
        self.dispatch.let_in()

    def _hire(self, index: int, generation: int, delay: float = 0.0) -> None:
        worker = Worker(
            index,
            generation,
            name=f"{self.name}-{index}",
            backend=self._backend,
            loops=self.loops,
            home=self.dispatch,
        )
        member = Member(self, worker)
        member.link = self._make_link(worker, member, delay)
        member.send = member.link.send
        member.send_calls = member.link.send_calls
        # Only what was started is in the list: all of it has to be ended.
        member.link.start()
        if generation == 0:
            self.members.append(member)
        else:
            self.past.append(self.members[index])
            self.members[index] = member

    # -- closing -----------------------------------------------------------------------------

    def closing(self, drain: float | None, grace: float) -> Steps:
        """Drain, cancel what is left, wait for its clean-up, and give up what will not end.

        An interruption - Ctrl-C, a cancelled aclose() - ends the draining; another one ends the
        grace. It is raised in the end.

        Args:
            drain: Seconds to let tasks finish; None is without limit.
            grace: Seconds for clean-up once cancelling has begun, for all workers together.
        """
        if self._closed is not None:
            yield self._closed, None
            return
        self._closed = Future()
        if not self.is_open:
            self.dispatch.shut(self._is_closed)
            self._closed.settle_value(None)
            return
        interruption: BaseException | None = None
        self.dispatch.shut(self._is_closed, but_for_nested=True)
        if drain != 0:
            idle: Future[None] = Future()
            self.dispatch.when_idle(lambda: None if idle.done() else idle.settle_value(None))
            try:
                yield idle, drain
            except BaseException as error:  # noqa: BLE001 - kept, and raised when everything is in order
                interruption = error
        self.dispatch.shut(self._is_closed)
        for call in self.dispatch.withdraw_all():
            call.sink.settle_cancelled()
        try:
            yield from self._dismissing(grace)
        except BaseException as error:  # noqa: BLE001 - as above
            interruption = error
        self._forget_everything()
        if interruption is not None:
            raise interruption

    def _dismissing(self, grace: float) -> Steps:
        """Tell all workers to leave and wait for them, for one shared grace; abandon the rest."""
        deadline = monotonic() + grace
        for member in self.members:
            member.phase = advance(member.phase, Event.LEAVE)
            try:
                member.send(Leave(grace))
            except MailboxClosed:
                pass  # it has ended by itself
        try:
            for member in self.members:
                yield member.gone, max(0.0, deadline + CLOSE_MARGIN - monotonic())
        finally:
            for member in self.members:
                if not member.gone.done():
                    self._abandon(member)
            for member in self.members:
                # Its last report is the last thing it did: this waits for the thread's very end.
                if member.gone.done():
                    member.link.join(CLOSE_MARGIN)

    def _abandon(self, member: Member) -> None:
        logger.warning("%s does not answer: its loop is blocked; it is left to itself", member.worker.name)
        leftovers = member.link.abandon()
        self.give_up(member, [*leftovers.started, *leftovers.unstarted])

    def _forget_everything(self) -> None:
        self.is_open = False
        move_out(self)
        if self._closed is not None and not self._closed.done():
            self._closed.settle_value(None)

    def close_at_exit(self, deadline: float) -> None:
        """See `Inhabitant`."""
        drive(self.closing(0.0, max(0.0, deadline - CLOSE_MARGIN - monotonic())))

    def forked(self) -> None:
        """See `Inhabitant`."""
        self._closed = Future()
        self._closed.settle_value(None)
        self.dispatch.fork(self._is_forked)

    # -- what workers report -----------------------------------------------------------------

    def give_up(self, member: Member, calls: Sequence[Call]) -> None:
        """Settle tasks that would not end with an error that names them."""
        for call in calls:
            if call.is_cancelling and call.seat is None:
                call.sink.settle_cancelled()
                continue
            error = PoolClosed(
                f"{call.title} did not end within the grace when {self.name} was closed; it was given up on "
                f"{member.worker.name} and may still be running there"
            )
            logger.warning("%s", error)
            call.sink.settle_error(error)

    def member_failed(self, member: Member, error: BaseException) -> None:
        """A replacement did not come up: try again, a few times."""
        if member.worker.generation > 0 and self.is_open:
            logger.error("the replacement of %s did not come up", member.worker.name, exc_info=error)
            self._replace(member)

    def member_lost(self, member: Member, reason: BaseException | None, leftovers: Leftovers) -> None:
        """A worker is gone: fail what had started on it, move the rest, replace it."""
        self.dispatch.close_desk(member)
        logger.error("%s was lost", member.worker.name, exc_info=reason)
        for call in leftovers.started:
            error = WorkerLost(
                f"{call.title} was running on {member.worker.name} when that was lost: {reason!r}",
                member.index,
            )
            error.__cause__ = reason
            call.sink.settle_error(error)
        if not self.is_open or self._closed is not None:
            self.give_up(member, leftovers.unstarted)
            return
        self.dispatch.move(leftovers.unstarted)
        self._fruitless = self._fruitless + 1 if member.tally.ended == 0 else 1
        self._replace(member)

    def _replace(self, member: Member) -> None:
        if self._closed is not None:
            return
        if self._fruitless > MAX_FRUITLESS:
            self._break()
            return
        delay = FIRST_DELAY * 2 ** (self._fruitless - 1)
        try:
            self._hire(member.index, member.worker.generation + 1, delay)
        except Exception as error:  # noqa: BLE001 - of whatever there is no more; logged there
            self._fruitless += 1
            self.member_failed(member, error)

    def _break(self) -> None:
        self.dispatch.shut(self._is_broken)
        logger.error("%s is broken: %s", self.name, self._is_broken())
        for call in self.dispatch.withdraw_all():
            call.sink.settle_error(self._is_broken())

    # -- figures -----------------------------------------------------------------------------

    def statistics(self) -> PoolStatistics:
        """The pool in figures; those of workers that were replaced are kept."""
        return PoolStatistics(tuple(map(self._statistics_of, self.members)), self.dispatch.backlog)

    def _statistics_of(self, member: Member) -> WorkerStatistics:
        lives = [past for past in self.past if past.index == member.index]
        lives.append(member)
        return WorkerStatistics(
            index=member.index,
            generation=member.worker.generation,
            phase=member.phase.value,
            ended=sum(life.tally.ended for life in lives),
            failed=sum(life.tally.failed for life in lives),
            cancelled=sum(life.tally.cancelled for life in lives),
            in_flight=max(0, member.load) if member.is_open else 0,
            lag=max(life.link.lag for life in lives),
        )

    # -- what a call is told -----------------------------------------------------------------

    def _not_open(self) -> Exception:
        return PoolClosed(
            f"{self.name} is not open yet: use it in `with` or `async with`, or call open() or aopen() first"
        )

    def _is_closed(self) -> Exception:
        return PoolClosed(f"{self.name} is closed or about to be: it accepts no more calls")

    def _is_broken(self) -> Exception:
        return PoolBroken(
            f"{self.name} gave up: {MAX_FRUITLESS} workers in a row were lost before they finished a call; "
            "the log has the reason of each"
        )

    def _is_forked(self) -> Exception:
        return ForkedPool(
            f"{self.name} was opened by the parent of this process and its loops live there; "
            "open a pool of its own in the child"
        )
