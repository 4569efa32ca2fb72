"""Real clients, one for each loop, against a real server: nothing is left behind.

Threads, sockets and child processes are compared by the fixtures that every test gets; an "unclosed" of a
client is a warning, and is looked for here.
"""

from __future__ import annotations

import asyncio
import gc
import warnings
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import pytest

from polyloop import LoopLocal, LoopPool, share
from tests._gate import PATIENCE, Gate
from tests._http_site import http_site
from tests._scorecard import report

if TYPE_CHECKING:
    from tests._open_pool import OpenPool

LOOPS = 3
CALLS = 200


class Clients:
    """Makes one kind of client, counts those that were made, and fetches with the loop's own."""

    def __init__(self, kind: str) -> None:
        self.made: list[Any] = []
        self.local: LoopLocal[Any] = LoopLocal(self._make)
        self._kind = kind

    def _make(self) -> Any:
        limit = share(30)
        client: Any
        if self._kind == "aiohttp":
            client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=limit))
        else:
            client = httpx.AsyncClient(limits=httpx.Limits(max_connections=limit), timeout=PATIENCE)
        self.made.append(client)
        return client

    async def fetch(self, url: str) -> str:
        """Fetch a page."""
        client = await self.local.get()
        if self._kind == "aiohttp":
            async with client.get(url) as response:
                return str(await response.text())
        return str((await client.get(url)).text)

    @property
    def closed(self) -> int:
        """How many clients are closed."""
        return sum(client.closed if self._kind == "aiohttp" else client.is_closed for client in self.made)


@pytest.fixture(params=["aiohttp", "httpx"])
def clients(request: pytest.FixtureRequest) -> Clients:
    """Clients of each kind."""
    return Clients(request.param)


@pytest.fixture(autouse=True)
def no_late_warnings() -> Any:
    """Destroy what a test left, so that what complains of not being closed does so in that test."""
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always", ResourceWarning)
        yield
        gc.collect()
    assert [str(complaint.message) for complaint in complaints] == []


def test_two_hundred_calls_on_three_loops(open_pool: OpenPool, clients: Clients) -> None:
    """Each loop's client serves its calls, within the budget of connections, and is closed at the end."""
    gate = Gate()
    gate.open()
    with http_site(gate) as (url, visitors), open_pool(LOOPS) as pool:
        pages = [pool.submit(clients.fetch, f"{url}fast") for _ in range(CALLS)]
        names = {page.result(PATIENCE) for page in pages}

    report(33, f"{clients.closed} of {len(clients.made)} clients closed after {CALLS} calls on {LOOPS} loops")
    assert names == {"site-0"}
    assert len(clients.made) == clients.closed == LOOPS
    assert visitors.requests == CALLS
    assert visitors.all <= 30


def test_cancelled_half_way(open_pool: OpenPool, clients: Clients) -> None:
    """A pool that is closed in the middle of two hundred requests closes every client."""
    gate = Gate()
    with http_site(gate) as (url, _visitors):
        pool = open_pool(LOOPS)
        pool.open()
        pages = [pool.submit(clients.fetch, f"{url}slow") for _ in range(CALLS)]
        gate.wait_started(30)  # as many as may be connected

        pool.close(drain=0)
        gate.open()

    report(33, f"{clients.closed} of {len(clients.made)} clients closed when cancelled half way")
    assert all(page.cancelled() for page in pages)
    assert len(clients.made) == clients.closed == LOOPS


def test_awaited_from_a_loop_that_is_cancelled(clients: Clients) -> None:
    """The same when it is a program of asyncio that is cancelled half way."""
    gate = Gate()

    async def main(url: str) -> None:
        async with LoopPool(LOOPS) as pool, asyncio.TaskGroup() as group:
            for _ in range(CALLS):
                group.create_task(pool.run(clients.fetch, f"{url}slow"))
            await asyncio.to_thread(gate.wait_started, 30)
            raise ZeroDivisionError

    with http_site(gate) as (url, _visitors):
        with pytest.raises(ExceptionGroup) as raised:
            asyncio.run(main(url))
        gate.open()

    assert [type(error) for error in raised.value.exceptions] == [ZeroDivisionError]
    assert len(clients.made) == clients.closed == LOOPS
