"""The life of a pool: opened, its lost workers replaced, closed.

It does not know who waits: opening and closing are `Steps`.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from concurrent.futures import InvalidStateError
from time import monotonic
from typing import TYPE_CHECKING, cast

from ._crew import MARGIN, Crew, Dismissed
from ._dispatch import Dispatch
from ._elastic import ElasticRoster
from ._errors import PoolClosed, StartupError
from ._future import Future
from ._link import NoRoom
from ._locks import Lock
from ._member import convict, fail_lost, never_start
from ._patience import Patience
from ._process import move_in, move_out
from ._quota import QuotaRoster
from ._recycler import Recycler
from ._refusals import Refusals
from ._resizing import Request
from ._statistics import PoolStatistics
from ._steps import Steps, drive
from ._suspicion import is_suspect, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import CodeType

    from ._elastic import News
    from ._link import Leftovers, Link, Reports, Resizable
    from ._local import Worker
    from ._member import Member
    from ._messages import Call
    from ._seat import Seat

__all__ = ["Supervisor"]

logger = logging.getLogger("polyloop")

# What workers have logged that did not come up may take so long to be handled, in seconds.
LAST_SECONDS = 1.0
# How long workers that still come up when another one has failed may take, in seconds: a process or an
# interpreter hears only then that it is to leave. A guess.
COMING_UP_SECONDS = 2.0


class Supervisor:
    """Decides what opening, closing and a loss mean for one pool.

    Its life moves only forward: opened once, closing, dismissing its workers, over.

    Args:
        name: The pool's name.
        loops: How many workers, to begin with.
        limit: Most calls in flight per worker.
        backlog: Most calls that wait; None is no limit.
        timeout_grace: Seconds that a task has to end once its deadline has passed.
        backend: The kind of place, for messages.
        make_link: Makes the link to a worker that is to be: the worker, who hears its reports,
            and the seconds to wait before it starts.
        opened: Called when the pool is open.
        at_end: Called when the last worker is gone or given up; returns what is to be waited for.
        pack: See `Backend`.
        quota: How many calls a worker gets before it is replaced; None is no end.
        grace: Seconds for the clean-up of a worker that leaves while the pool goes on.
    """

    def __init__(
        self,
        *,
        name: str,
        loops: int,
        limit: int,
        backlog: int | None,
        timeout_grace: float = 0.5,
        backend: str,
        make_link: Callable[[Worker, Reports, float], Link],
        opened: Callable[[Resizable], object] = lambda _: None,
        at_end: Callable[[], Future[None] | None] = lambda: None,
        pack: Callable[[Call], None] | None = None,
        quota: int | None = None,
        grace: float = 5.0,
    ) -> None:
        self.name = name
        self._recycler = Recycler(self, grace)
        self._has_quota = quota is not None
        self._refusals = Refusals(name)
        self.dispatch = Dispatch(
            _make_roster(limit, backlog, quota, self._recycler.tell),
            self._refusals.not_open,
            name=name,
            slots=loops,
            timeout_grace=timeout_grace,
            pack=pack,
        )
        self.crew = Crew(self, loops, backend, make_link)
        self._opened, self._at_end = opened, at_end
        self._patience = Patience()
        # Guards the flags and the patience. Re-entrant, for a signal handler may close the pool in the middle
        # of anything.
        self._lock = Lock()
        self._was_opened = False
        self._is_closing = False
        self._is_over = False
        self.is_open = False
        # The closing under way: settled when it has ended, or when an interruption tore it down.
        self._closing: Future[None] | None = None
        self._closer = 0
        self._idle: Future[None] = Future()
        # Of a pool that a call opens: settled when that has ended, well or not.
        self.opened_by_call: Future[None] = Future()

    # -- opening -----------------------------------------------------------------------------

    def opening(self) -> Steps:
        """Bring every worker up, or none.

        Raises:
            StartupError: One did not come up; the others have been stopped.
        """
        with self._lock:
            if self._was_opened or self._is_closing:
                raise PoolClosed(f"{self.name} has been opened or closed already; a pool is opened once")
            self._was_opened = True
        try:
            # First, since it cannot be done any more when the interpreter is about to exit.
            move_in(self)
            if self._has_quota:
                self._recycler.start()
            for index in range(self.loops):
                self.crew.hire(index)
            yield from self.crew.coming_up()
            with self._lock:
                self._check_wanted()
                self.is_open = True
            self._opened(self)
        except BaseException as error:
            yield from self._failing(error)
            raise
        self.dispatch.let_in()

    @property
    def loops(self) -> int:
        """How many workers it is opened with, or has."""
        return self.dispatch.slots

    def _check_wanted(self) -> None:
        if self._is_closing:
            raise PoolClosed(f"{self.name} was closed while it was being opened")

    def _failing(self, error: BaseException) -> Steps:
        """End what has come up, and raise what the opener is told, unless it is `error` itself."""
        self.dispatch.shut(self._refusals.closed)
        self._recycler.stop()
        if isinstance(error, GeneratorExit):
            self.crew.tell_to_leave(0.0)
            return  # nobody waits any more
        yield from self.crew.dismissing(0.0, COMING_UP_SECONDS)
        yield from self._forgetting_everything(LAST_SECONDS)
        if isinstance(error, Exception):
            self._check_wanted()
            # What the crew says is the same in other words; what else is raised says it all itself.
            cause = error.__cause__ if isinstance(error, StartupError) and error.__cause__ else error
            raise StartupError(
                f"{self.name} could not be opened: one of its {self.loops} workers did not come up: "
                f"{type(cause).__name__}: {cause}"
            ) from cause

    # -- resizing ----------------------------------------------------------------------------

    def resize(self, loops: int, site_code: CodeType | None = None, site_offset: int = 0) -> Future[int]:
        """See `LoopPool.resize`.

        Args:
            loops: How many workers there are to be.
            site_code: Where it was asked for, as for `Future`.
            site_offset: As for `Future`.

        Raises:
            PoolClosed: It is not open.
        """
        request = Request(self, loops, site_code, site_offset)
        with self._lock:
            self.dispatch.check_open()
            self._recycler.start()
            self._recycler.resize(request)
        return request.future

    # -- closing -----------------------------------------------------------------------------

    def closing(self, drain: float | None, grace: float, margin: float = MARGIN) -> Steps:
        """Drain, cancel what is left, wait for its clean-up, and give up what will not end.

        An interruption - Ctrl-C, a cancelled aclose() - ends the draining; another one ends the
        grace. It is raised in the end.

        Args:
            drain: Seconds to let tasks finish; None is without limit.
            grace: Seconds for clean-up once cancelling has begun, for all workers together.
            margin: Seconds beyond that until a worker is given up.
        """
        if self.dispatch.is_opening and drain != 0:
            yield self.opened_by_call, drain  # what it was opened for is to finish
        while not self._begin_closing():
            closing = self._closing
            if closing is not None:
                # Somebody else closes it. Whoever has the least patience decides.
                yield closing, drain
                self.hasten()
                yield closing, None
        try:
            if not self._is_over:
                yield from self._really_closing(drain, grace, margin)
        finally:
            # Also when Ctrl-C tore this down on any line: whoever closes next goes on then.
            closing, self._closing = cast("Future[None]", self._closing), None
            closing.settle_value(None)

    def _begin_closing(self) -> bool:
        with self._lock:
            self._is_closing = True
            if self._closing is not None:
                return False
            self._closing = Future()
            self._closer = threading.get_ident()
            return True

    @property
    def was_closed(self) -> bool:
        """Whether somebody closes the pool, or has closed it; a fork does not count."""
        return self._is_closing

    @property
    def is_closing_here(self) -> bool:
        """Whether a closing under way waits in this very thread, so that blocking here would be for ever.

        This is a signal handler then, or a task beside an ``aclose()``.
        """
        return self._closing is not None and self._closer == threading.get_ident()

    def hasten(self) -> None:
        """End the draining of the closing that is under way."""
        self._tell_idle()

    def _tell_idle(self) -> None:
        with contextlib.suppress(InvalidStateError):  # it was told before: that is as good
            self._idle.settle_value(None)

    def _really_closing(self, drain: float | None, grace: float, margin: float) -> Steps:
        interruption: BaseException | None = None
        if self.is_open and drain != 0:
            self.dispatch.shut(self._refusals.closed, but_for_nested=True)
            self.dispatch.when_idle(self._tell_idle)
            try:
                yield self._idle, drain
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - kept, and raised when everything is in order
                interruption = error
        self._stop_taking()
        deadline = monotonic() + grace + margin
        try:
            yield from self.crew.dismissing(grace, margin)
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001 - as above
            interruption = error
        # What a worker had that was lost meanwhile, and was moved to one that left before it came up.
        never_start(self.dispatch.withdraw_all())
        yield from self._forgetting_everything(max(0.0, deadline - monotonic()))
        if interruption is not None:
            raise interruption

    def _stop_taking(self) -> None:
        self.dispatch.shut(self._refusals.closed)
        never_start(self.dispatch.withdraw_all())
        self._recycler.stop()

    def _forgetting_everything(self, timeout: float) -> Steps:
        self.is_open = False
        self._is_over = True
        self._recycler.join()
        self.dispatch.deadlines.close()
        rest = self._at_end()
        move_out(self)
        if rest is not None:
            yield rest, timeout

    def close_at_exit(self, seconds: float) -> None:
        """See `Inhabitant`."""
        closing = self._closing
        if closing is not None:
            # Somebody else is at it, with a grace of their own.
            self.hasten()
            closing.wait(seconds)
            return
        margin = min(MARGIN, seconds / 2)
        drive(self.closing(0.0, seconds - margin, margin))

    def forked(self) -> None:
        """See `Inhabitant`."""
        self._lock = Lock()
        self.crew.forked()
        self._is_over = True
        self.is_open = False
        self.dispatch.fork(self._refusals.forked)

    # -- what workers report -----------------------------------------------------------------

    def give_up(self, member: Member, calls: Sequence[Call]) -> None:
        """Settle tasks that would not end with an error that names them."""
        fate = "ends with its process" if member.link.can_be_ended else "may still be running there"
        for call in calls:
            error = PoolClosed(
                f"{call.title} did not end within the grace when {self.name} was closed; it was given up on "
                f"{member.worker.name} and {fate}"
            )
            logger.warning("%s", error)
            call.sink.settle_error(error)

    def member_came_up(self) -> None:
        """See `Overseer`."""
        self.crew.look_whether_up()
        self._recycler.look()

    def member_failed(self, member: Member, error: BaseException) -> None:
        """A replacement did not come up: try again, a few times."""
        if self._recycler.resizing.is_new(member.index):
            return  # the pool does without it
        if member.worker.generation > 0 and self.is_open:
            logger.error("the replacement of %s did not come up", member.worker.name, exc_info=error)
            if not isinstance(error, NoRoom):
                with self._lock:
                    self._patience.failed()
            self.replace(member)

    def member_lost(self, member: Member, reason: BaseException | None, leftovers: Leftovers) -> None:
        """A worker is gone: fail what had started on it and may not run again, move the rest, replace it."""
        self.dispatch.close_desk(member)
        logger.error("%s was lost", member.worker.name, exc_info=reason)
        goes_on = self.is_open and not self.crew.is_leaving
        verdict = judge(leftovers.started, goes_on=goes_on)
        fail_lost(verdict.lost, member, reason)
        convict(verdict.poison, member, reason)
        if not goes_on:
            never_start(leftovers.unstarted)
            return
        for call in verdict.again:
            call.losses += 1
            call.is_taken = False
        self.dispatch.move([*verdict.again, *leftovers.unstarted])
        with self._lock:
            self._patience.lost(
                ended_there=member.tally.ended,
                ended=self.crew.ended,
                had_started=bool(leftovers.started),
                has_culprit=bool(verdict.poison),
            )
        self.replace(member)
        if any(map(is_suspect, verdict.again)):
            # They need a worker that comes up, and where this one was replaced before, none does.
            self.dispatch.retire(member.index)
        # Those who wait for the last task to end may have waited for one of these.
        self.dispatch.release(member)

    def has_served(self) -> None:
        """See `Owner`."""
        with self._lock:
            self._patience.served()

    def replace(self, member: Member, *, at_once: bool = False) -> None:
        """Hire who is to have the place of `member`, if nobody has it yet.

        Args:
            member: Who had it last.
            at_once: Whether there is nothing wrong that it might be better to wait for.
        """
        if self.dispatch.give_up(member.index):
            return  # there are to be fewer, and nothing is left to do there
        while not self._patience.is_over:
            delay, at_once = 0.0 if at_once else self._patience.delay, False
            try:
                self.crew.replace(member, delay)
                return
            except Dismissed:
                # What was moved just now may have come too late for whoever closes the pool.
                never_start(self.dispatch.withdraw_all())
                return
            except Exception:
                with self._lock:
                    self._patience.failed()
                logger.exception("%s could not be replaced", member.worker.name)
                # Of whatever there is no more, there may be again. This thread has nothing else to do.
                self.crew.wait_for_leaving(delay)
        self._break()

    def _break(self) -> None:
        self.dispatch.shut(self._refusals.broken)
        logger.error("%s is broken: %s", self.name, self._refusals.broken())
        self._recycler.give_up(self._refusals.broken)
        for call in self.dispatch.withdraw_all():
            call.sink.settle_error(self._refusals.broken())

    # -- figures -----------------------------------------------------------------------------

    def statistics(self) -> PoolStatistics:
        """The pool in figures; those of workers that were replaced are kept."""
        return PoolStatistics(self.crew.statistics(), self.dispatch.backlog)


def _make_roster(
    limit: int, backlog: int | None, quota: int | None, tell: Callable[[News, Seat], object]
) -> ElasticRoster:
    if quota is None:
        return ElasticRoster(limit, backlog, tell)
    return QuotaRoster(limit, backlog, quota, tell)
