"""A plain function in a thread beside a worker's loop, sent there as a call like any other.

To the pool it is a coroutine function that waits for a thread. A thread cannot be stopped: it can be kept
from beginning, and asked. So the task ends when the function has ended, and not before.
"""

from __future__ import annotations

import asyncio
import inspect
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

from ._coroutines import is_async
from ._local import Standing, here
from ._messages import name_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Beside", "check_cancelled", "refuse_async"]

P = ParamSpec("P")
T = TypeVar("T")


def check_cancelled() -> None:
    """Raise when the task that the calling function runs for was asked to stop.

    It is for functions that `LoopPool.run_sync` or `LoopPool.executor` runs in a thread, which hear of a
    cancellation in no other way. What it raises passes through ``except Exception``; let it out, and the
    task is cancelled. The pool asks too, when it is closed without draining.

    Raises:
        asyncio.CancelledError: It was asked to stop.
        RuntimeError: The calling code is no such function.
    """
    errand = cast("_Errand | None", here.errand)
    if errand is None:
        raise RuntimeError(
            "check_cancelled() was called outside a function that run_sync() or an executor() of a pool runs "
            "in a thread; a coroutine is told of its cancellation by CancelledError at its next await"
        )
    if errand.is_cancelling:
        raise asyncio.CancelledError(f"the task of {errand.name}() was asked to stop")


def refuse_async(fn: object) -> None:
    """Refuse what is not for a thread.

    Raises:
        TypeError: It is no function, or one that makes coroutines. A coroutine object is closed first.
    """
    if inspect.iscoroutine(fn):
        fn.close()  # so that nobody is told it was never awaited
        raise TypeError(
            f"run_sync() takes a plain function and its arguments, not a coroutine object; a coroutine "
            f"function runs on a loop, as in run({name_of(fn)}, ...)"
        )
    if not callable(fn):
        raise TypeError(
            f"run_sync() takes a plain function and its arguments, not {type(fn).__name__} {fn!r}"
        )
    if is_async(fn):
        raise TypeError(
            f"run_sync() takes a plain function, and {name_of(fn)} is an async one, which runs on a loop: "
            f"use run({name_of(fn)}, ...)"
        )


class Beside(Generic[P, T]):
    """A plain function as a coroutine function, which runs it in a thread beside the running loop.

    Args:
        func: The plain function; named as that of a partial is, so that messages find its name.

    Attributes:
        has_begun: Whether a thread has begun with it, or may have, in another process.
    """

    __slots__ = ("__weakref__", "func", "has_begun")

    def __init__(self, func: Callable[P, T]) -> None:
        self.func = func
        self.has_begun = False

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        # Nobody here sees when a thread begins with it in another process: it may have, once its task has.
        self.has_begun = True
        return Beside, (self.func,)

    async def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run it, in a copy of the task's context.

        Cancellation: keeps the function from beginning if it has not begun. Otherwise `check_cancelled`
        tells it, and this waits for its end; what it returns is then the result.
        """
        errand = _Errand(self, args, kwargs)
        # Not the loop's future for it: that is cancelled at once, whatever its thread does.
        thread = asyncio.get_running_loop().run_in_executor(None, copy_context().run, errand.run)
        try:
            await _outlast(thread, errand)
        finally:
            if not thread.done():  # it does not begin, or the loop has come to its end
                errand.ask_to_stop()
                thread.cancel()
        return cast("T", errand.take())


async def _outlast(thread: asyncio.Future[None], errand: _Errand) -> None:
    """Wait until `thread` has done with `errand`, or will not begin."""
    while not thread.done():
        try:
            await asyncio.wait([thread])
        except asyncio.CancelledError:
            if errand.ask_to_stop():
                raise
    thread.result()  # nothing, or that an executor of the user's own has cancelled it


class _Errand:
    """One run of a plain function, which its thread and the task on the loop share.

    Who takes the ticket decides whether it begins: ``list.pop`` gives it to one thread only, with the GIL
    or without.
    """

    __slots__ = ("_args", "_beside", "_error", "_kwargs", "_standing", "_ticket", "_value", "is_cancelling")

    def __init__(self, beside: Beside[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._beside = beside
        self._args = args
        self._kwargs = kwargs
        self._standing = Standing()
        self._ticket = [True]
        self._value: Any = None
        self._error: BaseException | None = None
        self.is_cancelling = False

    @property
    def name(self) -> str:
        """What to call the function in messages."""
        return name_of(self._beside)

    def ask_to_stop(self) -> bool:
        """Let the function know; returns whether it will not even begin."""
        self.is_cancelling = True
        return self._claim()

    def run(self) -> None:
        """The thread's part. It keeps what comes of it, for not every future could carry that."""
        if not self._claim():
            return
        self._beside.has_begun = True
        here.errand = self
        try:
            with self._standing:
                self._value = self._beside.func(*self._args, **self._kwargs)
            self._refuse_coroutine()
        except StopIteration as error:
            # No coroutine may let it out.
            self._error = RuntimeError(f"{self.name}() raised StopIteration")
            self._error.__cause__ = error
        except BaseException as error:  # noqa: BLE001 - SystemExit too: it ends in the task's future
            self._error = error
        finally:
            here.errand = None

    def take(self) -> Any:
        """What has come of it, once."""
        value, self._value = self._value, None
        error, self._error = self._error, None
        if error is None:
            return value
        try:
            raise error
        finally:
            # The traceback refers to this frame: without this, a cycle with the error in it.
            del self, error

    def _claim(self) -> bool:
        try:
            self._ticket.pop()
        except IndexError:
            return False
        return True

    def _refuse_coroutine(self) -> None:
        value = self._value
        if not inspect.iscoroutine(value):
            return
        value.close()
        raise TypeError(
            f"{self.name}() returned a coroutine, which belongs on a loop and not into a thread: "
            f"use run({self.name}, ...) or submit({self.name}, ...)"
        )
