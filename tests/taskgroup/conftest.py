"""Where a group's block may run: outside the pool, or in a task of the pool itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from polyloop import LoopPool
from tests._gate import PATIENCE, Gate
from tests._open_pool import backends_of
from tests._stage import nothing
from tests._steady import open_steady_pool
from tests.taskgroup._children import Scenario, T

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.taskgroup._children import Play

__all__ = ["play", "pytest_generate_tests"]

INSIDE = "inside"


def _inside(scenario: Scenario[T]) -> T:
    """In a task of a pool, every loop of which is at its limit."""
    gate = Gate()
    with LoopPool(2, limit=1) as pool:
        filler = pool.submit(gate.passage)
        gate.wait_started()
        try:
            return pool.call(scenario, pool)
        finally:
            gate.open()
            filler.result(PATIENCE)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Play a scenario on each backend; in a task of the pool only in threads: others cannot call it."""
    if "play" in metafunc.fixturenames:
        metafunc.parametrize("play", [INSIDE, *backends_of(metafunc)], indirect=True)


@pytest.fixture(scope="module")
def play(request: pytest.FixtureRequest) -> Iterator[Play]:
    """Plays a scenario on each backend, and inside a pool of threads; returns what it returned."""
    if request.param == INSIDE:
        yield _inside
        return
    with open_steady_pool(request.param) as pool:

        def outside(scenario: Scenario[T]) -> T:
            """On a loop that is none of the pool's."""

            async def main() -> T:
                return await scenario(pool)

            played = asyncio.run(main())
            pool.broadcast(nothing).result(PATIENCE)  # whatever ended before has been told by then
            assert pool.statistics().in_flight == 0
            return played

        yield outside
