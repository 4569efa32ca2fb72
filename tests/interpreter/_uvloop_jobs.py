"""A module that imports an extension module which cannot be loaded in a sub-interpreter."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import uvloop

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator


async def job() -> None:
    """Nothing that needs it."""


def make_loop() -> asyncio.AbstractEventLoop:
    """A loop factory."""
    return uvloop.new_event_loop()


@contextlib.asynccontextmanager
async def lifespan() -> AsyncGenerator[None]:
    """Nothing that needs it."""
    yield
