"""Where a group's block may run: outside the pool, or in a task of the pool itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests._gate import PATIENCE, Gate
from tests.taskgroup._children import Scenario, T

if TYPE_CHECKING:
    from tests._open_pool import OpenPool
    from tests.taskgroup._children import Play

__all__ = ["play"]


def _outside(open_pool: OpenPool, scenario: Scenario[T]) -> T:
    """On a loop that is none of the pool's."""

    async def main() -> T:
        async with open_pool(3) as pool:
            return await scenario(pool)

    return asyncio.run(main())


def _inside(open_pool: OpenPool, scenario: Scenario[T]) -> T:
    """In a task of the pool, every loop of which is at its limit."""
    gate = Gate()
    with open_pool(2, limit=1) as pool:
        filler = pool.submit(gate.passage)
        gate.wait_started()
        try:
            return pool.call(scenario, pool)
        finally:
            gate.open()
            filler.result(PATIENCE)


@pytest.fixture(params=[_outside, _inside], ids=["outside", "inside"])
def play(request: pytest.FixtureRequest, open_pool: OpenPool) -> Play:
    """Plays a scenario, outside the pool and inside it; returns what it returned."""

    def run(scenario: Scenario[T]) -> T:
        played: T = request.param(open_pool, scenario)
        return played

    return run
