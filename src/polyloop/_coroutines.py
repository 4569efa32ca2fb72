"""What can be submitted: something that is called on the worker's loop and makes an awaitable there."""

from __future__ import annotations

import functools
import inspect
import types
from typing import TYPE_CHECKING, Any, NoReturn, cast

from ._messages import name_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["checked", "fail", "is_async", "raised_by"]


def checked(fn: Callable[..., Awaitable[Any]], verb: str) -> Callable[..., Awaitable[Any]]:
    """`fn` if it is a coroutine function; otherwise something that fails clearly when called.

    Args:
        fn: What the user wants called.
        verb: What the user called, as in ``"submit"``.

    Raises:
        TypeError: It cannot be one. A coroutine object is closed first.
    """
    if type(fn) is types.FunctionType and fn.__code__.co_flags & inspect.CO_COROUTINE:
        return fn
    return _examined(fn, verb)


def is_async(fn: object) -> bool:
    """Whether `fn` is known to make a coroutine or an async generator when it is called."""
    inner, call = _innermost(fn)
    return any(
        is_kind(one)
        for is_kind in (inspect.iscoroutinefunction, inspect.isasyncgenfunction)
        for one in (inner, call)
    )


def _examined(fn: Any, verb: str) -> Callable[..., Awaitable[Any]]:
    _refuse_objects(fn, verb)
    inner, call = _innermost(fn)
    _refuse_kinds(inner, call, verb)
    if inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(call):
        return cast("Callable[..., Awaitable[Any]]", fn)
    return functools.partial(_expect_awaitable, fn)


def _innermost(fn: Any) -> tuple[Any, Any]:
    """What is behind partials, and the function that runs when it is called."""
    while isinstance(fn, functools.partial):
        fn = cast("Any", fn).func
    return fn, fn if inspect.isroutine(fn) or inspect.isclass(fn) else cast("Any", type(fn)).__call__


def _refuse_objects(fn: Any, verb: str) -> None:
    """Refuse what is not something to call."""
    if inspect.iscoroutine(fn):
        fn.close()  # so that nobody is told it was never awaited
        raise TypeError(
            f"{verb}() takes a coroutine function and its arguments, as in {verb}({name_of(fn)}, ...), not a "
            "coroutine object: one that was already created cannot move to another loop"
        )
    if inspect.isasyncgen(fn):
        raise TypeError(
            f"{verb}() takes a coroutine function, not the async generator that {name_of(fn)}() returned"
        )
    if not callable(fn):
        hint = "; it belongs to the loop that made it" if inspect.isawaitable(fn) else ""
        raise TypeError(
            f"{verb}() takes a coroutine function and its arguments, not {type(fn).__name__} {fn!r}{hint}"
        )


def _refuse_kinds(inner: Any, call: Any, verb: str) -> None:
    """Refuse what can be called and can never make an awaitable."""
    name = name_of(inner)
    if inspect.isasyncgenfunction(inner) or inspect.isasyncgenfunction(call):
        raise TypeError(
            f"{verb}() cannot run {name}: it is an async generator function, and has many results; "
            f"submit a coroutine function that consumes it, as in "
            f"`async def collect(): return [item async for item in {name}()]`"
        )
    if inspect.isclass(inner):
        raise TypeError(
            f"{verb}() takes a coroutine function, not the class {name}; pass {name}(...).method, or an "
            "instance if that has an async __call__"
        )
    if inspect.isbuiltin(inner):
        raise TypeError(
            f"{verb}() takes a coroutine function, not the builtin {name}(), which would block the loop; "
            f"wrap it, as in `async def work(*args): return await asyncio.to_thread({name}, *args)`"
        )


async def _expect_awaitable(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call what may or may not return an awaitable, and say so if it did not."""
    awaitable = fn(*args, **kwargs)
    if not inspect.isawaitable(awaitable):
        raise TypeError(
            f"{name_of(fn)}() is not a coroutine function: it returned {type(awaitable).__name__}, which "
            f"cannot be awaited; make it `async def`, or run it in a thread beside a loop with run_sync()"
        )
    return await awaitable


async def fail(error: Exception) -> NoReturn:
    """Run in place of a call that cannot be made: the error belongs to its item, and to no other."""
    raise error


def raised_by(error: Exception) -> Exception:
    """What `fail` comes to with this error: no coroutine can raise StopIteration."""
    if not isinstance(error, StopIteration):
        return error
    instead = RuntimeError("coroutine raised StopIteration")
    instead.__cause__ = error
    return instead
