"""``asyncio.run`` with a pool around it."""

from __future__ import annotations

import asyncio
from asyncio import _get_running_loop  # pyright: ignore[reportPrivateUsage]  # raises nothing
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from ._coroutines import checked
from ._current import surrounding_pool
from ._loop_pool import LoopPool

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Coroutine

__all__ = ["run"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def run(
    main: Callable[[*Ts], Coroutine[Any, Any, T]],
    /,
    *args: *Ts,
    loops: int | None = None,
    limit: int = 1000,
    backlog: int | None = None,
    grace: float = 5.0,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    lifespan: Callable[[], contextlib.AbstractAsyncContextManager[Any]] | None = None,
    name: str = "polyloop",
    debug: bool | None = None,
) -> T:
    """Run `main` on a loop in this thread, with a pool open around it: ``current_pool()``.

    Args:
        main: A coroutine function.
        *args: Its arguments.
        loops: As for `LoopPool`, and so are those that follow.
        limit: See `LoopPool`.
        backlog: See `LoopPool`.
        grace: See `LoopPool`.
        loop_factory: See `LoopPool`; it makes the loop of `main` too.
        lifespan: See `LoopPool`.
        name: See `LoopPool`.
        debug: As for ``asyncio.run``.

    Returns:
        What `main` returns.

    Raises:
        RuntimeError: A loop is running in this thread already.
    """
    checked(main, "polyloop.run")  # its complaint, if it has one, comes before anything is started
    if _get_running_loop() is not None:
        raise RuntimeError(
            "polyloop.run() cannot be called from a running event loop; use `async with LoopPool()`"
        )

    async def with_pool() -> T:
        async with LoopPool(
            loops,
            limit=limit,
            backlog=backlog,
            grace=grace,
            loop_factory=loop_factory,
            lifespan=lifespan,
            name=name,
        ) as pool:
            surrounding_pool.set(pool)
            return await main(*args)

    with asyncio.Runner(debug=debug, loop_factory=loop_factory) as runner:
        return runner.run(with_pool())
