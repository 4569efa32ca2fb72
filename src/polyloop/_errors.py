"""Everything polyloop raises by itself.

Each class also derives from the built-in whose meaning it has, so code that does not know
polyloop catches the right thing. A failure of the library or of a worker is never a
``CancelledError``: a task group would take that for "this child was cancelled" and end as if
nothing had happened. All of them survive pickling.
"""

from __future__ import annotations

import concurrent.futures
from typing import Any

__all__ = [
    "BlockingCall",
    "DeadlineExceeded",
    "ForkedPool",
    "LoopClosed",
    "PoisonTask",
    "PolyloopError",
    "PoolBroken",
    "PoolClosed",
    "PoolFull",
    "RemoteError",
    "RemoteTraceback",
    "StartupError",
    "TaskCancelled",
    "WorkerLost",
]


class PolyloopError(Exception):
    """The root of everything polyloop raises by itself."""


class PoolClosed(PolyloopError, RuntimeError):
    """The pool is not open: not yet, not any more, or it gave this task up while closing."""


class PoolFull(PolyloopError, RuntimeError):
    """The backlog holds as many calls as ``backlog=`` allows; nothing was accepted."""


class PoolBroken(PolyloopError, RuntimeError):
    """The pool's workers keep dying before they finish a single call, so it has given up."""


class StartupError(PolyloopError, RuntimeError):
    """A worker did not come up. The others were stopped first; the cause is chained."""


class WorkerLost(PolyloopError, RuntimeError):
    """The worker that had started this task is gone without having reported its outcome.

    Args:
        message: What happened, for people.
        worker: The index of the worker.
        may_have_run: Whether the task may have run, in part or to its end.
    """

    def __init__(self, message: str, worker: int = -1, may_have_run: bool = True) -> None:
        # All of it goes to args, for that is what pickling carries over.
        super().__init__(message, worker, may_have_run)
        self.worker = worker
        self.may_have_run = may_have_run

    def __str__(self) -> str:
        """The message alone: the rest is for programs."""
        return str(self.args[0])


class PoisonTask(PolyloopError, RuntimeError):
    """The task kills the workers it runs on, the last one when nothing else ran there; it is not run again.

    The reason of that worker's end is chained.

    Args:
        message: What happened, for people.
        task: Its name: that of ``options(name=...)``, or its function's.
        killed: How many workers were lost with it.
        end: What became of the last one.
    """

    def __init__(self, message: str, task: str = "", killed: int = 0, end: str = "") -> None:
        super().__init__(message, task, killed, end)  # all of it, as in WorkerLost
        self.task = task
        self.killed = killed
        self.end = end

    def __str__(self) -> str:
        """The message alone: the rest is for programs."""
        return str(self.args[0])


class DeadlineExceeded(PolyloopError, TimeoutError):
    """The task did not end before its deadline. It was cancelled then, and given a little time to end.

    Args:
        message: What happened, for people.
        worker: The index of the worker that had it; None when it still waited for one.
        timeout: Seconds that it had.
        still_running: Whether it runs on all the same: it ignores its cancellation, or blocks its loop.
    """

    def __init__(
        self, message: str, worker: int | None = None, timeout: float = 0.0, still_running: bool = False
    ) -> None:
        # The message alone: a TimeoutError is an OSError, which makes an errno of the first of several.
        super().__init__(message)
        self.worker = worker
        self.timeout = timeout
        self.still_running = still_running

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickling, which would make it anew of its message only."""
        return type(self), (self.args[0],), self.__dict__


class RemoteError(PolyloopError, RuntimeError):
    """A task in another process raised an error that cannot be made again in this one; this says what it was.

    Its class may be unknown here, or need other arguments than pickle gives it, or it holds what cannot be
    sent. Its notes are this one's notes.

    Args:
        message: What happened, for people.
        type_name: The class of the error, with its module.
        text: What the error said.
        traceback: Its traceback, and those of the errors that led to it.
    """

    def __init__(self, message: str, type_name: str = "", text: str = "", traceback: str = "") -> None:
        super().__init__(message, type_name, text, traceback)  # all of it, as in WorkerLost
        self.type_name = type_name
        self.text = text
        self.traceback = traceback

    def __str__(self) -> str:
        """The message alone: the rest is for programs."""
        return str(self.args[0])


class RemoteTraceback(PolyloopError):
    """The traceback of an error that was raised in another process: the cause of that error here."""

    def __str__(self) -> str:
        """The text, set off from the traceback that it is printed in."""
        return f'\n"""\n{self.args[0]}"""'


class LoopClosed(PolyloopError, RuntimeError):
    """A loop that was given to `run_coroutine_threadsafe` is closed or has ended, and runs nothing more.

    Args:
        message: What happened, for people.
        may_have_run: Whether the coroutine may have run, in part or to its end.
    """

    def __init__(self, message: str, may_have_run: bool = False) -> None:
        super().__init__(message, may_have_run)  # all of it, as in WorkerLost
        self.may_have_run = may_have_run

    def __str__(self) -> str:
        """The message alone: the rest is for programs."""
        return str(self.args[0])


class TaskCancelled(PolyloopError, concurrent.futures.CancelledError):
    """The task was cancelled, and not by the one who waits for it here.

    It is no ``asyncio.CancelledError``: who waits was not cancelled and must hear of it.
    """


class BlockingCall(PolyloopError, RuntimeError):
    """A synchronous wait on one of the pool's own loops, which would deadlock sooner or later."""


class ForkedPool(PolyloopError, RuntimeError):
    """This process was forked from the one that opened the pool; its loops did not come along."""
