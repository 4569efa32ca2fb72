"""Calls on many loops that end together: `asyncio.TaskGroup`, with its children on a pool's loops.

It places nothing and settles nothing. Children are handed to the pool, or to a view of it, and what has
come of each arrives as a callback on the loop that the group was entered on: so there is no lock here.

The one rule: when the block is left, by whatever way, every child has ended.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from asyncio import _get_running_loop  # pyright: ignore[reportPrivateUsage]  # raises nothing
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, Self, TypeVar, cast

from ._coroutines import checked
from ._errors import PoolClosed, TaskCancelled
from ._group_view import GroupView
from ._staying import refuse_to_move

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable
    from types import FrameType, TracebackType

    from ._future import Future
    from ._group_home import Home, Pool, Submitter

__all__ = ["TaskGroup"]

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger("polyloop")

# What is raised as it is and in no group, as asyncio's does: the interpreter gives it a meaning.
BARE = (SystemExit, KeyboardInterrupt)


class TaskGroup:
    """Tasks on many loops that end together: ``asyncio.TaskGroup`` across loops.

    Leaving the ``async with`` block waits for all of them. The first that fails, and a block that raises,
    cancel the rest, on every loop; the errors are raised as one ``ExceptionGroup``. When the block is
    left, every task in it has ended, however long its clean-up took.

    Made by `LoopPool.task_group`; owned by the loop that it is entered on, once.

    Args:
        pool: Hands in the children.
        home: Tells of the pool's end.
        name: The pool's name.
    """

    def __reduce__(self) -> NoReturn:
        refuse_to_move(self, "create its tasks there, or enter another one in the worker")

    def __init__(self, pool: Pool, home: Home, name: str) -> None:
        self._pool = pool
        self._home = home
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._parent: asyncio.Task[Any] | None = None  # the task that entered it, until it has left
        self._requests_before = 0  # to cancel the parent, when it entered
        self._children: set[Future[Any]] = set()
        self._interruption: asyncio.CancelledError | None = None  # from outside, to be raised in the end
        self._errors: list[BaseException] = []
        self._all_ended: asyncio.Future[None] | None = None
        self._is_exiting = False
        self._is_aborting = False
        self._has_cancelled_parent = False
        self._has_passed_on_end = False

    def create_task(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Hand in one call, to run on some loop as a part of this group. Never waits.

        Args:
            fn: As for `LoopPool.submit`.
            *args: Its arguments.
            **kwargs: Its keyword arguments.

        Returns:
            The task's future. Cancelling it ends that task alone and is no failure of the group.

        Raises:
            RuntimeError: The group was not entered, is shutting down or finished, or was entered on
                another loop than this. Nothing was submitted.
            PolyloopError, TypeError: What `LoopPool.submit` raises.
        """
        site = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]  # documented, and in every CPython
        return self.take_in(self._pool, fn, args, kwargs, site)

    def options(
        self,
        *,
        timeout: float | None = None,
        key: Hashable = None,
        worker: int | None = None,
        resubmits: int = 0,
        name: str | None = None,
    ) -> GroupView:
        """A view of this group that fixes something for the tasks created through it.

        The arguments and errors are those of `LoopPool.options`.
        """
        return GroupView(
            self,
            self._pool.options(timeout=timeout, key=key, worker=worker, resubmits=resubmits, name=name),
        )

    def take_in(
        self,
        submitter: Submitter,
        fn: Callable[..., Awaitable[Any]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        site: FrameType,
        /,
    ) -> Future[Any]:
        """For the library: `create_task` through a view of the pool."""
        fn = checked(fn, "create_task")  # first, for it closes a coroutine object
        self._check_taking()
        child = submitter.submit_from(site, fn, args, kwargs, is_child=True)
        self._children.add(child)
        child.add_done_callback(self._child_ended)
        return child

    async def __aenter__(self) -> Self:
        if self._loop is not None:
            raise RuntimeError(
                f"{self!r} has already been entered; a group is used once, so make another with task_group()"
            )
        parent = asyncio.current_task()
        if parent is None:
            raise RuntimeError(
                f"{self!r} cannot be entered outside a task: a child that fails has to cancel its parent"
            )
        self._loop = asyncio.get_running_loop()
        self._parent = parent
        self._requests_before = parent.cancelling()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Wait for every child to end, and raise the errors.

        Cancellation: cancels the children, and is raised when they have ended, unless errors are.
        """
        del tb
        try:
            await self._end(error)
        finally:
            if self._children:
                self._abort()  # the parent's coroutine was closed: nobody waits, but they shall end
            # The tracebacks of these refer to the frames here, and through them to the group.
            self._parent = self._interruption = None
            self._errors = []
            del error

    def __repr__(self) -> str:
        """For messages and logs."""
        counts = f"tasks={len(self._children)} errors={len(self._errors)}"
        return f"<TaskGroup of {self._name} {self._state} {counts}>"

    @property
    def _state(self) -> str:
        if self._loop is None:
            return "new"
        if self._is_exiting and not self._children:
            return "finished"
        return "cancelling" if self._is_aborting else "entered"

    def _check_taking(self) -> None:
        state = self._state
        if state == "new":
            raise RuntimeError(f"{self!r} has not been entered: create tasks inside its `async with` block")
        if _get_running_loop() is not self._loop:
            raise RuntimeError(
                f"create_task() was called outside the loop that {self!r} was entered on; create its tasks "
                "there, or open another group here: in a task of the pool, current_pool().task_group()"
            )
        if state == "finished":
            raise RuntimeError(f"{self!r} is finished: its block was left and all its tasks have ended")
        if state == "cancelling":
            raise RuntimeError(f"{self!r} is shutting down: its tasks are being cancelled")

    # -- leaving -----------------------------------------------------------------------------

    async def _end(self, error: BaseException | None) -> None:
        parent = cast("asyncio.Task[Any]", self._parent)
        self._is_exiting = True
        if isinstance(error, KeyboardInterrupt):
            self._listen_again()
        if error is not None and not self._is_aborting:
            self._abort()
        await self._wait_for_children()
        if self._has_cancelled_parent:
            parent.uncancel()
        outcome: BaseException | None = self._interruption
        if isinstance(error, asyncio.CancelledError):
            outcome = error
        elif error is not None:
            self._errors.append(error)
        if self._errors:
            outcome = self._failure(error)
            self._keep_cancellation(parent)
        try:
            if outcome is not None and outcome is not error:  # that is raised by leaving it alone
                raise outcome
        finally:
            del error, outcome, parent  # as in __aexit__

    def _listen_again(self) -> None:
        """Ctrl-C may have landed in create_task(), before the child was told to call back."""
        for child in list(self._children):
            child.remove_done_callback(self._child_ended)
            child.add_done_callback(self._child_ended)

    async def _wait_for_children(self) -> None:
        # A cancellation ends the waiting, and there may be several: what counts is that the children end.
        while self._children:
            self._all_ended = asyncio.get_running_loop().create_future()
            try:
                await self._all_ended
            except asyncio.CancelledError as error:
                if not self._is_aborting:
                    self._interruption = error
                    self._abort()

    def _failure(self, error: BaseException | None) -> BaseException:
        """What to raise for the errors there are, of which `error` is the block's own."""
        bare = next((each for each in [error, *self._errors] if isinstance(each, BARE)), None)
        if bare is not None:
            for other in self._errors:
                if other is not bare:
                    logger.error("%r ends with %r and leaves this error out", self, bare, exc_info=other)
            return bare
        if isinstance(error, GeneratorExit) and len(self._errors) == 1:
            return error  # an async generator that is closed has to end with it
        group = BaseExceptionGroup(f"unhandled errors in a TaskGroup of {self._name}", self._errors)
        group.__suppress_context__ = True  # which would be one of these errors, or a cancellation
        return group

    def _keep_cancellation(self, parent: asyncio.Task[Any]) -> None:
        """See to it that a cancellation from outside, whose place the errors take, is not forgotten."""
        # asyncio calls cancel() here and now. Before 3.13 a timeout() around the group could not take that
        # back, and the parent would be cancelled later on by what has been dealt with.
        if parent.cancelling() > self._requests_before:
            asyncio.get_running_loop().call_soon(_cancel_again, parent, self._requests_before)

    # -- children ----------------------------------------------------------------------------

    def _abort(self) -> None:
        self._is_aborting = True
        for child in list(self._children):
            child.cancel_with_waiter()

    def _child_ended(self, child: Future[Any]) -> None:
        """A callback on the group's loop: so its parent does not run at this moment."""
        self._children.discard(child)
        if not self._children and self._all_ended is not None and not self._all_ended.done():
            self._all_ended.set_result(None)
        if self._parent is None:
            return  # the block was torn down; an error is logged, as of any future that nobody collects
        error = self._error_of(child, self._parent)
        if error is not None:
            self._errors.append(error)
        if error is None or self._is_aborting:
            return
        self._abort()
        if not self._is_exiting:
            self._has_cancelled_parent = True
            self._parent.cancel()

    def _error_of(self, child: Future[Any], parent: asyncio.Task[Any]) -> BaseException | None:
        try:
            return child.exception()
        except TaskCancelled as cancelled:
            # By the group, or alone, by whoever has the future: no failure. By the pool's end it is one.
            if self._is_aborting or not self._home.is_shut:
                return None
            if not self._home.is_here:
                return PoolClosed(f"{self._name} was closed under a task group: {cancelled}")
        # The parent runs on this pool, and the end is on its way to it too. It is told at once, or the block
        # might end in between as if all were well. Told twice, it could not clean up in peace.
        if not self._has_passed_on_end:
            self._has_passed_on_end = True
            parent.cancel()
        return None


def _cancel_again(parent: asyncio.Task[Any], requests_before: int) -> None:
    """Cancel a task whose cancellation was caught on the way, if nobody has answered for that since."""
    if not parent.done() and parent.cancelling() > requests_before:
        parent.uncancel()
        parent.cancel()
