"""The life of a pool: opened, its lost workers replaced, closed.

It does not know who waits: opening and closing are `Steps`.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from concurrent.futures import InvalidStateError
from typing import TYPE_CHECKING, cast

from ._crew import MARGIN, Crew, Dismissed
from ._dispatch import Dispatch
from ._errors import PoolClosed, StartupError
from ._future import Future
from ._locks import Lock
from ._member import convict, fail_lost, never_start
from ._patience import Patience
from ._process import move_in, move_out
from ._refusals import Refusals
from ._statistics import PoolStatistics
from ._steps import Steps, drive
from ._suspicion import judge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._link import Leftovers, Link, Reports
    from ._local import Worker
    from ._member import Member
    from ._messages import Call

__all__ = ["Supervisor"]

logger = logging.getLogger("polyloop")


class Supervisor:
    """Decides what opening, closing and a loss mean for one pool.

    Its life moves only forward: opened once, closing, dismissing its workers, over.

    Args:
        name: The pool's name.
        loops: How many workers.
        limit: Most calls in flight per worker.
        backlog: Most calls that wait; None is no limit.
        timeout_grace: Seconds that a task has to end once its deadline has passed.
        backend: The kind of place, for messages.
        make_link: Makes the link to a worker that is to be: the worker, who hears its reports,
            and the seconds to wait before it starts.
        at_end: Called when the last worker is gone or given up.
        pack: See `Backend`.
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
        at_end: Callable[[], object] = lambda: None,
        pack: Callable[[Call], None] | None = None,
    ) -> None:
        self.name = name
        self.loops = loops
        self._refusals = Refusals(name)
        self.dispatch = Dispatch(
            limit,
            backlog,
            self._refusals.not_open,
            name=name,
            slots=loops,
            timeout_grace=timeout_grace,
            pack=pack,
        )
        self.crew = Crew(self, loops, backend, make_link)
        self._at_end = at_end
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
            for index in range(self.loops):
                self.crew.hire(index, 0)
            yield from self.crew.coming_up()
            with self._lock:
                self._check_wanted()
                self.is_open = True
        except BaseException as error:
            yield from self._failing(error)
            raise
        self.dispatch.let_in()

    def _check_wanted(self) -> None:
        if self._is_closing:
            raise PoolClosed(f"{self.name} was closed while it was being opened")

    def _failing(self, error: BaseException) -> Steps:
        """End what has come up, and raise what the opener is told, unless it is `error` itself."""
        self.dispatch.shut(self._refusals.closed)
        if isinstance(error, GeneratorExit):
            self.crew.tell_to_leave(0.0)
            return  # nobody waits any more
        yield from self.crew.dismissing(0.0)
        self._forget_everything()
        if isinstance(error, Exception):
            self._check_wanted()
            # What the crew says is the same in other words; what else is raised says it all itself.
            cause = error.__cause__ if isinstance(error, StartupError) and error.__cause__ else error
            raise StartupError(
                f"{self.name} could not be opened: one of its {self.loops} workers did not come up: "
                f"{type(cause).__name__}: {cause}"
            ) from cause

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
        self.dispatch.shut(self._refusals.closed)
        never_start(self.dispatch.withdraw_all())
        try:
            yield from self.crew.dismissing(grace, margin)
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001 - as above
            interruption = error
        # What a worker had that was lost meanwhile, and was moved to one that left before it came up.
        never_start(self.dispatch.withdraw_all())
        self._forget_everything()
        if interruption is not None:
            raise interruption

    def _forget_everything(self) -> None:
        self.is_open = False
        self._is_over = True
        self.dispatch.deadlines.close()
        self._at_end()
        move_out(self)

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

    def member_failed(self, member: Member, error: BaseException) -> None:
        """A replacement did not come up: try again, a few times."""
        if member.worker.generation > 0 and self.is_open:
            logger.error("the replacement of %s did not come up", member.worker.name, exc_info=error)
            with self._lock:
                self._patience.failed()
            self._replace(member)

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
        self._replace(member)
        # Those who wait for the last task to end may have waited for one of these.
        self.dispatch.ended(member)

    def _replace(self, member: Member) -> None:
        while not self._patience.is_over:
            delay = self._patience.delay
            try:
                self.crew.hire(member.index, member.worker.generation + 1, delay)
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
        for call in self.dispatch.withdraw_all():
            call.sink.settle_error(self._refusals.broken())

    # -- figures -----------------------------------------------------------------------------

    def statistics(self) -> PoolStatistics:
        """The pool in figures; those of workers that were replaced are kept."""
        return PoolStatistics(self.crew.statistics(), self.dispatch.backlog)
