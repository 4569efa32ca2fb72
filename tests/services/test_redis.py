"""A budget of connections to Redis, shared out over the loops; the server counts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from redis.asyncio import BlockingConnectionPool, Redis

from polyloop import LoopLocal, share
from tests._gate import PATIENCE, Gate
from tests._scorecard import report

if TYPE_CHECKING:
    from tests._open_pool import OpenPool

LOOPS, CALLS, BUDGET = 3, 200, 40


class Cache:
    """Each loop's part of the budget, and an eye on the server."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.client: LoopLocal[Redis] = LoopLocal(self._make)

    def _make(self) -> Redis:
        pool = BlockingConnectionPool(
            host="127.0.0.1",
            port=self._port,
            client_name="crew",
            max_connections=share(BUDGET),
            timeout=PATIENCE,
        )
        return Redis.from_pool(pool)

    async def hold(self, gate: Gate) -> int:
        """Hold a connection for as long as the gate is closed."""
        async with (await self.client.get()).client() as connection:
            number = int(await connection.incr("visits"))
            await gate.passage()
            return number

    def connected(self) -> int:
        """How many connections the pools have."""

        async def main() -> int:
            async with Redis(host="127.0.0.1", port=self._port) as client:
                clients: list[dict[str, Any]] = await client.client_list()
                return sum(entry["name"] == "crew" for entry in clients)

        return asyncio.run(main())


@pytest.fixture
def cache(redis_port: int) -> Cache:
    """Nobody is connected to it but who looks."""
    return Cache(redis_port)


def test_forty_on_three_loops(open_pool: OpenPool, cache: Cache) -> None:
    """Two hundred calls at once have all of the forty connections and not one more, which are closed then."""
    gate = Gate()
    with open_pool(LOOPS) as pool:
        futures = [pool.submit(cache.hold, gate) for _ in range(CALLS)]
        gate.wait_started(BUDGET)
        at_most = cache.connected()
        gate.open()
        numbers = {future.result(PATIENCE) for future in futures}

    report(33, f"Redis: {at_most} connections for {CALLS} calls on {LOOPS} loops, budget {BUDGET}")
    assert len(numbers) == CALLS
    assert at_most == BUDGET
    assert cache.connected() == 0


def test_cancelled_half_way(open_pool: OpenPool, cache: Cache) -> None:
    """Cancelled while forty connections are in use, the calls leave none."""
    gate = Gate()
    pool = open_pool(LOOPS)
    pool.open()
    futures = [pool.submit(cache.hold, gate) for _ in range(CALLS)]
    gate.wait_started(BUDGET)
    at_most = cache.connected()

    pool.close(drain=0)

    assert at_most == BUDGET
    assert all(future.cancelled() for future in futures)
    assert cache.connected() == 0
