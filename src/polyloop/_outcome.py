"""How a future gets its outcome, once, and what it hands out of it.

Who settles it is not decided here: whoever owns the task does, exactly once. The outcome is stored before the
phase that announces it.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import InvalidStateError
from typing import TYPE_CHECKING, Protocol, TypeVar

from ._callbacks import CallbackFuture
from ._concurrent import CANCELLED, DONE, FINISHED, PENDING
from ._errors import TaskCancelled
from ._nag import Nag

if TYPE_CHECKING:
    from types import CodeType, TracebackType

__all__ = ["OutcomeFuture", "Owner"]

T = TypeVar("T")


class Owner(Protocol):
    """Whoever can act on the task behind a future."""

    def cancel_task(self) -> None:
        """Ask the task to stop; if it has ended already, nothing happens."""

    def cancel_with_waiter(self) -> None:
        """As `cancel_task`, because somebody who waits for the task has to stop."""

    def check_wait(self) -> None:
        """Raise if a synchronous wait for the task, here, could never end."""

    @property
    def is_forked(self) -> bool:
        """Whether this is a forked child, in which the task will never report."""
        ...

    @property
    def title(self) -> str:
        """What to call the task in messages."""
        ...


class OutcomeFuture(CallbackFuture[T]):
    """The part of `Future` that knows its task, and what has come of it.

    Args:
        owner: Who can act on the task; None once there is nothing to act on.
        site_code: Where the call was submitted: a code object, and an instruction in it. A frame would keep
            everything alive that its function holds; a line number takes a search.
        site_offset: That instruction.
    """

    __slots__ = (
        "_has_started",
        "_nag",
        "_owner",
        "_site_code",
        "_site_offset",
        "_title",
        "_traceback",
        "_waited_for",
    )

    def __init__(
        self, owner: Owner | None = None, site_code: CodeType | None = None, site_offset: int = 0
    ) -> None:
        # super().__init__() is left out: it makes a lock and a condition for every future, and
        # most are never waited for by a thread. Properties of `ConcurrentFuture` stand in for them.
        self._owner = owner
        self._site_code = site_code
        self._site_offset = site_offset
        self._phase = PENDING
        # Apart from the phase, which only the outcome changes: a task that is given up may start at the
        # very moment in which another thread settles it.
        self._has_started = False
        self._first_is_free = True
        self._first_fn = None
        self._nag: Nag | None = None

    def started(self) -> None:
        """For the library: the task is about to take its first step."""
        self._has_started = True
        if self._condition_or_none is not None:
            self._publish()

    def settle_value(self, value: T, /) -> None:
        """For the library: the task returned."""
        self._result = value
        self._exception = None
        # Nothing to cancel, nothing to name any more: this lets the call and its arguments go.
        self._owner = None
        self._settle(FINISHED)

    def settle_error(self, error: BaseException, /) -> None:
        """For the library: the task raised."""
        self._result = None
        self._exception = error
        # Re-raising adds frames to the exception's own traceback; starting from this one each
        # time keeps it from growing with every result().
        self._traceback: TracebackType | None = error.__traceback__
        owner = self._owner
        if owner is not None:
            self._nag = Nag(error, owner.title, self._site_code, self._site_offset)
            self._owner = None  # as for a value
        self._settle(FINISHED)

    def settle_cancelled(self) -> None:
        """For the library: the task was cancelled and has ended."""
        owner = self._owner
        if owner is not None:
            self._title = owner.title
            self._owner = None  # as for a value
        self._settle(CANCELLED)

    def set_result(self, result: T) -> None:
        """Refused: only the task itself decides its outcome."""
        raise InvalidStateError(f"{self!r} gets its outcome from its task; set_result() cannot change it")

    def set_exception(self, exception: BaseException | None) -> None:
        """Refused: only the task itself decides its outcome."""
        raise InvalidStateError(f"{self!r} gets its outcome from its task; set_exception() cannot change it")

    def _settle(self, phase: str) -> None:
        if self._phase in DONE:
            raise InvalidStateError(f"{self!r} has its outcome already")
        self._phase = phase
        if self._condition_or_none is not None:
            self._publish()
        if self._first_fn is not None or self._more is not None:
            self._call_back()

    # -- what those who wait get -------------------------------------------------------------

    def _refuse_in_child(self) -> None:
        owner = self._owner
        if owner is not None and owner.is_forked and not self.done():
            owner.check_wait()  # raises ForkedPool

    def _collect(self) -> T:
        if self._phase is CANCELLED:
            raise self._cancelled_error()
        if self._exception is None:
            result: T = self._result  # not cast(), which is a call for each
            return result
        self._forget_nag()
        try:
            raise self._exception.with_traceback(self._traceback)
        finally:
            # The traceback refers to this frame: without this, a cycle with the error in it.
            del self

    def _forget_nag(self) -> None:
        if self._nag is not None:
            self._nag.is_armed = False
            self._nag = None

    def _cancelled_error(self) -> BaseException:
        if getattr(self, "_waited_for", False):
            # wait_for() of Python 3.11 cancels the future itself and takes only this for the
            # answer to it; anything else it would raise instead of TimeoutError.
            return asyncio.CancelledError()
        return TaskCancelled(f"{getattr(self, '_title', 'the task')} was cancelled")
