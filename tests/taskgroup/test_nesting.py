"""Groups inside groups: of the same loop, on other loops, and of asyncio."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from polyloop import current_pool
from tests._calls import double
from tests._shared import Flag
from tests.taskgroup._children import Child, fail_after, forever, kinds, requests

if TYPE_CHECKING:
    from polyloop import LoopPool
    from tests._open_pool import OpenPool
    from tests.taskgroup._children import Play


@pytest.mark.parametrize("outer_has_a_child", [True, False])
def test_errors_of_the_inner_group_come_in_a_group_of_the_outer(play: Play, outer_has_a_child: bool) -> None:
    """Cancelled from outside, with clean-ups that fail in the inner group."""

    async def scenario(pool: LoopPool) -> None:
        children = [Child(error=ZeroDivisionError()) for _ in range(5)]

        async def block() -> None:
            async with pool.task_group() as outer:
                if outer_has_a_child:
                    outer.create_task(forever)
                async with pool.task_group() as inner:
                    for child in children:
                        inner.create_task(child.stay)
                    await forever()

        task = asyncio.create_task(block())
        for child in children:
            await child.started.wait()
        task.cancel()
        with pytest.raises(ExceptionGroup) as caught:
            await task
        assert kinds(caught.value) == {ExceptionGroup}
        (inner_errors,) = caught.value.exceptions
        assert isinstance(inner_errors, ExceptionGroup)
        assert kinds(inner_errors) == {ZeroDivisionError}

    play(scenario)


def test_a_failure_in_the_outer_group_cancels_the_inner(play: Play) -> None:
    """What was under way in the inner one has ended, and it adds nothing."""

    async def scenario(pool: LoopPool) -> bool:
        child = Child()
        with pytest.raises(ExceptionGroup) as caught:
            async with pool.task_group() as outer:
                outer.create_task(fail_after, child.started, ValueError())
                async with pool.task_group() as inner:
                    inner.create_task(child.stay)
        assert kinds(caught.value) == {ValueError}
        return child.ended.is_set()

    assert play(scenario)


def test_a_failure_in_the_inner_group_cancels_the_outer(play: Play) -> None:
    """For it is an error of the outer one's block."""

    async def scenario(pool: LoopPool) -> bool:
        child = Child()
        with pytest.raises(ExceptionGroup) as caught:
            async with pool.task_group() as outer:
                outer.create_task(child.stay)
                async with pool.task_group() as inner:
                    inner.create_task(fail_after, child.started, ValueError())
        assert kinds(caught.value) == {ExceptionGroup}
        return child.ended.is_set()

    assert play(scenario)


def test_both_fail_and_each_answers_for_its_own(play: Play) -> None:
    """After the inner one the outer one's request still stands, and after the outer one none."""

    async def scenario(pool: LoopPool) -> None:
        child = Child(error=RuntimeError())
        with pytest.raises(ExceptionGroup) as caught:
            async with pool.task_group() as outer:
                outer.create_task(fail_after, child.started, ValueError())
                await _fail_in_a_group(pool, child)
                assert requests() == 1
        assert kinds(caught.value) == {ValueError}
        for _ in range(3):
            await asyncio.sleep(0)
        assert requests() == 0

    play(scenario)


async def _fail_in_a_group(pool: LoopPool, child: Child) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with pool.task_group() as group:
            group.create_task(child.stay)
    assert kinds(caught.value) == {RuntimeError}


def test_children_may_have_groups_of_their_own(open_pool: OpenPool) -> None:
    """Three levels on loops that are at their limit: the result adds up, and nothing waits for a place."""

    async def tree(depth: int) -> int:
        if depth == 0:
            return await double(1)
        async with current_pool().task_group() as group:
            children = [group.create_task(tree, depth - 1) for _ in range(4)]
        return sum(child.result() for child in children)

    async def main() -> int:
        async with open_pool(3, limit=1) as pool:
            return await pool.run(tree, 3)

    assert asyncio.run(main()) == 2 * 4**3


def test_cancellation_reaches_grandchildren(open_pool: OpenPool) -> None:
    """Through a child on another loop to the children of its own group, and back when all have ended."""
    grandchildren = [Child() for _ in range(6)]

    async def parent(mine: list[Child]) -> None:
        async with current_pool().task_group() as group:
            for child in mine:
                group.create_task(child.stay)

    async def main() -> None:
        async with open_pool(3) as pool:
            with pytest.raises(ExceptionGroup) as caught:
                async with pool.task_group() as group:
                    group.create_task(parent, grandchildren[:3])
                    group.create_task(parent, grandchildren[3:])
                    await asyncio.gather(*[child.started.wait() for child in grandchildren])
                    raise LookupError
            assert kinds(caught.value) == {LookupError}
            assert all(child.ended.is_set() for child in grandchildren)

    asyncio.run(main())


def test_a_child_of_an_asyncio_group_may_have_one(play: Play) -> None:
    """A failure in asyncio's group cancels the children on other loops, and it waits for them."""

    async def scenario(pool: LoopPool) -> bool:
        child = Child()

        async def block() -> None:
            async with pool.task_group() as group:
                group.create_task(child.stay)

        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.TaskGroup() as group:
                group.create_task(block())
                group.create_task(fail_after(child.started, ValueError()))
        assert kinds(caught.value) == {ValueError}
        return child.ended.is_set()

    assert play(scenario)


def test_a_failure_passes_on_to_an_asyncio_group(play: Play) -> None:
    """A group that fails in a child of asyncio's group fails that, and its other children are cancelled."""

    async def scenario(pool: LoopPool) -> bool:
        async def block() -> None:
            async with pool.task_group() as group:
                group.create_task(fail_after, None, ValueError())

        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.TaskGroup() as group:
                group.create_task(block())
                other = group.create_task(forever())
        assert kinds(caught.value) == {ExceptionGroup}
        return other.cancelled()

    assert play(scenario)


def test_an_asyncio_group_around_it_answers_for_its_own(play: Play) -> None:
    """When both fail in the same task, nothing cancels what follows asyncio's group."""

    async def scenario(pool: LoopPool) -> None:
        child = Child(error=RuntimeError())
        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.TaskGroup() as outer:
                outer.create_task(fail_after(child.started, ValueError()))
                await _fail_in_a_group(pool, child)
        assert kinds(caught.value) == {ValueError}
        for _ in range(3):
            await asyncio.sleep(0)
        assert requests() == 0

    play(scenario)


def test_many_parents_at_the_limit_have_groups(open_pool: OpenPool) -> None:
    """However many parents wait for a place, those that have one finish their groups."""

    async def parent(number: int) -> int:
        async with current_pool().task_group() as group:
            children = [group.create_task(double, number) for _ in range(3)]
        return sum(child.result() for child in children)

    async def main() -> list[int]:
        async with open_pool(2, limit=2) as pool, pool.task_group() as group:
            parents = [group.create_task(parent, number) for number in range(100)]
        return [future.result() for future in parents]

    assert asyncio.run(main()) == [6 * number for number in range(100)]


def test_siblings_may_signal_each_other(play: Play) -> None:
    """Children run at the same time, so one may wait for what another does."""

    async def scenario(pool: LoopPool) -> bool:
        ping, pong = Flag(), Flag()

        async def one() -> None:
            ping.set()
            await pong.wait()

        async def other() -> None:
            await ping.wait()
            pong.set()

        async with pool.task_group() as group:
            group.create_task(one)
            group.create_task(other)
        return pong.is_set()

    assert play(scenario)
