"""A coroutine that was handed in for a loop which is not ours: the record of its task.

Two things in it are claimed. Who takes the coroutine out starts it, or closes it so that it never starts.
Who takes the future out settles it. Nobody else does either: that is the whole of "exactly once".
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import weakref
    from collections.abc import Coroutine
    from contextvars import Context

    from ._future import Future

__all__ = ["Handler", "Submission", "discard"]


class Handler(Protocol):
    """Whoever took a submission in, as the submission knows it."""

    @property
    def is_forked(self) -> bool:
        """Whether this is a forked child, in which no task will ever report."""
        ...

    def cancel(self, submission: Submission, /) -> None:
        """Ask the task of a submission that has started to stop."""

    def check_wait(self, title: str, /) -> None:
        """Raise if a synchronous wait in this thread for one of its tasks could never end."""


class Submission:
    """A coroutine on its way, and what acts on its task for those who hold the future.

    Without slots on purpose: what is claimed is claimed by deleting an attribute of the instance, which one
    thread gets past and no other, with the GIL or without. (Two threads can both delete a slot.)

    Args:
        handler: A weak reference to who takes it in: a future that somebody keeps must not keep a loop.
        coroutine: What is to run.
        context: The context it runs in; nobody may have entered it.
    """

    _future: Future[Any]

    def __init__(
        self, handler: weakref.ref[Handler], coroutine: Coroutine[Any, Any, Any], context: Context
    ) -> None:
        self._handler = handler
        self._coroutine = coroutine
        self._name = getattr(coroutine, "__qualname__", None) or type(coroutine).__qualname__
        self.context = context
        self.is_cancelling = False
        """Set by any thread, once and for good, before it is acted on."""

    # -- for its future's users --------------------------------------------------------------

    @property
    def title(self) -> str:
        """What to call the task in messages."""
        return f"the task {self._name}()"

    @property
    def is_forked(self) -> bool:
        """Whether this is a forked child, in which the task will never report."""
        handler = self._handler()
        return handler is not None and handler.is_forked

    def check_wait(self) -> None:
        """Raise if a synchronous wait for the task, here, could never end."""
        handler = self._handler()
        if handler is not None:
            handler.check_wait(self.title)

    def cancel_task(self) -> None:
        """Ask the task to stop: one that has not started never will."""
        handler = self._handler()
        if handler is None or handler.is_forked:
            return
        self.is_cancelling = True
        coroutine = self.take()
        if coroutine is None:
            handler.cancel(self)
        else:
            discard(coroutine)
            self.settle_cancelled()

    def cancel_with_waiter(self) -> None:
        """As `cancel_task`, because somebody who waits for it has to stop."""
        self.cancel_task()

    # -- for who took it in ------------------------------------------------------------------

    def belongs_to(self, future: Future[Any]) -> None:
        """Settle this future in the end."""
        self._future = future

    def take(self) -> Coroutine[Any, Any, Any] | None:
        """The coroutine, for the one who starts or closes it; None for everybody after."""
        try:
            coroutine = self._coroutine
            del self._coroutine  # one thread only gets past this
        except AttributeError:
            return None
        return coroutine

    def withdraw(self) -> None:
        """It was not accepted, or its submitter was interrupted: nobody will ever have its future."""
        self.is_cancelling = True
        coroutine = self.take()
        if coroutine is None:
            self.cancel_task()
        else:
            discard(coroutine)
            self._take_future()

    def started(self) -> None:
        """The coroutine is about to take its first step."""
        self._future.started()

    def settle_value(self, value: Any) -> None:
        """The task returned."""
        future = self._take_future()
        if future is not None:
            future.settle_value(value)

    def settle_error(self, error: BaseException) -> None:
        """The task raised, or could not be run."""
        future = self._take_future()
        if future is not None:
            future.settle_error(error)

    def settle_cancelled(self) -> None:
        """The task was cancelled and has ended, or never started and never will."""
        future = self._take_future()
        if future is not None:
            future.settle_cancelled()

    def _take_future(self) -> Future[Any] | None:
        try:
            future = self._future
            del self._future  # as in take()
        except AttributeError:
            return None
        return future


def discard(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Close a coroutine that will not run, so that nobody is told that it was never awaited."""
    # One that its maker began before handing it in may clean up, and that may fail: nobody would know what to
    # do with that error here.
    with contextlib.suppress(Exception):
        coroutine.close()
