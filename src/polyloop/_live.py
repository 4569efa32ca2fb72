"""The tasks that run on a loop which is not ours, from their start to their one outcome.

It does not know how coroutines get to the loop, nor when the loop ends.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from asyncio import _get_running_loop  # pyright: ignore[reportPrivateUsage]  # raises nothing, half the price
from typing import TYPE_CHECKING, Any

from ._eager import Starter, can_start_eagerly
from ._errors import LoopClosed
from ._submission import discard

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from ._submission import Submission

__all__ = ["LiveTasks"]


class LiveTasks:
    """Starts the tasks of one loop, keeps them, and settles each exactly once.

    Belongs to the loop's thread, and once the loop is closed to whoever closed it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        # The loop itself keeps only weak references to its tasks. None is for one that is about to start.
        self._tasks: dict[Submission, asyncio.Future[Any] | None] = {}
        # Not on loops that make their tasks in a way of their own.
        is_usual = type(loop).create_task is asyncio.BaseEventLoop.create_task
        self._starter = Starter(loop) if is_usual and can_start_eagerly(loop) else None

    def start_or_cancel(self, submission: Submission) -> None:
        """Start what was submitted; the second time, cancel it."""
        # Entered before the coroutine is taken: Ctrl-C may land between any two lines of the main thread, and
        # what it leaves in here is settled in the end.
        task = self._tasks.setdefault(submission, None)
        coroutine = submission.take()
        if coroutine is not None:
            self._start(submission, coroutine)
        elif task is not None:
            task.cancel()
        else:
            del self._tasks[submission]  # it was cancelled before it started, or has ended
            if not submission.is_cancelling:
                submission.settle_error(KeyboardInterrupt())  # it landed between the taking and the start

    def cancel(self, submission: Submission) -> None:
        """Cancel a task; if it has ended already, nothing happens."""
        task = self._tasks.get(submission)
        if task is not None:
            task.cancel()

    async def end_all(self) -> None:
        """Cancel all tasks, and wait for them without a limit, as ``asyncio.run`` does.

        Cancellation: stops the waiting.
        """
        for task in list(self._tasks.values()):
            # A second cancellation would tear down the clean-up that the first one began.
            if task is not None and not (isinstance(task, asyncio.Task) and task.cancelling()):
                task.cancel()
        while tasks := [task for task in self._tasks.values() if task is not None]:
            await asyncio.wait(tasks)
            await asyncio.sleep(0)  # for _miss(), which may come after this
        self.lose_all()

    def lose_all(self) -> None:
        """Settle everything: nothing will run any more."""
        while self._tasks:
            submission = self._tasks.popitem()[0]
            submission.settle_error(_lost(self._loop, submission))

    def _start(self, submission: Submission, coroutine: Coroutine[Any, Any, Any]) -> None:
        try:
            if self._starter is not None and self._loop.get_task_factory() is None:
                guard = self._guard(submission, coroutine)
                task: asyncio.Future[Any] = self._starter.start(guard, submission.context)
            else:
                task = self._make_task(submission, coroutine)
        except BaseException as error:  # a task factory's, and it belongs to who submitted this; or Ctrl-C
            discard(coroutine)
            self._tasks.pop(submission, None)
            submission.settle_error(error)
            if not isinstance(error, Exception):
                raise
        else:
            if not task.done():
                self._tasks[submission] = task

    def _make_task(self, submission: Submission, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Future[Any]:
        """A task that takes its first step later, or however the loop's task factory has it."""
        # A task that is cancelled before its first step never enters its coroutine, which could then settle
        # nothing. So the guard is entered here, up to its first await.
        guard = self._guard(submission, coroutine, is_entered_first=True)
        guard.send(None)
        # In the submission's context, and not handed it: there are factories that take no context.
        task = submission.context.run(self._loop.create_task, guard)
        # A factory may wrap the guard in a coroutine of its own, which a cancellation can keep from starting.
        task.add_done_callback(functools.partial(self._miss, submission, coroutine))
        return task

    async def _guard(
        self, submission: Submission, coroutine: Coroutine[Any, Any, Any], is_entered_first: bool = False
    ) -> None:
        """Run a coroutine to its outcome, whatever that is: nothing it raises reaches the loop."""
        try:
            if is_entered_first:
                await asyncio.sleep(0)  # to be resumed by the task's first step
            submission.started()
            value = await coroutine
        except asyncio.CancelledError:
            discard(coroutine)  # which may not have started
            self._tasks.pop(submission, None)
            submission.settle_cancelled()
        except BaseException as error:  # noqa: BLE001 - the one place where everything has to be caught
            self._tasks.pop(submission, None)
            self._settle_error(submission, error)
            if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                # Ctrl-C, which landed in the coroutine by chance. Were it raised here, the task would have
                # it too, and asyncio would log that nobody collected it.
                self._loop.call_soon(_interrupt)
        else:
            self._tasks.pop(submission, None)
            submission.settle_value(value)

    def _settle_error(self, submission: Submission, error: BaseException) -> None:
        if isinstance(error, GeneratorExit) and _get_running_loop() is not self._loop:
            # Not raised by the coroutine: the garbage collector closes what its loop has left behind.
            submission.settle_error(_lost(self._loop, submission))
            return
        # The first entry is the guard's frame: it tells nobody anything, and it keeps the submission alive.
        traceback = error.__traceback__
        # Not by assignment, which the class may refuse: that of a frozen dataclass does.
        BaseException.with_traceback(error, traceback.tb_next if traceback is not None else None)
        submission.settle_error(error)

    def _miss(
        self, submission: Submission, coroutine: Coroutine[Any, Any, Any], task: asyncio.Future[Any]
    ) -> None:
        """A task has ended; if its guard was never resumed, it has to be answered for."""
        if self._tasks.pop(submission, None) is None:
            return
        discard(coroutine)
        if task.cancelled():
            submission.settle_cancelled()
        else:
            submission.settle_error(_lost(self._loop, submission))


def _lost(loop: asyncio.AbstractEventLoop, submission: Submission) -> LoopClosed:
    return LoopClosed(
        f"{submission.title} had started and did not end: {loop!r} was closed, or dropped, while it ran; "
        "let asyncio.run() or asyncio.Runner end a loop, or cancel its tasks and await them first",
        may_have_run=True,
    )


def _interrupt() -> None:
    raise KeyboardInterrupt
