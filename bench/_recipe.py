"""The other sides: the recipe of 2019, which is what people write by hand, and a loop on its own.

Not a straw man: the loops are made once and stay open, as a program would keep them.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

__all__ = ["awaited", "nothing", "recipe_loops"]


async def nothing(_: object = None) -> None:
    """What is called: nothing, so that only the way there and back is measured."""


@contextlib.contextmanager
def recipe_loops(count: int) -> Iterator[list[asyncio.AbstractEventLoop]]:
    """So many loops, each running for ever in a thread of its own."""
    loops = [asyncio.new_event_loop() for _ in range(count)]
    threads = [threading.Thread(target=loop.run_forever, daemon=True) for loop in loops]
    for thread in threads:
        thread.start()
    try:
        yield loops
    finally:
        for loop, thread in zip(loops, threads, strict=True):
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


def awaited(coroutine: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> asyncio.Future[Any]:
    """Run a coroutine on another thread's loop, and await it on this one, as the recipe does."""
    return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, loop))
