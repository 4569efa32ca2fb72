"""Starts a task at once, instead of with the next turn of its loop.

For a call that needs no waiting this halves its cost, and "has it started?" has the same answer on every
Python. From 3.12 on asyncio can do it. In 3.11 a new task hands its first step to ``loop.call_soon``; for
the moment of its making that is caught here, and the step is taken at once.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextvars import Context

__all__ = ["can_start_eagerly", "start_eagerly"]


if sys.version_info >= (3, 12):

    def can_start_eagerly(loop: asyncio.AbstractEventLoop) -> bool:
        """Whether `start_eagerly` works on this loop."""
        return True

    def start_eagerly(
        loop: asyncio.AbstractEventLoop,
        coroutine: Coroutine[Any, Any, None],
        context: Context,
        name: str | None = None,
    ) -> asyncio.Task[None]:
        """A task of `coroutine` on `loop`, which runs here, that has taken its first step.

        Args:
            loop: The running loop; none of its tasks may be running at the moment.
            coroutine: What the task runs.
            context: The context it runs in; nobody may have entered it.
            name: What to call the task; None leaves that to asyncio.
        """
        return asyncio.Task(coroutine, loop=loop, name=name, context=context, eager_start=True)

else:

    def can_start_eagerly(loop: asyncio.AbstractEventLoop) -> bool:
        """Whether `start_eagerly` works on this loop: not on one in C (uvloop), which takes no attributes."""
        return isinstance(loop, asyncio.BaseEventLoop)

    def start_eagerly(
        loop: asyncio.AbstractEventLoop,
        coroutine: Coroutine[Any, Any, None],
        context: Context,
        name: str | None = None,
    ) -> asyncio.Task[None]:
        """A task of `coroutine` on `loop`, which runs here, that has taken its first step.

        Args:
            loop: The running loop; none of its tasks may be running at the moment.
            coroutine: What the task runs.
            context: The context it runs in; nobody may have entered it.
            name: What to call the task; None leaves that to asyncio.
        """
        first_step: Callable[[], object] | None = None
        call_soon = loop.call_soon

        def catch(callback: Callable[..., object], *args: Any, context: Context | None = None) -> Any:
            nonlocal first_step
            if context is own_context:
                first_step = callback
                return None
            # A finaliser that happened to run just now.
            return call_soon(callback, *args, context=context)

        own_context = context
        attributes = vars(loop)
        attributes["call_soon"] = catch
        try:
            task = asyncio.Task(coroutine, loop=loop, name=name, context=context)
        finally:
            del attributes["call_soon"]
        if first_step is not None:
            context.run(first_step)
        return task
