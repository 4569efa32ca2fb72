"""The demo's real job: a crawl with aiohttp, one client session on each loop.

This is what a program that uses polyloop looks like. The server and what is shown of it are elsewhere.
"""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import aiohttp

from .. import LoopPool, current_worker

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from .. import PoolStatistics
    from ._backend import Place
    from ._tally import Tally

__all__ = ["Outcomes", "PageError", "Visit", "crawl", "one_session_per_loop", "visit"]

Outcomes: TypeAlias = "list[tuple[str, Visit | BaseException]]"
"""What came of each URL."""

AT_A_TIME = 40
"""Requests under way on each loop."""

RESUBMITS = 3
"""How often a page is asked for again when the worker that asked was lost: to ask twice does no harm."""


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


async def crawl(
    urls: Iterable[str], loops: int, place: Place, tally: Tally
) -> tuple[Outcomes, PoolStatistics]:
    """Visit all pages, and count them while they come."""
    outcomes: Outcomes = []
    async with LoopPool(loops, backend=place, limit=AT_A_TIME, lifespan=one_session_per_loop) as pool:
        visits = pool.options(resubmits=RESUBMITS).map(visit, urls, errors="return")
        async for url, outcome in visits.pairs():
            outcomes.append((url, outcome))
            if isinstance(outcome, BaseException):
                tally.failed += 1
            else:
                tally.succeeded += 1
    # Read when the pool is closed: a result is there a moment before its call has been counted.
    return outcomes, pool.statistics()
