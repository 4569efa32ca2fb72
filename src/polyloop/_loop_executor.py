"""A pool as an executor, for code that expects one of ``concurrent.futures``.

It has no threads and decides nothing: each function becomes a call of the pool. The rule: coroutine
functions run on the loops, all others beside them, never on one.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import sys
from collections import deque
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, Protocol, TypeVar, overload
from weakref import ref

from ._beside import Beside
from ._coroutines import is_async
from ._locks import Lock
from ._staying import refuse_to_move

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
    from types import FrameType

    from ._future import Future

__all__ = ["LoopExecutor", "Submit"]

P = ParamSpec("P")
T = TypeVar("T")


class Submit(Protocol):
    """The pool's entrance."""

    def __call__(
        self,
        site: FrameType,
        fn: Callable[..., Awaitable[Any]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        /,
    ) -> Future[Any]:
        """Hand in a call, made at `site`."""
        ...


class LoopExecutor(concurrent.futures.Executor):
    """A ``concurrent.futures.Executor`` whose functions are calls of a pool.

    Made by `LoopPool.executor`; several of one pool do not know of one another. Coroutine functions run
    on the pool's loops, plain functions in threads beside them. Its futures are those of `LoopPool.submit`:
    ``cancel()`` reaches a coroutine that runs, and a plain function by `check_cancelled`.

    All of it may be called from any thread.

    Args:
        submit: The pool's entrance.
    """

    def __reduce__(self) -> NoReturn:
        refuse_to_move(self, "submit there, or make one of a pool that is opened in the worker")

    def __init__(self, submit: Submit) -> None:
        self._submit = submit
        # Re-entrant, for a signal handler or a ``__del__`` may submit in the middle of a submit.
        self._lock = Lock()
        self._entries: deque[_Entry] = deque()
        self._is_shut = False

    @overload
    def submit(
        self, fn: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]: ...

    @overload
    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]: ...

    def submit(self, fn: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Future[Any]:
        """Hand in one call. Never waits.

        Args:
            fn: A coroutine function, to run on some loop, or a plain one, to run beside it.
            *args: Its arguments.
            **kwargs: Its keyword arguments.

        Raises:
            RuntimeError: The executor has been shut down; as `PoolClosed`, that the pool is not open.
            PoolFull: The pool's backlog is full.
            TypeError: `fn` is no function, or an async generator function. A coroutine object is closed.
        """
        beside = Beside(fn) if _is_plain(fn) else None
        site = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]  # documented, and in every CPython
        with self._lock:
            if self._is_shut:
                raise RuntimeError("cannot schedule new futures after shutdown of this executor")
            future = self._submit(site, fn if beside is None else beside, args, kwargs)
            self._remember(_Entry(future, beside))
        return future

    if TYPE_CHECKING:  # what it does is inherited; this is only for coroutine functions to give their values

        @overload
        def map(
            self,
            fn: Callable[..., Coroutine[Any, Any, T]],
            *iterables: Iterable[Any],
            timeout: float | None = None,
            chunksize: int = 1,
            buffersize: int | None = None,
        ) -> Iterator[T]: ...

        @overload
        def map(
            self,
            fn: Callable[..., T],
            *iterables: Iterable[Any],
            timeout: float | None = None,
            chunksize: int = 1,
            buffersize: int | None = None,
        ) -> Iterator[T]: ...

        def map(
            self,
            fn: Callable[..., Any],
            *iterables: Iterable[Any],
            timeout: float | None = None,
            chunksize: int = 1,
            buffersize: int | None = None,
        ) -> Iterator[Any]: ...

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept nothing more. The pool, and what others have submitted to it, goes on.

        Args:
            wait: Whether to block until all that was submitted here has ended.
            cancel_futures: Whether to cancel what has not started.

        Raises:
            BlockingCall: This is one of the pool's own loops and something has not ended.
        """
        with self._lock:
            self._is_shut = True
            entries = [(future, entry) for entry in self._entries if (future := entry.future()) is not None]
        if cancel_futures:
            for future, entry in entries:
                if not entry.has_begun(future):
                    future.cancel()
        if wait:
            for future, _ in entries:
                future.wait()

    def _remember(self, entry: _Entry) -> None:
        """Keep it for `shutdown`, and forget such as have ended; under the lock."""
        self._entries.append(entry)
        # For each that comes two of the oldest are looked at, so that no more than twice those that have
        # not ended are kept, at a constant price. Each is taken out for that: a submit that comes in in
        # between may take the last one.
        with contextlib.suppress(IndexError):
            for _ in range(2):
                oldest = self._entries.popleft()
                future = oldest.future()
                if future is not None and not future.done():
                    self._entries.append(oldest)


class _Entry:
    """One call that was submitted."""

    __slots__ = ("_beside", "future")

    def __init__(self, future: Future[Any], beside: Beside[Any, Any] | None) -> None:
        # Weak, so that results nobody wants are not kept. The task keeps its future until it has ended.
        self.future = ref(future)
        self._beside = ref(beside) if beside is not None else None

    def has_begun(self, future: Future[Any]) -> bool:
        """Whether the function has; the task begins earlier, when it has to wait for a thread."""
        beside = self._beside() if self._beside is not None else None
        return future.running() and (beside is None or beside.has_begun)


def _is_plain(fn: object) -> bool:
    """Whether it is for a thread; what is no function at all is for the pool to refuse."""
    return callable(fn) and not is_async(fn)
