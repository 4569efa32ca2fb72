"""Children: where they run, what their futures give, and who is one."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from typing import TYPE_CHECKING

import pytest

from polyloop import TaskCancelled
from tests._calls import double, where
from tests._shared import Flag
from tests.taskgroup._children import Child

if TYPE_CHECKING:
    import logging

    from polyloop import LoopPool, TaskGroup
    from tests._open_pool import OpenPool
    from tests.taskgroup._children import Play

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="none")


def test_the_block_waits_for_its_children(play: Play) -> None:
    """When the block is left, each child is done and its future has what it returned."""

    async def scenario(pool: LoopPool) -> list[int]:
        async with pool.task_group() as group:
            one = group.create_task(double, 21)
            other = group.create_task(double, 2, times=3)
        assert one.done()
        assert other.done()
        return [one.result(), other.result()]

    assert play(scenario) == [42, 12]


def test_a_child_may_come_later(play: Play) -> None:
    """Children are created at any time while the block runs, also when earlier ones have ended."""

    async def scenario(pool: LoopPool) -> list[int]:
        async with pool.task_group() as group:
            one = group.create_task(double, 1)
            await one
            other = group.create_task(double, 2)
        return [one.result(), other.result()]

    assert play(scenario) == [2, 4]


def test_a_thousand_children_are_spread_over_the_loops(open_pool: OpenPool) -> None:
    """Every loop gets its share, and every child has its own result."""

    async def number_and_place(number: int) -> tuple[int, int]:
        return number, await where()

    async def main() -> list[tuple[int, int]]:
        async with open_pool(3) as pool, pool.task_group() as group:
            children = [group.create_task(number_and_place, number) for number in range(1000)]
        return [child.result() for child in children]

    results = asyncio.run(main())

    assert [number for number, _ in results] == list(range(1000))
    assert {place for _, place in results} == {0, 1, 2}


def test_a_thousand_children_are_cancelled_over_the_loops(open_pool: OpenPool) -> None:
    """One failure cancels a thousand siblings, started or waiting for a place, and none is left."""

    async def main() -> set[bool]:
        async with open_pool(3, limit=100) as pool:
            with pytest.raises(ExceptionGroup):
                async with pool.task_group() as group:
                    children = [group.create_task(Child().stay) for _ in range(1000)]
                    raise LookupError
            assert pool.statistics().in_flight == 0
            return {child.cancelled() for child in children}

    assert asyncio.run(main()) == {True}


def test_a_child_cancelled_alone_is_no_failure(play: Play) -> None:
    """Its siblings go on, more may come, and the block ends without an error."""

    async def scenario(pool: LoopPool) -> int:
        async with pool.task_group() as group:
            child = Child()
            alone = group.create_task(child.stay)
            await child.started.wait()
            alone.cancel()
            other = group.create_task(double, 4)
        assert alone.cancelled()
        return other.result()

    assert play(scenario) == 8


def test_a_child_that_cancels_itself_is_no_failure(play: Play) -> None:
    """It ends as cancelled, as it would in a group of asyncio."""

    async def give_up() -> None:
        raise asyncio.CancelledError

    async def scenario(pool: LoopPool) -> bool:
        async with pool.task_group() as group:
            child = group.create_task(give_up)
        return child.cancelled()

    assert play(scenario)


def test_a_child_that_waited_for_a_cancelled_task_is_a_failure(play: Play) -> None:
    """Somebody else's cancelled task does not make a child vanish: it failed with TaskCancelled."""

    async def scenario(pool: LoopPool) -> None:
        stranger = Child()
        future = pool.submit(stranger.stay)

        async def wait_for_it() -> None:
            await future

        async with pool.task_group() as group:
            group.create_task(wait_for_it)
            future.cancel()

    with pytest.raises(ExceptionGroup) as caught:
        play(scenario)
    assert isinstance(caught.value.exceptions[0], TaskCancelled)


def test_a_group_forgets_children_that_have_ended(play: Play) -> None:
    """However many have come and gone, it counts those that are under way."""

    async def scenario(pool: LoopPool) -> None:
        async with pool.task_group() as group:
            for number in range(10):
                await group.create_task(double, number)
            # Each arrives as a callback, the last of them maybe only now.
            while "tasks=0" not in repr(group):  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0)
            staying = group.create_task(Child().stay)
            assert "tasks=1" in repr(group)
            staying.cancel()
        assert "finished tasks=0" in repr(group)

    play(scenario)


def test_tasks_beside_the_block_may_create_children(play: Play) -> None:
    """Any task of the group's loop may, also while the block is only waiting; it waits for those too."""

    async def scenario(pool: LoopPool) -> list[int]:
        results: list[int] = []

        async def root(group: TaskGroup, first: asyncio.Future[int]) -> None:
            await first
            results.append(await group.create_task(double, 1))

        async with pool.task_group() as group:
            signal = Flag()
            holding = group.create_task(signal.wait)
            first = asyncio.ensure_future(group.create_task(double, 0))
            beside = asyncio.create_task(root(group, first))
            beside.add_done_callback(lambda _: signal.set())
        assert holding.done()
        return results

    assert play(scenario) == [2]


def test_a_child_has_a_copy_of_the_context(play: Play) -> None:
    """It sees what its creator had set, and what it sets itself stays with it."""

    async def read_and_set() -> str:
        seen = request_id.get()
        request_id.set("of a child")
        return seen

    async def scenario(pool: LoopPool) -> tuple[str, str]:
        request_id.set("of the block")
        async with pool.task_group() as group:
            child = group.create_task(read_and_set)
        return child.result(), request_id.get()

    assert play(scenario) == ("of the block", "of the block")


def test_a_block_that_is_torn_down_cancels_its_children(
    play: Play, expected_logs: list[logging.LogRecord]
) -> None:
    """Nobody is left to wait for them or to raise their errors: these are logged, with who created them."""

    async def scenario(pool: LoopPool) -> None:
        child = Child(error=LookupError("too late"))

        async def block() -> None:
            async with pool.task_group() as group:
                group.create_task(child.stay)

        coroutine = block()
        task = asyncio.create_task(coroutine)
        await child.started.wait()
        coroutine.close()
        task.cancel()
        await asyncio.wait([task])
        await child.ended.wait()

    play(scenario)
    gc.collect()

    messages = [record.getMessage() for record in expected_logs]
    assert any("Child.stay" in message and "test_children.py:" in message for message in messages)
