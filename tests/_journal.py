"""Where tests write down what happened, and in which thread."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

__all__ = ["Journal"]


class Journal:
    """Writes down what happens and where; from any thread."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str]] = []

    def note(self, what: str) -> None:
        """Write down what happens in this thread."""
        self.entries.append((threading.current_thread().name, what))

    def of(self, thread: str) -> list[str]:
        """What happened in that thread."""
        return [what for name, what in self.entries if name == thread]

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
