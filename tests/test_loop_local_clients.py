"""Real clients, one for each loop, against a real server: nothing is left behind.

Threads, sockets and child processes are compared by the fixtures that every test gets; an "unclosed" of a
client is a warning, and is looked for here.
"""

from __future__ import annotations

import asyncio
import gc
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from tests._gate import PATIENCE, Gate
from tests._http_clients import Clients
from tests._http_site import http_site
from tests._scorecard import report

if TYPE_CHECKING:
    from tests._open_pool import OpenPool

LOOPS = 2
CALLS = 200

pytestmark = pytest.mark.backends(
    "thread", "process", why="aiohttp has extension modules that cannot be loaded in another interpreter"
)


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


def check(clients: Clients, when: str) -> None:
    """There was one client on each loop, and it was closed."""
    made, closed = clients.made.count(), clients.closed.count()
    report(33, f"{closed} of {made} clients of {clients.kind} closed {when}")
    assert made == closed == LOOPS


def test_two_hundred_calls(open_pool: OpenPool, clients: Clients) -> None:
    """Each loop's client serves its calls, within the budget of connections, and is closed at the end."""
    gate = Gate()
    gate.open()
    with http_site(gate) as (url, visitors), open_pool(LOOPS) as pool:
        pages = [pool.submit(clients.fetch, f"{url}fast") for _ in range(CALLS)]
        names = {page.result(PATIENCE) for page in pages}

    check(clients, f"after {CALLS} calls on {LOOPS} loops")
    assert names == {"site-0"}
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

    check(clients, "when cancelled half way")
    assert all(page.cancelled() for page in pages)


def test_awaited_from_a_loop_that_is_cancelled(open_pool: OpenPool, clients: Clients) -> None:
    """The same when it is a program of asyncio that is cancelled half way."""
    gate = Gate()

    async def main(url: str) -> None:
        async with open_pool(LOOPS) as pool, asyncio.TaskGroup() as group:
            for _ in range(CALLS):
                group.create_task(pool.run(clients.fetch, f"{url}slow"))
            await asyncio.to_thread(gate.wait_started, 30)
            raise ZeroDivisionError

    with http_site(gate) as (url, _visitors):
        with pytest.raises(ExceptionGroup) as raised:
            asyncio.run(main(url))
        gate.open()

    assert [type(error) for error in raised.value.exceptions] == [ZeroDivisionError]
    check(clients, "when their caller was cancelled half way")
