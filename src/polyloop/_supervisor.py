"""The life of a pool: opened, resized, closed.

It does not know who waits: opening and closing are `Steps`.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from concurrent.futures import InvalidStateError
from time import monotonic
from typing import TYPE_CHECKING, cast

from ._crew import MARGIN
from ._errors import PoolClosed, StartupError
from ._future import Future
from ._locks import Lock
from ._member import never_start
from ._process import move_in, move_out
from ._resizing import Request
from ._statistics import PoolStatistics
from ._steps import Steps, drive
from ._succession import Succession

if TYPE_CHECKING:
    from types import CodeType

    from ._link import Backend
    from ._plan import Plan

__all__ = ["Supervisor"]

logger = logging.getLogger("polyloop")

# What workers have logged that did not come up may take so long to be handled, in seconds.
LAST_SECONDS = 1.0
# How long workers that still come up when another one has failed may take, in seconds: a process or an
# interpreter hears only then that it is to leave. A guess.
COMING_UP_SECONDS = 2.0


class Supervisor(Succession):
    """Decides what opening and closing mean for one pool.

    Its life moves only forward: opened once, closing, dismissing its workers, over.

    Args:
        backend: Makes its workers.
        plan: What else it is to be.
    """

    def __init__(self, backend: Backend, plan: Plan) -> None:
        super().__init__(backend, plan)
        self._was_opened = False
        self._is_closing = False
        self._is_over = False
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
            if self._plan.quota is not None:
                self._recycler.start()
            for index in range(self.loops):
                self.crew.hire(index)
            yield from self.crew.coming_up()
            with self._lock:
                self._check_wanted()
                self.is_open = True
            self._backend.opened(self)
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
        rest = self._backend.close()
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

    # -- figures -----------------------------------------------------------------------------

    def statistics(self) -> PoolStatistics:
        """The pool in figures; those of workers that were replaced are kept."""
        return PoolStatistics(self.crew.statistics(), self.dispatch.backlog)
