"""The way into a loop that is not ours, for coroutines from any thread; one for each such loop.

It starts them, keeps their tasks, and settles each future exactly once, also when the loop ends. It neither
runs the loop nor ends it: somebody else does, and need not say so.

What is accepted is started, or settled when the loop's run ends, or at the latest when the loop is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import weakref
from asyncio import _get_running_loop  # pyright: ignore[reportPrivateUsage]  # raises nothing, half the price
from typing import TYPE_CHECKING, cast

from . import _process
from ._errors import BlockingCall, ForkedPool, LoopClosed
from ._live import LiveTasks
from ._mailbox import Mailbox, MailboxClosed
from ._submission import discard
from ._waker import ForeignWaker

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from ._submission import Handler, Submission

__all__ = ["Entrance", "entrance_of"]

# Kept by the loop itself, under this name in its instance dict, so that the two live and go together. A table
# by loop, even a weak one, would keep every loop for ever: the entrance refers to its loop.
KEY = "_polyloop_entrance"


def entrance_of(loop: asyncio.AbstractEventLoop) -> Entrance:
    """The entrance of `loop`; callable from any thread.

    Raises:
        TypeError: It is not an event loop.
        ForkedPool: It runs in the process that this one was forked from.
    """
    if not isinstance(cast("object", loop), asyncio.AbstractEventLoop):
        raise TypeError(f"run_coroutine_threadsafe() takes a coroutine and an event loop, not {loop!r}")
    entrance = vars(loop).get(KEY)
    if entrance is None:
        _process.watch_forks()
        _refuse_loop_of_parent(loop)
        # setdefault is atomic: of two threads that make one at the same time, both get the first. The other
        # one has not touched the loop yet.
        entrance = vars(loop).setdefault(KEY, Entrance(loop))
    return cast("Entrance", entrance)


def _refuse_loop_of_parent(loop: asyncio.AbstractEventLoop) -> None:
    # A copy of a loop that ran when this process was forked: waking it would wake the parent's. asyncio's own
    # loops know the thread they run in, and that has not come along. Of other loops it is not known.
    thread = getattr(loop, "_thread_id", None)
    living = sys._current_frames()  # pyright: ignore[reportPrivateUsage]  # documented; threading knows only its own
    if thread is not None and thread not in living and loop.is_running():
        raise _forked(loop)


class Entrance:
    """Takes coroutines in for one loop.

    `accept`, `cancel` and `check_wait` may be called from any thread. The rest happens on the loop, or, when
    that is closed, where it is closed: so `_tasks` has one user at a time.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.reference: weakref.ref[Handler] = weakref.ref(self)
        self._loop = loop
        self._forks = _process.forks
        self._was_running = False
        self._tasks = LiveTasks(loop)
        self._parked: AsyncGenerator[None, None] | None = None
        self._mailbox: Mailbox[Submission] = Mailbox(loop, self._handle, self._make_waker)

    # -- any thread --------------------------------------------------------------------------

    def accept(self, submission: Submission) -> None:
        """Take a coroutine in. From here on its future is settled exactly once.

        Raises:
            LoopClosed: The loop is closed, has stopped, or its run is about to end.
            ForkedPool: The loop is with the parent of this process.
        """
        if self._forks != _process.forks:
            raise _forked(self._loop)
        if self._loop.is_running():
            self._was_running = True
        elif self._was_running or self._loop.is_closed():
            raise self._refusal(submission)
        try:
            self._mailbox.put(submission)
        except MailboxClosed:
            raise self._refusal(submission) from None

    def cancel(self, submission: Submission, /) -> None:
        """Ask the task of a submission that has started to stop."""
        try:
            # Put a second time: its coroutine is taken, so it can only mean this.
            self._mailbox.put(submission)
        except MailboxClosed:
            # The run is ending, and everything has been asked to stop; who swallowed that is asked again.
            with contextlib.suppress(RuntimeError):  # closed
                self._loop.call_soon_threadsafe(self._tasks.cancel, submission)

    def check_wait(self, title: str, /) -> None:
        """Raise BlockingCall on this very loop, ForkedPool in a forked child."""
        if self.is_forked:
            raise ForkedPool(
                f"{title} runs in the process that this one was forked from; its result arrives there"
            )
        if _get_running_loop() is self._loop:
            raise BlockingCall(
                f"waiting for {title} here would block {self._loop!r}, the very loop that runs it; "
                "await its future instead"
            )

    @property
    def is_forked(self) -> bool:
        """Whether this is a forked child, in which no task will ever report."""
        return self._forks != _process.forks

    def _refusal(self, submission: Submission) -> LoopClosed:
        if self._loop.is_closed():
            state = "is closed"
        elif self._loop.is_running():
            state = "is about to end its run"
        else:
            state = "has run and is stopped, and nobody knows whether it will run again"
        return LoopClosed(
            f"{self._loop!r} {state}: {submission.title} was not accepted, and will not run; "
            "submit it while the loop runs, or before its first run"
        )

    def _make_waker(self, loop: asyncio.AbstractEventLoop, answer: Callable[[], object]) -> ForeignWaker:
        self._waker = ForeignWaker(loop, answer, self._lose)
        return self._waker

    # -- on the loop -------------------------------------------------------------------------

    def _handle(self, submission: Submission) -> None:
        """A submission, to be started, or for the second time, to be cancelled."""
        if self._parked is None and not self._move_in():
            self._settle_unstarted(submission)
        else:
            self._tasks.start_or_cancel(submission)

    def _move_in(self) -> bool:
        """The loop runs, and this is its thread; returns False if it is ending, and will not tell again."""
        if getattr(self._loop, "_asyncgens_shutdown_called", False):  # private, and asyncio's own loops only
            return False
        self._was_running = True
        self._waker.move_in()
        parked = self._until_shutdown()
        # Started, without a step of the loop: there is nothing in it to wait for. The warning is what other
        # loops say in the case that was looked for above: what starts now is told so when they are closed.
        with contextlib.suppress(StopIteration, ResourceWarning):
            parked.__anext__().send(None)
        self._parked = parked
        return True

    async def _until_shutdown(self) -> AsyncGenerator[None, None]:
        """Parked on a loop to hear of its end: asyncio.run() closes the async generators it finds."""
        try:
            yield
        finally:
            await self._end()

    async def _end(self) -> None:
        """The loop's run ends: accept nothing more, cancel what is live, and wait for it.

        Cancellation: stops the waiting; what has not ended is settled when the loop is closed.
        """
        self._shut()
        await self._tasks.end_all()
        self._waker.close()

    def _lose(self) -> None:
        """The loop was closed without a word, or collected. Called in the thread where that happened."""
        self._shut()
        self._tasks.lose_all()
        if self._loop.is_closed():
            self._waker.close()

    def _shut(self) -> None:
        """Accept nothing more, and settle what has not started."""
        for submission in self._mailbox.close():
            self._settle_unstarted(submission)

    def _settle_unstarted(self, submission: Submission) -> None:
        coroutine = submission.take()
        if coroutine is not None:
            discard(coroutine)
            submission.settle_error(
                LoopClosed(
                    f"{submission.title} did not start, and will not: the run of {self._loop!r} ended before "
                    "its turn came"
                )
            )


def _forked(loop: asyncio.AbstractEventLoop) -> ForkedPool:
    return ForkedPool(
        f"{loop!r} runs in the process that this one was forked from; in the child, make a loop of its own"
    )
