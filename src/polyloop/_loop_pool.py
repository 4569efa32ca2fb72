"""The public face of a pool: it checks what users hand in, and passes it on."""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
import threading
import warnings
import weakref
from contextvars import ContextVar, copy_context
from inspect import CO_COROUTINE
from types import FunctionType
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Self, TypeVar, cast, overload

from ._backends._thread import ThreadLink
from ._coroutines import checked
from ._cpus import default_loops
from ._descriptors import check_descriptors
from ._flow import Flow
from ._future import Future
from ._gathered import Gathered
from ._local import here
from ._map import MapStream
from ._messages import Call, name_of
from ._reply import Reply
from ._statistics import PoolStatistics
from ._supervisor import Supervisor, adrive, drive

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
    from types import TracebackType

    from ._dispatch import Dispatch
    from ._link import Link, Reports
    from ._local import Worker

__all__ = ["LoopPool", "current_pool"]

P = ParamSpec("P")
T = TypeVar("T")
I = TypeVar("I")  # noqa: E741 - the item, as the contract names it
A = TypeVar("A", bound="Iterable[Any]")

# More is a slip of the pen: each is a thread with four file descriptors.
MOST_LOOPS = 1024
DEFAULT_WINDOW = 1000


class LoopPool:
    """Many event loops behind one entrance.

    Each loop is an ordinary asyncio loop in a thread of its own. A pool accepts calls from any thread
    and from any loop, its own included. Every call that it accepts is settled exactly once: with a
    value, an error or a cancellation.

    Use it in ``with`` or ``async with``, or call `open` or `aopen`, and `close` or `aclose`. Leaving the
    block cleanly lets what was accepted finish; leaving it by an exception, Ctrl-C included, cancels it.

    Args:
        loops: How many. None is one per usable CPU, at most four where threads share a GIL.
        backend: Where they live: ``"thread"``.
        limit: Most tasks in flight per worker. What comes above it waits in the backlog, in order.
        backlog: Most calls that wait there; beyond it `submit` raises `PoolFull`. None is no limit.
        grace: Seconds for clean-up when the pool is closed and tasks are cancelled, for all together.
        loop_factory: Makes each loop, as ``uvloop.new_event_loop`` does. None is asyncio's own.
        lifespan: Makes an async context manager that is entered on every loop when it starts and left
            when it stops; what it yields is ``current_worker().state``.
        name: Shows in the names of threads, in logs and errors.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        loops: int | None = None,
        *,
        backend: Literal["thread"] = "thread",
        limit: int = 1000,
        backlog: int | None = None,
        grace: float = 5.0,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
        lifespan: Callable[[], contextlib.AbstractAsyncContextManager[Any]] | None = None,
        name: str = "polyloop",
    ) -> None:
        if backend != "thread":
            raise ValueError(f"backend={backend!r} is not known; this version has 'thread'")
        self._grace = _seconds("grace", grace)
        make_loop = loop_factory if loop_factory is not None else asyncio.new_event_loop

        def make_link(worker: Worker, reports: Reports, delay: float) -> Link:
            return ThreadLink(worker, reports, loop_factory=make_loop, lifespan=lifespan, delay=delay)

        self._supervisor = Supervisor(
            name=name,
            loops=default_loops() if loops is None else _count("loops", loops, most=MOST_LOOPS),
            limit=_count("limit", limit),
            backlog=None if backlog is None else _count("backlog", backlog, least=0),
            backend=backend,
            make_link=make_link,
        )
        self._dispatch = self._supervisor.dispatch
        self._limit = limit
        # Weak, so that a pool nobody refers to any more can be noticed and closed.
        self._dispatch.face = weakref.ref(self)

    # -- the pool's life ---------------------------------------------------------------------

    def open(self) -> None:
        """Bring all loops up.

        Raises:
            StartupError: A worker did not come up; the others have been stopped.
            PoolClosed: It has been opened before.
        """
        check_descriptors(self._supervisor.loops)
        drive(self._supervisor.opening())

    async def aopen(self) -> None:
        """As `open`, without blocking the running loop.

        Cancellation: stops those that have come up, then goes on.
        """
        check_descriptors(self._supervisor.loops)
        await adrive(self._supervisor.opening())

    def close(self, *, drain: float | None = None, grace: float | None = None) -> None:
        """Accept nothing more, let tasks finish, cancel what is left, and end all loops.

        A task that does not end within the grace is given up: its future gets an error that names it.

        Args:
            drain: Seconds to let tasks finish; None is without limit, 0 cancels at once.
            grace: Seconds for clean-up after that, for all workers together; None is the pool's own.

        Raises:
            BlockingCall: This is one of the pool's own loops.
        """
        self._dispatch.check_wait(f"the end of {self._supervisor.name}")
        drive(self._supervisor.closing(*self._patience(drain, grace)))

    async def aclose(self, *, drain: float | None = None, grace: float | None = None) -> None:
        """As `close`, without blocking the running loop.

        Cancellation: ends the draining; a second one ends the grace. It is raised in the end.
        """
        self._dispatch.check_wait(f"the end of {self._supervisor.name}")
        await adrive(self._supervisor.closing(*self._patience(drain, grace)))

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close(drain=None if kind is None else 0)

    async def __aenter__(self) -> Self:
        await self.aopen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose(drain=None if kind is None else 0)

    def __del__(self) -> None:
        supervisor = getattr(self, "_supervisor", None)
        if supervisor is None or not supervisor.is_open:
            return
        # In a thread of its own: this may be one of the pool's.
        steps = supervisor.closing(0.0, self._grace)
        threading.Thread(target=drive, args=(steps,), name=f"{supervisor.name}-close", daemon=True).start()
        warnings.warn(
            f"{self!r} was dropped without being closed", ResourceWarning, stacklevel=2, source=self
        )

    def __repr__(self) -> str:
        return f"<LoopPool {self._supervisor.name} loops={self._supervisor.loops}>"

    # -- calls -------------------------------------------------------------------------------

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
        call = Call(self._dispatch, fn, args, kwargs, copy_context())
        frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]  # documented, and in every CPython
        call.sink = future = Future[T](call, frame.f_code, frame.f_lasti)
        self._dispatch.accept(call)
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
        call = Call(self._dispatch, fn, args, kwargs, copy_context())
        call.sink = reply = Reply(asyncio.get_running_loop())
        self._dispatch.accept(call)
        return cast("T", await reply.wait(call))

    def call(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one call on some loop, wait for it in this thread, and return its value or raise its error.

        The arguments and errors are those of `submit`. Ctrl-C cancels the task and waits for its
        clean-up, as long as the pool's grace.

        Raises:
            BlockingCall: This is one of the pool's own loops.
        """
        self._dispatch.check_wait(f"the task {name_of(fn)}()")
        future = self.submit(fn, *args, **kwargs)
        try:
            return future.result()
        except KeyboardInterrupt:
            # Ctrl-C in the waiting, or raised by the task itself: then there is nothing to cancel.
            future.cancel()
            future.wait(self._grace)
            raise

    @overload
    def map(
        self,
        fn: Callable[[I], Awaitable[T]],
        items: Iterable[I] | AsyncIterable[I],
        *,
        ordered: bool = True,
        window: int | None = None,
        errors: Literal["raise"] = "raise",
    ) -> MapStream[I, T]: ...

    @overload
    def map(
        self,
        fn: Callable[[I], Awaitable[T]],
        items: Iterable[I] | AsyncIterable[I],
        *,
        ordered: bool = True,
        window: int | None = None,
        errors: Literal["return"],
    ) -> MapStream[I, T | BaseException]: ...

    def map(
        self,
        fn: Callable[[I], Awaitable[T]],
        items: Iterable[I] | AsyncIterable[I],
        *,
        ordered: bool = True,
        window: int | None = None,
        errors: Literal["raise", "return"] = "raise",
    ) -> MapStream[I, T] | MapStream[I, T | BaseException]:
        """Run a call for each item and deliver the results as a stream.

        Args:
            fn: Called with each item on some loop; as for `submit`.
            items: A sync or async iterable, finite or not. A sync one is pulled in the consumer's thread.
            ordered: Deliver in the order of the items, or as results come.
            window: Most items pulled and not delivered, over all workers; None is the smaller of 1,000
                and what the workers' limits allow.
            errors: ``"raise"``: the first error ends the stream and cancels the rest. ``"return"``: an
                error takes its item's place.

        Raises:
            TypeError: `fn` is not something to call on a loop, or `items` cannot be iterated.
            ValueError: `window` or `errors` is out of range.
        """
        return self._stream(fn, items, "map", is_ordered=ordered, window=window, errors=errors)

    @overload
    def starmap(
        self,
        fn: Callable[..., Awaitable[T]],
        items: Iterable[A] | AsyncIterable[A],
        *,
        ordered: bool = True,
        window: int | None = None,
        errors: Literal["raise"] = "raise",
    ) -> MapStream[A, T]: ...

    @overload
    def starmap(
        self,
        fn: Callable[..., Awaitable[T]],
        items: Iterable[A] | AsyncIterable[A],
        *,
        ordered: bool = True,
        window: int | None = None,
        errors: Literal["return"],
    ) -> MapStream[A, T | BaseException]: ...

    def starmap(
        self,
        fn: Callable[..., Awaitable[T]],
        items: Iterable[A] | AsyncIterable[A],
        *,
        ordered: bool = True,
        window: int | None = None,
        errors: Literal["raise", "return"] = "raise",
    ) -> MapStream[A, T] | MapStream[A, T | BaseException]:
        """As `map`, for items that are tuples of arguments: ``fn(*item)``."""
        return self._stream(fn, items, "starmap", is_ordered=ordered, window=window, errors=errors)

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
        gathered = Gathered[T](checked(fn, "broadcast"), frame.f_code, frame.f_lasti)
        self._dispatch.accept_everywhere(lambda count: gathered.calls(self._dispatch, count, args, kwargs))
        return gathered.future

    def statistics(self) -> PoolStatistics:
        """What the pool and its workers have done so far."""
        return self._supervisor.statistics()

    def _stream(
        self,
        fn: Callable[..., Awaitable[Any]],
        items: Any,
        verb: str,
        *,
        is_ordered: bool,
        window: int | None,
        errors: str,
    ) -> MapStream[Any, Any]:
        if not hasattr(items, "__iter__") and not hasattr(items, "__aiter__"):
            raise TypeError(
                f"{verb}() takes an iterable or async iterable of items, not {type(items).__name__}"
            )
        if errors not in {"raise", "return"}:
            raise ValueError(f"errors={errors!r} is not known; it is 'raise' or 'return'")
        if window is None:
            window = min(self._limit * self._supervisor.loops, DEFAULT_WINDOW)
        flow = Flow(
            self._dispatch,
            checked(fn, verb),
            items,
            is_ordered=is_ordered,
            size=_count("window", window),
            returns_errors=errors == "return",
            unpacks=verb == "starmap",
        )
        return MapStream(flow)

    def _patience(self, drain: float | None, grace: float | None) -> tuple[float | None, float]:
        return (
            None if drain is None else _seconds("drain", drain),
            self._grace if grace is None else _seconds("grace", grace),
        )


# Set around the main function of polyloop.run(), which runs on no worker.
surrounding_pool: ContextVar[LoopPool] = ContextVar("surrounding_pool")


def current_pool() -> LoopPool:
    """The pool whose worker runs the calling code, or the one that `polyloop.run` opened around it.

    Raises:
        RuntimeError: There is none.
    """
    worker = here.worker
    if worker is None:
        pool = surrounding_pool.get(None)
    else:
        pool = cast("LoopPool | None", cast("Dispatch", worker.home).face())
    if pool is None:
        raise RuntimeError(
            "current_pool() was called outside a pool: it is for code that a pool or polyloop.run() runs"
        )
    return pool


def _count(name: str, value: int, *, least: int = 1, most: int | None = None) -> int:
    if isinstance(value, bool) or not isinstance(cast("object", value), int):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if value < least:
        raise ValueError(f"{name}={value} is too small: it must be at least {least}")
    if most is not None and value > most:
        raise ValueError(f"{name}={value} is too large: it must be at most {most}")
    return value


def _seconds(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(cast("object", value), int | float):
        raise TypeError(f"{name} must be a number of seconds, not {value!r}")
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name}={value} must be a finite number of seconds, 0 or more")
    return float(value)
