"""Where tests write down what happened, and on whose loop."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import polyloop
from tests._shared import Notes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

__all__ = ["Journal", "worker_here"]


def worker_here() -> str:
    """Whose thread this is: the name of the worker whose loop runs in it, else the thread's own."""
    try:
        return polyloop.current_worker().name
    except RuntimeError:
        return threading.current_thread().name


class Journal:
    """Writes down what happens and where; from any thread, on any backend."""

    def __init__(self) -> None:
        self.entries: Notes[tuple[str, str]] = Notes()

    def note(self, what: str) -> None:
        """Write down what happens in this thread, under the name of the worker that it belongs to."""
        self.entries.append((worker_here(), what))

    def of(self, where: str) -> list[str]:
        """What happened in the thread of that worker."""
        return [what for there, what in self.entries if there == where]

    @property
    def all(self) -> list[str]:
        """What happened, in whatever thread."""
        return [what for _, what in self.entries]

    def resource(self, name: str) -> Callable[[], contextlib.AbstractAsyncContextManager[str]]:
        """A factory of resources that note ``open NAME`` and ``close NAME``."""

        @contextlib.asynccontextmanager
        async def resource() -> AsyncIterator[str]:
            self.note(f"open {name}")
            yield name
            # No `finally`: it is reached only when the block is left, not when a generator is thrown away.
            self.note(f"close {name}")

        resource.__qualname__ = name
        return resource
