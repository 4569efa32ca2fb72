"""A group's options: what is fixed for its tasks, and whose deadline they have."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from polyloop import DeadlineExceeded, LoopPool
from polyloop._deadline import current_deadline
from tests._calls import forever, where
from tests._gate import PATIENCE

if TYPE_CHECKING:
    from tests._open_pool import OpenPool


async def deadline() -> float | None:
    """When the deadline of the task that runs this passes."""
    own = current_deadline.get()
    return None if own is None else own.when


def test_the_tasks_of_a_view_have_its_options(steady_pool: LoopPool) -> None:
    """What is created through a view of the group goes where that says, as a part of the group."""

    async def main(pool: LoopPool) -> list[int]:
        async with pool.task_group() as group:
            children = [group.options(worker=index).create_task(where) for index in (1, 0, 0, 1)]
        return [child.result() for child in children]

    assert asyncio.run(main(steady_pool)) == [1, 0, 0, 1]


def test_a_child_whose_deadline_passes_is_a_failure_of_the_group(steady_pool: LoopPool) -> None:
    """The siblings are cancelled and the block raises the DeadlineExceeded in a group."""

    async def main(pool: LoopPool) -> None:
        async with pool.task_group() as group:
            _ = group.create_task(forever)
            _ = group.options(timeout=0.01).create_task(forever)

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(main(steady_pool))

    [error] = caught.value.exceptions
    assert isinstance(error, DeadlineExceeded)
    assert steady_pool.statistics().in_flight == 0


@pytest.mark.backends("thread", why="elsewhere a call cannot reach the pool that runs it")
def test_children_inherit_the_deadline_of_the_task_that_has_the_group(open_pool: OpenPool) -> None:
    """A group is waited for, so its children have what is left to the one that waits."""

    async def parent(pool: LoopPool) -> list[float | None]:
        async with pool.task_group() as group:
            children = [
                group.create_task(deadline),
                group.options(timeout=PATIENCE * 2).create_task(deadline),
            ]
        return [await deadline(), *[child.result() for child in children]]

    with open_pool(2) as pool:
        own, *inherited = pool.options(timeout=PATIENCE).call(parent, pool)

    assert own is not None
    assert inherited == [own, own]


@pytest.mark.backends("thread", why="elsewhere a call cannot reach the pool that runs it")
def test_a_group_whose_task_runs_out_of_time_ends_with_it(open_pool: OpenPool) -> None:
    """The deadline of the parent ends its children on all loops, and is told as the parent's."""

    async def parent(pool: LoopPool) -> None:
        async with pool.task_group() as group:
            for _ in range(10):
                _ = group.create_task(forever)

    with open_pool(3) as pool:
        with pytest.raises(DeadlineExceeded, match=r"parent\(\) had a deadline"):
            pool.options(timeout=0.05).call(parent, pool)

        assert pool.statistics().in_flight == 0
