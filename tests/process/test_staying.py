"""What cannot move to a worker's process says so, and what to do instead."""

from __future__ import annotations

import asyncio
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from tests._gate import PATIENCE
from tests.process import _jobs

if TYPE_CHECKING:
    from collections.abc import Callable

    from polyloop import LoopPool

STAYING: dict[str, Callable[[LoopPool], Any]] = {
    "LoopPool": lambda pool: pool,
    "PoolView": lambda pool: pool.options(key="k"),
    "LoopExecutor": lambda pool: pool.executor(),
    "TaskGroup": lambda pool: pool.task_group(),
    "GroupView": lambda pool: pool.task_group().options(name="n"),
    "MapStream": lambda pool: pool.map(_jobs.double, [1]),
    "Future": lambda pool: pool.submit(_jobs.double, 1),
}


@pytest.mark.parametrize("kind", STAYING)
def test_it_is_refused_as_an_argument(pool: LoopPool, kind: str) -> None:
    """The submitter is told at once what it was, and the way out."""
    thing = STAYING[kind](pool)

    with pytest.raises(TypeError, match=rf"argument 1 of echo\(\) .*: a {kind} stays in its process; \w+"):
        pool.call(_jobs.echo, thing)
    with pytest.raises(TypeError, match=f"a {kind} stays in its process"):
        pickle.dumps(thing)


def test_it_is_refused_as_a_part_of_a_function(pool: LoopPool) -> None:
    """A closure that calls its pool is told so when it is handed in."""

    async def nested() -> int:
        return await pool.run(_jobs.double, 1)

    with pytest.raises(
        TypeError, match=r"the function .*nested\(\) .*: a LoopPool stays in its process; call it"
    ):
        pool.call(nested)


def test_it_is_refused_as_a_result(pool: LoopPool) -> None:
    """A pool that a task has opened in its process stays there."""
    error = pool.submit(_jobs.return_pool).exception(PATIENCE)

    assert isinstance(error, TypeError)
    assert "a LoopPool stays in its process" in str(error)


def test_a_worker_may_open_a_pool_of_its_own(pool: LoopPool) -> None:
    """The way out works: with threads and with processes."""
    for backend in ("thread", "process"):
        assert pool.call(_jobs.use_pool, backend) == [0, 2, 4]

    async def main() -> list[int]:
        return await pool.run(_jobs.use_pool, "thread")

    assert asyncio.run(main()) == [0, 2, 4]
