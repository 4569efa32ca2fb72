"""asyncio's `run_coroutine_threadsafe`, for any loop, without what gets lost on the way there and back."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Coroutine
from contextvars import copy_context
from types import CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, TypeVar

from ._entrance import entrance_of
from ._future import Future
from ._messages import name_of
from ._submission import Submission, discard

if TYPE_CHECKING:
    import asyncio

__all__ = ["run_coroutine_threadsafe"]

T = TypeVar("T")


def run_coroutine_threadsafe(coro: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> Future[T]:
    """Run a coroutine on a loop that may run in another thread. Never waits.

    As ``asyncio.run_coroutine_threadsafe``, for any asyncio loop, also one that polyloop did not start, and:
    cancelling the future reaches the coroutine, and is done when that has ended; no future stays pending
    when the loop ends; errors that nobody collects are logged; many submissions cost one wake-up.

    May be called from any thread, also that of the loop, and from signal handlers.

    Args:
        coro: A coroutine, as in ``run_coroutine_threadsafe(fetch(url), loop)``. It runs in a copy of the
            current context.
        loop: A loop that runs, or will: what is submitted before its first run waits for that.

    Returns:
        The task's future: await it on any loop, or block on its ``result()``.

    Raises:
        TypeError: It is not a coroutine, or not a loop.
        LoopClosed: The loop is closed, has run and is stopped, or is ending its run. The coroutine is closed.
        ForkedPool: The loop runs in the process that this one was forked from.
    """
    kind: type = type(coro)
    if kind is not CoroutineType:
        _check_coroutine(coro, kind)
    try:
        entrance = entrance_of(loop)
    except BaseException:
        discard(coro)
        raise
    submission = Submission(entrance.reference, coro, copy_context())
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]  # documented, and in every CPython
    # Not Future[T](...): that makes an alias and a dict for every call.
    future: Future[T] = Future(submission, frame.f_code, frame.f_lasti)
    submission.belongs_to(future)
    try:
        entrance.accept(submission)
    except BaseException:  # refused, or Ctrl-C
        submission.withdraw()
        raise
    return future


def _check_coroutine(coro: Any, kind: type) -> None:
    # Those that are no native coroutines: of types.coroutine(), of Cython, of a class.
    if issubclass(kind, Coroutine):
        return
    if kind is GeneratorType and coro.gi_code.co_flags & inspect.CO_ITERABLE_COROUTINE:
        return
    takes = (
        "run_coroutine_threadsafe() takes a coroutine, as in run_coroutine_threadsafe(fetch(url), loop), not "
    )
    if inspect.iscoroutinefunction(coro):
        raise TypeError(f"{takes}the function {name_of(coro)} itself; call it: {name_of(coro)}(...)")
    if inspect.isawaitable(coro):
        raise TypeError(
            f"{takes}{kind.__name__} {coro!r}; await it in a coroutine of the loop that it belongs to"
        )
    if inspect.isasyncgen(coro):
        raise TypeError(f"{takes}an async generator; submit a coroutine that consumes it with `async for`")
    if callable(coro):
        raise TypeError(
            f"{takes}{name_of(coro)}; for a plain function there is asyncio.to_thread(), and "
            "loop.call_soon_threadsafe()"
        )
    raise TypeError(f"{takes}{kind.__name__} {coro!r}")
