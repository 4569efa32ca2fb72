"""What calls, lifespans and loop-local values open on their loop, and note when it is closed there."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from functools import partial
from typing import TYPE_CHECKING

from polyloop import LoopLocal, current_worker

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from tests._shared import Notes

    Note = tuple[int, bool, str]

__all__ = ["Owned"]

# Generators that somebody refers to, so that it is the worker who ends them.
_kept: list[AsyncGenerator[str, None]] = []


class Owned:
    """Opens things on a loop, and notes what is closed: on which worker, whether in its thread, and its name.

    Args:
        closed: Where that is noted.
        generators: How many of them each loop has.
        values: How many loop-local values.
    """

    def __init__(self, closed: Notes[Note], generators: int, values: int) -> None:
        self._closed = closed
        self._generators = [f"generator {number}" for number in range(generators)]
        self._values = [f"value {number}" for number in range(values)]
        self._locals = [LoopLocal(partial(self._resource, name)) for name in self._values]

    @property
    def in_order(self) -> list[str]:
        """What is closed after the generators: what was opened last comes first."""
        return [*reversed(self._values), "second", "first"]

    @property
    def everything(self) -> set[str]:
        """What each loop has."""
        return {*self._generators, *self.in_order}

    @contextlib.asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Open two things, one after the other."""
        async with self._resource("first"), self._resource("second"):
            yield

    async def begin(self) -> int:
        """Begin the generators and open the values; returns the worker."""
        for name in self._generators:
            generator = self._generate(name)
            _kept.append(generator)
            await anext(generator)
        for local in self._locals:
            await local.get()
        return current_worker().index

    @contextlib.asynccontextmanager
    async def _resource(self, name: str) -> AsyncIterator[str]:
        home = threading.get_ident()
        try:
            yield name
        finally:
            await asyncio.sleep(0)
            self._note(home, name)

    async def _generate(self, name: str) -> AsyncGenerator[str, None]:
        home = threading.get_ident()
        try:
            yield name
        finally:
            await asyncio.sleep(0)
            self._note(home, name)

    def _note(self, home: int, name: str) -> None:
        self._closed.append((current_worker().index, threading.get_ident() == home, name))
