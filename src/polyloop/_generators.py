"""The async generators that are begun on a loop; what is left of them is closed when the worker stops."""

from __future__ import annotations

import asyncio
import logging
import sys
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

__all__ = ["Generators"]

logger = logging.getLogger("polyloop")


class Generators:
    """Those that were begun on the running loop since this was made. Owned by that loop.

    The loop itself knows them too, and those that were begun before, as by a lifespan.

    Args:
        is_foreign: Tells of a generator that is just being begun whether it belongs to somebody who ends it.
    """

    def __init__(self, is_foreign: Callable[[], bool]) -> None:
        self._begun: weakref.WeakSet[AsyncGenerator[Any, Any]] = weakref.WeakSet()
        first, last = sys.get_asyncgen_hooks()

        def begin(generator: AsyncGenerator[Any, Any]) -> None:
            if not is_foreign():
                self._begun.add(generator)
            if first is not None:
                first(generator)

        sys.set_asyncgen_hooks(begin, last)

    async def end(self, seconds: float) -> None:
        """Close them all.

        Args:
            seconds: How long to wait for that at most.
        """
        closing = [asyncio.ensure_future(generator.aclose()) for generator in list(self._begun)]
        if closing:
            await asyncio.wait(closing, timeout=seconds)
        for task in closing:
            if task.done() and not task.cancelled() and task.exception() is not None:
                logger.error("an async generator raised while it was closed", exc_info=task.exception())
