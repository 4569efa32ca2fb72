"""One value per event loop: clients, database pools, locks, whatever belongs to the loop it was made on."""

from __future__ import annotations

import inspect
from asyncio import _get_running_loop  # pyright: ignore[reportPrivateUsage]  # raises nothing
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from ._identity import find, register
from ._ledger import close_value, value_of
from ._recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from contextlib import AbstractAsyncContextManager

__all__ = ["LoopLocal"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class LoopLocal(Generic[T_co]):
    """One value per loop, opened on first use and closed on that loop.

        session = LoopLocal(aiohttp.ClientSession)

        async def fetch(url: str) -> bytes:
            async with (await session.get()).get(url) as response:
                return await response.read()

    Each loop's value lives in a task of its own, that enters, holds and leaves it, in an empty context. It is
    opened once, though a thousand calls ask at the same moment. On a pool's loop it is closed when the worker
    stops: after its tasks and async generators have ended, before the pool's ``lifespan`` is left, the last
    one opened first. On any other loop `aclose` or the end of the loop closes it.

    May be made anywhere, and used from any number of loops and threads. Pickled by value, it is the same
    object where it arrives, as often as it arrives.

    Args:
        factory: Called on the loop. It makes an async context manager, which is entered and left; an
            awaitable, as a coroutine function does; or the value itself. Looked at in this order.
        close: Called with the value when that is closed, unless it came from a context manager; it may
            return an awaitable.

    Raises:
        TypeError: An argument is nothing to call.
    """

    __slots__ = ("__weakref__", "_identity", "_recipe")

    @overload
    def __init__(
        self: LoopLocal[T], factory: Callable[[], AbstractAsyncContextManager[T, Any]], *, close: None = None
    ) -> None: ...

    @overload
    def __init__(
        self: LoopLocal[T],
        factory: Callable[[], Awaitable[T]],
        *,
        close: Callable[[T], object] | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self: LoopLocal[T], factory: Callable[[], T], *, close: Callable[[T], object] | None = None
    ) -> None: ...

    def __init__(self, factory: Callable[[], Any], *, close: Callable[[Any], object] | None = None) -> None:
        self._recipe = _checked(factory, close)
        self._identity = register(self)

    def get(self) -> Coroutine[Any, Any, T_co]:
        """The running loop's value, opened if there is none yet.

        If the opening raises, it does so in all who wait for it, and the next one who asks opens anew.

        Returns:
            A coroutine, to be awaited on the loop it was made on.

        Raises:
            RuntimeError: No event loop runs in this thread; or the opening of this value asks, by way of
                those it waits for, for itself.
            TypeError: What the factory made is nothing that a loop-local can hold.
            TaskCancelled: Somebody cancelled the opening.

        Cancellation: only ends the waiting; the opening goes on for the others.
        """
        if _get_running_loop() is None:
            raise RuntimeError(
                f"{self!r} has a value for each event loop, and none runs in this thread; await get() in a "
                "coroutine, as in pool.call(fn)"
            )
        return value_of(self, self._recipe)

    async def aclose(self) -> None:
        """Close the running loop's value, if there is one; the next one who asks opens a new one.

        Raises what the closing raises.

        Cancellation: only ends the waiting; the closing goes on.
        """
        await close_value(self)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return type(self)._revive, (self._identity, self._recipe.factory, self._recipe.close)

    @classmethod
    def _revive(cls, identity: str, factory: Any, close: Any) -> LoopLocal[Any]:
        """What was pickled: the same object, or what stands for it in another process."""

        def make() -> LoopLocal[Any]:
            local = cls.__new__(cls)
            local._recipe = _checked(factory, close)
            local._identity = identity
            return local

        return find(identity, make)

    def __repr__(self) -> str:
        """For messages and logs."""
        return f"LoopLocal({self._recipe.name})"


def _checked(factory: Any, close: Any) -> Recipe:
    if not callable(factory):
        if inspect.iscoroutine(factory):
            factory.close()  # so that nobody is told it was never awaited
        raise TypeError(
            f"LoopLocal takes a factory, which is called on each loop, not {type(factory).__name__}; "
            "pass what makes the value, as in LoopLocal(aiohttp.ClientSession), not a value"
        )
    if close is not None and not callable(close):
        raise TypeError(f"close must be something to call with the value, not {close!r}")
    return Recipe(factory, close)
