"""A budget of connections to PostgreSQL, shared out over the loops; the server refuses one more."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from polyloop import LoopLocal, share
from tests._gate import PATIENCE, Gate
from tests._scorecard import report

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests._open_pool import OpenPool

asyncpg = pytest.importorskip("asyncpg", reason="asyncpg has no wheel for this Python")

LOOPS, CALLS, BUDGET = 3, 200, 40

# The server itself refuses the one connection too many.
ROLE = f"""
    DO $$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'crew') THEN
            CREATE ROLE crew LOGIN CONNECTION LIMIT {BUDGET};
        END IF;
    END $$
"""
CONNECTED = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'crew'"
WORKING = f"{CONNECTED} AND state = 'active' AND query LIKE '%pg_sleep(60)%'"


class Database:
    """Each loop's part of the budget, and an eye on the server."""

    def __init__(self, port: int) -> None:
        self._connect = partial(asyncpg.connect, host="127.0.0.1", port=port, user="postgres")
        self.pool: LoopLocal[Any] = LoopLocal(
            lambda: asyncpg.create_pool(
                host="127.0.0.1",
                port=port,
                user="crew",
                database="postgres",
                min_size=0,
                max_size=share(BUDGET),
            )
        )

    def watch(self, look: Callable[[Any], Coroutine[Any, Any, int]]) -> int:
        """Look at the server through a connection of one's own."""

        async def main() -> int:
            connection = await self._connect()
            try:
                async with asyncio.timeout(PATIENCE):
                    return await look(connection)
            finally:
                await connection.close()

        return asyncio.run(main())

    async def hold(self, gate: Gate) -> int:
        """Hold a connection for as long as the gate is closed."""
        pool = await self.pool.get()
        async with pool.acquire() as connection:
            await gate.passage()
            return int(await connection.fetchval("SELECT 1"))

    async def sleep(self) -> None:
        """Keep a connection and the server busy."""
        await (await self.pool.get()).execute("SELECT pg_sleep(60)")


@pytest.fixture
def database(postgres: int) -> Database:
    """Nobody is connected to it but who looks."""
    database = Database(postgres)

    async def prepare(connection: Any) -> int:
        await connection.execute(ROLE)
        return await until(connection, CONNECTED, 0)

    assert database.watch(prepare) == 0
    return database


async def until(connection: Any, query: str, count: int) -> int:
    """Wait for what only the server knows: until a query counts so many. The caller has a time limit."""
    while await connection.fetchval(query) != count:
        await connection.execute("SELECT pg_sleep(0.005)")
    return count


def connected(connection: Any) -> Any:
    """How many connections the pools have."""
    return connection.fetchval(CONNECTED)


def nobody_is_connected(connection: Any) -> Any:
    """The server has seen every connection end, which it does a moment after the client has closed it."""
    return until(connection, CONNECTED, 0)


def test_forty_on_three_loops(open_pool: OpenPool, database: Database) -> None:
    """Two hundred calls at once have all of the forty connections and not one more, which are closed then."""
    gate = Gate()
    with open_pool(LOOPS) as pool:
        futures = [pool.submit(database.hold, gate) for _ in range(CALLS)]
        gate.wait_started(BUDGET)
        at_most = database.watch(connected)
        gate.open()
        results = [future.result(PATIENCE) for future in futures]

    report(33, f"PostgreSQL: {at_most} connections for {CALLS} calls on {LOOPS} loops, budget {BUDGET}")
    assert results == [1] * CALLS
    assert at_most == BUDGET
    assert database.watch(nobody_is_connected) == 0


def test_cancelled_half_way(open_pool: OpenPool, database: Database) -> None:
    """Cancelled in the middle of forty queries, the calls never had more connections, and leave none."""
    pool = open_pool(LOOPS)
    pool.open()
    futures = [pool.submit(database.sleep) for _ in range(CALLS)]
    at_most = database.watch(lambda connection: until(connection, WORKING, BUDGET))

    pool.close(drain=0)

    report(33, f"PostgreSQL: {at_most} queries of {CALLS} under way when cancelled, budget {BUDGET}")
    assert all(future.cancelled() for future in futures)
    assert database.watch(nobody_is_connected) == 0
