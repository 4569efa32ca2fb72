"""The caller's handle on a task: one class for threads that block and loops that await.

How it gets its outcome is told in `OutcomeFuture`, and how it does without a lock of its own in
`ConcurrentFuture`, for threads that block, and in `CallbackFuture`, for loops.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from ._concurrent import CANCELLED, DONE, PENDING
from ._outcome import OutcomeFuture
from ._staying import refuse_to_move

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import CodeType

__all__ = ["Future"]

T = TypeVar("T")

_NOT_GIVEN = object()


class Future(OutcomeFuture[T]):
    """One task's outcome: wait for it in a thread, or await it on any loop, or on several.

    Made by `LoopPool.submit`. It is a ``concurrent.futures.Future``, so ``wait`` and
    ``as_completed`` take it, and asyncio takes it for a future of whatever loop is running, so
    ``gather``, ``wait``, ``wait_for`` and ``shield`` take it too.

    An error that nobody collects is logged with the place the call was submitted from.
    """

    __slots__ = ("_handed_on",)

    def __reduce__(self) -> NoReturn:
        refuse_to_move(self, "wait for it there, and send its value")

    # These two are what asyncio looks for in a future.
    _asyncio_future_blocking = False
    _cancel_message: str | None = None

    # -- asking ------------------------------------------------------------------------------

    def done(self) -> bool:
        """Whether the task has its outcome."""
        return self._phase in DONE

    def cancelled(self) -> bool:
        """Whether the task was cancelled: true only after it ended and its ``finally`` blocks ran."""
        return self._phase is CANCELLED

    def running(self) -> bool:
        """Whether the task has started and not ended."""
        return self._has_started and self._phase is PENDING

    def result(self, timeout: float | None = None) -> T:
        """Wait in this thread for the task and return its value.

        Args:
            timeout: Most seconds to wait; None is without limit. It ends the waiting only: the
                task runs on.

        Raises:
            TimeoutError: The time is over.
            TaskCancelled: The task was cancelled.
            BlockingCall: This is one of the pool's own loops and the task is not done.
        """
        try:
            if self._phase not in DONE:
                self._wait_blocking(timeout)
            return self._collect()
        finally:
            # An error's traceback refers to this frame: without this, a cycle with the future in it.
            del self

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait as `result` does and return the task's error, or None when it returned a value."""
        if self._phase not in DONE:
            self._wait_blocking(timeout)
        if self._phase is CANCELLED:
            raise self._cancelled_error()
        if self._nag is not None:
            self._forget_nag()
        return self._exception

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The loop that is running here: a future of this kind belongs to any loop that asks."""
        return asyncio.get_running_loop()

    def __repr__(self) -> str:
        """For messages and logs."""
        owner = self._owner
        title = f" {owner.title}" if owner is not None else ""
        return f"<polyloop.Future{title} {self._current().partition('_')[0].lower()}>"

    def wait(self, timeout: float | None = None) -> bool:
        """Wait in this thread until the task has its outcome, whatever it is.

        Args:
            timeout: Most seconds to wait; None is without limit.

        Returns:
            Whether it has.

        Raises:
            BlockingCall: This is one of the pool's own loops and the task is not done.
        """
        owner = self._owner
        if owner is not None and not self.done():
            owner.check_wait()
        return super().wait(timeout)

    # -- waiting on a loop -------------------------------------------------------------------

    def __await__(self) -> Generator[Any, None, T]:
        """Wait on the running loop.

        Cancellation: cancels the task, as awaiting an asyncio task does, and goes on only when
        the task has ended. ``asyncio.shield`` protects it.
        """
        try:
            if not self.done():
                yield from self._wait().__await__()
            return self._collect()
        finally:
            del self  # as in result()

    # concurrent.futures.Future has no __iter__; asyncio's have, for old-style generators.
    __iter__ = __await__

    async def cancel_and_wait(self) -> bool:
        """Cancel the task and wait until it has ended; returns whether it was cancelled.

        Cancellation: stops the waiting only; the task has been asked to stop already.
        """
        self.cancel()
        if not self.done():
            await asyncio.wait([cast("asyncio.Future[T]", self)])  # it takes us for one
        return self.cancelled()

    async def _wait(self) -> None:
        """Return when the task has its outcome; a cancellation is passed on to it."""
        interruption: asyncio.CancelledError | None = None
        while not self.done():
            waiter = asyncio.get_running_loop().create_future()

            def wake(_: object, waiter: asyncio.Future[None] = waiter) -> None:
                if not waiter.done():
                    waiter.set_result(None)

            self.add_done_callback(wake)
            try:
                await waiter
            except asyncio.CancelledError as error:
                self.remove_done_callback(wake)
                interruption = error
                self.cancel_with_waiter()
        if interruption is not None and (self._phase is CANCELLED or self._exception is None):
            # One's own cancellation wins over a value that came anyway; the value stays here.
            # An error of the task's clean-up is raised by the caller instead.
            raise interruption

    # -- acting ------------------------------------------------------------------------------

    def cancel(self, msg: object = _NOT_GIVEN) -> bool:
        """Ask the task to stop. `cancelled` tells, later, whether it did.

        Returns:
            True when the request was sent, False when the task has ended already.
        """
        if self.done():
            return False
        if msg is not _NOT_GIVEN:
            # asyncio hands a cancellation on with the argument, given or None; people do not.
            self._handed_on = True
        elif sys.version_info < (3, 12):
            caller = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]  # documented, and in every CPython
            if caller.f_code is _WAIT_FOR:
                self._waited_for = True
        owner = self._owner  # once: it goes when the task returns, which may be now
        if owner is None:
            return False
        if msg is not _NOT_GIVEN:
            owner.cancel_with_waiter()
        else:
            owner.cancel_task()
        return True

    def cancel_with_waiter(self) -> None:
        """For the library: as `cancel`, because somebody who waits for the task has to stop."""
        owner = self._owner
        if owner is not None:
            owner.cancel_with_waiter()

    # -- helpers -----------------------------------------------------------------------------

    def _wait_blocking(self, timeout: float | None) -> None:
        owner = self._owner
        if not self.wait(timeout):
            title = owner.title if owner is not None else "the task"
            raise TimeoutError(f"{title} is not done after {timeout} s; it runs on")

    def _make_cancelled_error(self) -> BaseException:
        """What ``gather`` raises when this future was cancelled.

        When gather itself was cancelled it handed that on to the future and wants it back as a
        CancelledError. When somebody else cancelled the task, gather's caller was not cancelled.
        """
        if getattr(self, "_handed_on", False):
            return asyncio.CancelledError()
        return self._cancelled_error()


# The part of wait_for() of Python 3.11 that cancels what it waited for.
_cancel_and_wait = getattr(asyncio.tasks, "_cancel_and_wait", None)
_WAIT_FOR: CodeType | None = getattr(_cancel_and_wait, "__code__", None)
