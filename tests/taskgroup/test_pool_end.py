"""The pool's end, or a worker's, under a group: it fails, it never ends as if all were well."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from polyloop import LoopPool, PoolBroken, PoolClosed, PoolFull, TaskCancelled, TaskGroup, WorkerLost
from tests._gate import PATIENCE, Gate
from tests._stage import Stage, until
from tests.taskgroup._children import Child, forever, kinds
from tests.test_worker_loss import FragileLoop, break_loop

if TYPE_CHECKING:
    import logging

    from tests._open_pool import OpenPool


def test_a_lost_worker_is_a_failure(open_pool: OpenPool, expected_logs: list[logging.LogRecord]) -> None:
    """A child whose worker is lost fails the group with WorkerLost, and its siblings are cancelled."""

    async def main() -> set[type[BaseException]]:
        async with open_pool(2, loop_factory=FragileLoop) as pool:
            with pytest.raises(ExceptionGroup) as caught:
                async with pool.task_group() as group:
                    siblings = [group.create_task(forever) for _ in range(10)]
                    group.create_task(break_loop)
                    await forever()
            assert all(sibling.done() for sibling in siblings)
            return kinds(caught.value)

    assert asyncio.run(main()) == {WorkerLost}
    assert expected_logs


def test_a_broken_pool_is_a_failure(
    open_pool: OpenPool, expected_logs: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Children that wait for a place on a pool that gives up fail the group with PoolBroken."""
    monkeypatch.setattr("polyloop._patience.MAX_FRUITLESS", 2)
    monkeypatch.setattr("polyloop._patience.FIRST_DELAY", 0.001)

    async def break_worker(pool: LoopPool) -> set[type[BaseException]]:
        with pytest.raises(ExceptionGroup) as caught:
            async with pool.task_group() as group:
                group.create_task(break_loop)
        return kinds(caught.value)

    async def main() -> set[type[BaseException]]:
        async with open_pool(1, limit=1, loop_factory=FragileLoop) as pool:
            while (errors := await break_worker(pool)) == {WorkerLost}:
                pass
        return errors

    assert asyncio.run(main()) == {PoolBroken}
    assert expected_logs


@pytest.mark.parametrize("waits_in_block", [True, False])
def test_closing_the_pool_under_a_group_is_a_failure(open_pool: OpenPool, waits_in_block: bool) -> None:
    """The children are cancelled with the pool, and the group does not end as if they had returned."""

    async def main() -> ExceptionGroup[Exception]:
        pool = open_pool(2, limit=5)
        await pool.aopen()
        children = [Child() for _ in range(20)]
        closer = threading.Thread(target=pool.close, kwargs={"drain": 0})
        with pytest.raises(ExceptionGroup) as caught:
            async with pool.task_group() as group:
                futures = [group.create_task(child.stay) for child in children]
                await children[0].started.wait()
                closer.start()
                if waits_in_block:
                    await forever()
        closer.join(PATIENCE)
        assert all(future.cancelled() for future in futures)
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()
        return caught.value

    errors = asyncio.run(main())

    assert [type(error) for error in errors.exceptions] == [PoolClosed]
    assert "closed under a task group: the task Child.stay() was cancelled" in str(errors.exceptions[0])


@pytest.mark.backends("thread", why="elsewhere a call cannot reach the pool that runs it")
def test_a_group_in_the_pool_is_cancelled_with_it(open_pool: OpenPool) -> None:
    """A parent that the pool cancels by its end is cancelled, not failed, wherever its children are."""
    children = [Child() for _ in range(4)]
    past_the_block: list[bool] = []

    async def parent(pool: LoopPool, child: Child) -> None:
        async with pool.task_group() as group:
            group.create_task(child.stay)
        past_the_block.append(True)

    with open_pool(3) as pool:
        futures = [pool.submit(parent, pool, child) for child in children]
        for child in children:
            child.started.block()
        pool.close(drain=0)

    for future in futures:
        with pytest.raises(TaskCancelled):
            future.result(PATIENCE)
    assert all(child.ended.is_set() for child in children)
    assert not past_the_block


def test_a_parent_in_the_pool_hears_of_its_end_from_its_children(open_pool: OpenPool) -> None:
    """Before its own cancellation has reached it: or the block would end as if all were well. Only once."""

    class Ended:
        is_shut = True
        is_here = True

    children = [Child(), Child()]

    async def block(pool: LoopPool) -> None:
        async with TaskGroup(pool, Ended(), "polyloop") as group:
            futures = [group.create_task(child.stay) for child in children]
            for child in children:
                await child.started.wait()
            for future in futures:
                future.cancel()

    async def main() -> int:
        async with open_pool(2) as pool:
            task = asyncio.create_task(block(pool))
            with pytest.raises(asyncio.CancelledError):
                await task
            return task.cancelling()

    assert asyncio.run(main()) == 1


def test_draining_lets_a_group_finish(open_pool: OpenPool) -> None:
    """A pool that is drained while its group waits ends after the group, and the group fails not."""
    gate = Gate()

    async def main() -> object:
        pool = open_pool(2)
        await pool.aopen()
        async with pool.task_group() as group:
            child = group.create_task(gate.passage, "passed")
            closing = asyncio.create_task(pool.aclose())
            await asyncio.sleep(0)
            gate.open()
        await closing
        return child.result()

    assert asyncio.run(main()) == "passed"


def test_a_child_that_was_given_up_is_a_failure(
    open_pool: OpenPool, expected_logs: list[logging.LogRecord]
) -> None:
    """A child that will not end within the pool's grace is given up, and the group names it."""
    stage = Stage()

    async def main() -> ExceptionGroup[Exception]:
        pool = open_pool(1)
        await pool.aopen()
        with pytest.raises(ExceptionGroup) as caught:
            async with pool.task_group() as group:
                group.create_task(stage.block)
                await asyncio.to_thread(until, stage.started)
                await pool.aclose(drain=0, grace=0)
        return caught.value

    errors = asyncio.run(main())
    stage.released.set()

    assert kinds(errors) == {PoolClosed}
    assert "Stage.block() did not end within the grace" in str(errors.exceptions[0])
    assert expected_logs


def test_what_the_pool_refuses_fails_the_block(open_pool: OpenPool) -> None:
    """create_task() raises as submit() does; the children that were taken are cancelled."""

    async def main(pool: LoopPool) -> None:
        async with pool.task_group() as group:
            while True:
                group.create_task(forever)

    with open_pool(1, limit=2, backlog=3) as full:
        with pytest.raises(ExceptionGroup) as caught:
            asyncio.run(main(full))
        assert kinds(caught.value) == {PoolFull}
        assert full.statistics().in_flight == 0
    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(main(open_pool(1)))
    assert kinds(caught.value) == {PoolClosed}
