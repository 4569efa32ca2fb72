"""What a group refuses: at once, with what to do instead, and with nothing submitted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests._calls import double
from tests.taskgroup._children import Child, fail_after, forever, kinds

if TYPE_CHECKING:
    from polyloop import LoopPool, TaskGroup
    from tests._open_pool import OpenPool
    from tests.taskgroup._children import Play


def _submitted(pool: LoopPool) -> int:
    """How many calls the pool has taken so far."""
    figures = pool.statistics()
    return figures.ended + figures.in_flight + figures.backlog


def test_a_group_is_entered_once(play: Play) -> None:
    """Neither again while it is entered nor after it is finished."""

    async def scenario(pool: LoopPool) -> None:
        group = pool.task_group()
        async with group:
            with pytest.raises(RuntimeError, match="has already been entered"):
                await group.__aenter__()
        with pytest.raises(RuntimeError, match="has already been entered"):
            async with group:
                pytest.fail("the block ran")

    play(scenario)


def test_a_group_has_to_be_entered(play: Play) -> None:
    """There is no block yet that would wait for the child."""

    async def scenario(pool: LoopPool) -> tuple[int, int]:
        before = _submitted(pool)
        with pytest.raises(RuntimeError, match="has not been entered"):
            pool.task_group().create_task(double, 1)
        return before, _submitted(pool)

    before, after = play(scenario)

    assert before == after


def test_a_group_has_to_be_entered_in_a_task(play: Play) -> None:
    """There has to be somebody to cancel when a child fails."""

    async def scenario(pool: LoopPool) -> None:
        group = pool.task_group()
        entered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def enter() -> None:
            try:
                group.__aenter__().send(None)
            except RuntimeError as error:
                entered.set_exception(error)

        asyncio.get_running_loop().call_soon(enter)
        with pytest.raises(RuntimeError, match="cannot be entered outside a task"):
            await entered
        with pytest.raises(RuntimeError, match="has not been entered"):
            group.create_task(double, 1)

    play(scenario)


def test_a_finished_group_takes_nothing(play: Play) -> None:
    """Its block has been left, so there is nobody to wait."""

    async def scenario(pool: LoopPool) -> None:
        async with pool.task_group() as group:
            pass
        with pytest.raises(RuntimeError, match="is finished"):
            group.create_task(double, 1)
        with pytest.raises(ExceptionGroup):
            async with pool.task_group() as failed:
                raise LookupError
        with pytest.raises(RuntimeError, match="is finished"):
            failed.create_task(double, 1)

    play(scenario)


def test_a_group_that_shuts_down_takes_nothing(play: Play) -> None:
    """After a failure no child can be added, which nobody would cancel any more."""

    async def scenario(pool: LoopPool) -> None:
        sibling = Child()
        async with pool.task_group() as group:
            group.create_task(sibling.stay)
            group.create_task(fail_after, sibling.started, ZeroDivisionError())
            try:
                await forever()
            except asyncio.CancelledError:
                with pytest.raises(RuntimeError, match="is shutting down"):
                    group.create_task(double, 1)
                raise

    with pytest.raises(ExceptionGroup) as caught:
        play(scenario)
    assert kinds(caught.value) == {ZeroDivisionError}


def test_other_threads_create_nothing(play: Play) -> None:
    """A group belongs to its block's loop; what is refused was not submitted."""

    async def scenario(pool: LoopPool) -> None:
        async with pool.task_group() as group:
            before = _submitted(pool)
            with pytest.raises(RuntimeError, match="outside the loop"):
                _ = await asyncio.to_thread(group.create_task, double, 1)
            assert before == _submitted(pool)

    play(scenario)


@pytest.mark.backends("thread", why="a group stays in its process")
def test_children_create_no_siblings(open_pool: OpenPool) -> None:
    """A child that tries it, from another loop, fails and is told what to do."""

    async def create_sibling(group: TaskGroup) -> None:
        await group.create_task(double, 1)

    async def main() -> None:
        async with open_pool(2) as pool, pool.task_group() as group:
            await group.create_task(create_sibling, group)

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(main())
    assert "outside the loop that <TaskGroup of polyloop entered" in str(caught.value.exceptions[0])
    assert "current_pool().task_group()" in str(caught.value.exceptions[0])


@pytest.mark.parametrize("is_finished", [True, False])
def test_a_coroutine_object_is_closed(play: Play, is_finished: bool) -> None:
    """Whoever writes it as for asyncio is told how, and not that a coroutine was never awaited."""

    async def scenario(pool: LoopPool) -> None:
        wrong: Any = double(1)
        async with pool.task_group() as group:
            if not is_finished:
                with pytest.raises(TypeError, match=r"as in create_task\(double, \.\.\.\)"):
                    group.create_task(wrong)
        if is_finished:
            with pytest.raises(TypeError, match=r"as in create_task\(double, \.\.\.\)"):
                group.create_task(wrong)

    play(scenario)
