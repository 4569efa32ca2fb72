"""The ways to hand a call to a pool: they check it, make its sink, and pass it on."""

from __future__ import annotations

import asyncio
import sys
from contextvars import copy_context
from inspect import CO_COROUTINE
from types import FunctionType
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

from ._beside import Beside, refuse_async
from ._coroutines import checked
from ._deadline import current_deadline
from ._future import Future
from ._gathered import Gathered
from ._loop_executor import LoopExecutor
from ._map_calls import MapCalls
from ._messages import Call, title_of
from ._reply import Reply
from ._staying import refuse_to_move
from ._terms import accept_on_terms, inherited_deadline, set_terms

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from types import FrameType


__all__ = ["Calls"]

P = ParamSpec("P")
T = TypeVar("T")


class Calls(MapCalls):
    """What can be asked of a pool, and of a view of it that fixes options.

    Attributes:
        _grace: Seconds that `call` gives a task it cancels because of Ctrl-C.
    """

    __slots__ = ()  # so that a view, which may be made for one call, has no dict

    _grace: float

    def __reduce__(self) -> NoReturn:
        refuse_to_move(
            self, "call it there, or open another one in the worker, as its lifespan= or a LoopLocal can do"
        )

    def submit(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Hand in one call, to run on some loop. Never waits, and runs no code of yours.

        Args:
            fn: A coroutine function, or anything that returns an awaitable when it is called there.
            *args: Its arguments.
            **kwargs: Its keyword arguments.

        Returns:
            The task's future: await it on any loop, or block on its ``result()``.

        Raises:
            TypeError: `fn` is not something to call on a loop.
            PoolClosed: The pool is not open.
            PoolFull: The backlog is full.
        """
        if type(fn) is not FunctionType or not fn.__code__.co_flags & CO_COROUTINE:
            fn = checked(fn, "submit")
        dispatch = self._dispatch
        call = Call(dispatch, fn, args, kwargs, copy_context())
        frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]  # documented, and in every CPython
        # Not Future[T](...): that makes an alias and a dict for every call.
        future: Future[T] = Future(call, frame.f_code, frame.f_lasti)
        call.sink = future
        options = self._options
        if options is None and current_deadline.get() is None:
            dispatch.accept(call)
        else:
            accept_on_terms(dispatch, call, options, None)
        return future

    def submit_from(
        self,
        site: FrameType,
        fn: Callable[..., Awaitable[Any]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        /,
        *,
        is_child: bool = False,
    ) -> Future[Any]:
        """For the library: `submit`, made by the frame `site`.

        Args:
            site: Where errors that nobody collects are said to come from.
            fn: As for `submit`.
            args: As for `submit`.
            kwargs: As for `submit`.
            is_child: Whether the calling task waits for it, so that it inherits the deadline.
        """
        call = Call(self._dispatch, checked(fn, "submit"), args, kwargs, copy_context())
        future: Future[Any] = Future(call, site.f_code, site.f_lasti)
        call.sink = future
        accept_on_terms(self._dispatch, call, self._options, inherited_deadline() if is_child else None)
        return future

    async def run(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one call on some loop and return its value or raise its error.

        The arguments and errors are those of `submit`, and `TaskCancelled`, when somebody other than
        the caller cancelled the task.

        Cancellation: asks the task to stop on its own loop and returns only once it has ended there, so
        that nothing it holds is still in use when the caller goes on. It then wins over a value that
        came anyway; an error of the task's clean-up is raised.
        """
        if type(fn) is not FunctionType or not fn.__code__.co_flags & CO_COROUTINE:
            fn = checked(fn, "run")
        dispatch, options = self._dispatch, self._options
        call = Call(dispatch, fn, args, kwargs, copy_context())
        call.sink = reply = Reply(asyncio.get_running_loop(), call)
        if options is None and current_deadline.get() is None:
            dispatch.accept(call, is_awaited=True)
        else:
            accept_on_terms(dispatch, call, options, inherited_deadline(), is_awaited=True)
        try:
            await reply.waiter
            if reply.error is not None:
                raise reply.take_error()
            value: T = reply.value  # not cast(), which is a call for each
            return value
        except asyncio.CancelledError as interruption:
            # It is the caller's own: a task that was cancelled answers with TaskCancelled.
            await reply.see_out(interruption)
        finally:
            # An error's traceback refers to this frame: without this, a cycle with the error in it.
            del call, reply

    async def run_sync(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a plain function in a thread beside some loop and return its value or raise its error.

        It is a call like any other, and counts against the limit; the errors are those of `run`. The
        function may block, and may call the pool and wait. It runs in a copy of the caller's context.

        Raises:
            TypeError: `fn` is a coroutine function, which is for `run`, or no function.

        Cancellation: a function that has not begun never does. One that has cannot be stopped: this
        returns when it has ended, and the function can ask, by `check_cancelled`, whether to end early.
        The cancellation then wins over a value; an error of the function is raised.
        """
        refuse_async(fn)
        return await self.run(Beside(fn), *args, **kwargs)

    def call(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one call on some loop, wait for it in this thread, and return its value or raise its error.

        The arguments and errors are those of `submit`. Ctrl-C cancels the task and waits for its
        clean-up, as long as the pool's grace.

        Raises:
            BlockingCall: This is one of the pool's own loops.
        """
        self._dispatch.check_wait(title_of(fn, self._options))
        task = Call(self._dispatch, checked(fn, "call"), args, kwargs, copy_context())
        future: Future[T] = Future(task)
        task.sink = future
        try:
            accept_on_terms(self._dispatch, task, self._options, inherited_deadline(), is_awaited=True)
            return future.result()
        except KeyboardInterrupt:
            # Ctrl-C in the waiting, or raised by the task itself: then there is nothing to cancel.
            if not task.is_cancelling:  # hit while it was being sent, it has been asked to stop already
                future.cancel()
            if task.seat is not None:  # otherwise it was not accepted yet, or waited for its turn
                future.wait(self._grace)
            raise
        finally:
            del task, future  # as in run()

    def broadcast(
        self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[list[T]]:
        """Run one call on every loop, past the limit.

        Returns:
            The future of all results, ordered by worker. Errors come as one ``ExceptionGroup``, after
            all have ended. Cancelling it cancels those that still run.

        Raises:
            TypeError: `fn` is not something to call on a loop.
            PoolClosed: The pool is not open.
        """
        frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]  # documented, and in every CPython
        gathered: Gathered[T] = Gathered(checked(fn, "broadcast"), frame.f_code, frame.f_lasti)
        options = self._options
        if options is not None and options.fixes_worker:
            raise ValueError("broadcast() runs on every loop: leave out the key or worker of its options()")

        model = Call(self._dispatch, fn, args, kwargs, copy_context())
        model.options = options
        self._dispatch.prepare(model)

        def calls(count: int) -> Sequence[Call]:
            calls = gathered.calls(self._dispatch, count, model.args, model.kwargs)
            for call in calls:
                call.packed = model.packed
                set_terms(call, options, self._dispatch, None)
            return calls

        self._dispatch.accept_everywhere(calls)
        return gathered.future

    def executor(self) -> LoopExecutor:
        """Make a ``concurrent.futures.Executor`` for code that expects one.

        Coroutine functions run on the loops, plain ones beside them, as with `run_sync`.
        """
        return LoopExecutor(self.submit_from)
