"""The demo's real job: a crawl with aiohttp, one client session on each loop.

This is what a program that uses polyloop looks like. The server and what is shown of it are elsewhere.
"""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp

from .. import current_worker

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

__all__ = ["PageError", "Visit", "one_session_per_loop", "visit"]


@dataclass(slots=True)
class Visit:
    """One request.

    Attributes:
        url: What was asked for.
        worker: The index of the worker that asked.
        begin: When, in seconds of `time.perf_counter`.
        end: When the answer was there.
        status: The HTTP status.
        length: Bytes of the answer.
    """

    url: str
    worker: int
    begin: float
    end: float
    status: int
    length: int


class PageError(Exception):
    """A page did not answer with 200.

    Attributes:
        visit: The request.
    """

    def __init__(self, visit: Visit) -> None:
        super().__init__(f"status {visit.status}")
        self.visit = visit


@asynccontextmanager
async def one_session_per_loop() -> AsyncGenerator[aiohttp.ClientSession]:
    """The pool's lifespan: entered on every loop, for a session belongs to the loop it was made on."""
    connector = aiohttp.TCPConnector(limit=0)  # the pool has a limit already
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


async def visit(url: str) -> Visit:
    """Fetch one page, with the session of the loop that this runs on.

    Raises:
        PageError: The page is not there.
        aiohttp.ClientError: There was no answer.
    """
    session: aiohttp.ClientSession = current_worker().state
    begin = time.perf_counter()
    async with session.get(url) as response:
        body = await response.read()
    made = Visit(url, current_worker().index, begin, time.perf_counter(), response.status, len(body))
    if response.status != 200:  # noqa: PLR2004 - OK
        raise PageError(made)
    return made
