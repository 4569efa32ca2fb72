"""Cancellation from outside: it passes through the group to the children, and out when these have ended."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from tests._shared import Flag
from tests.taskgroup._children import Child, fail_after, forever, kinds, requests

if TYPE_CHECKING:
    from types import FrameType

    from polyloop import LoopPool
    from tests._open_pool import OpenPool
    from tests.taskgroup._children import Play


@pytest.mark.parametrize("waits_in_block", [True, False])
def test_it_passes_through(play: Play, waits_in_block: bool) -> None:
    """The children are cancelled and have ended when the cancellation, with its message, comes out."""

    async def scenario(pool: LoopPool) -> None:
        children = [Child() for _ in range(5)]
        is_cancelled = False

        async def block() -> None:
            nonlocal is_cancelled
            async with pool.task_group() as group:
                for child in children:
                    group.create_task(child.stay)
                if waits_in_block:
                    try:
                        await forever()
                    except asyncio.CancelledError:
                        is_cancelled = True
                        raise

        task = asyncio.create_task(block())
        for child in children:
            await child.started.wait()
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await task

        assert task.cancelled()
        assert is_cancelled is waits_in_block
        assert all(child.ended.is_set() for child in children)

    play(scenario)


def test_ctrl_c_passes_through(open_pool: OpenPool) -> None:
    """Ctrl-C under asyncio.run() cancels the block, and in the end the children have ended."""
    child = Child()

    async def main() -> None:
        async with open_pool(2) as pool, pool.task_group() as group:
            group.create_task(child.stay)
            await child.started.wait()
            signal.raise_signal(signal.SIGINT)
            await forever()

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    assert child.ended.is_set()


def test_ctrl_c_in_the_middle_of_create_task_loses_no_child(open_pool: OpenPool) -> None:
    """A child that was submitted when Ctrl-C landed is cancelled and waited for as the others are."""
    child = Child()

    def interrupt(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_name == "add_done_callback":
            sys.settrace(None)
            raise KeyboardInterrupt

    async def main() -> None:
        async with open_pool(2) as pool:
            with pytest.raises(KeyboardInterrupt):
                async with pool.task_group() as group:
                    sys.settrace(interrupt)
                    group.create_task(child.stay)
            assert pool.statistics().ended == 1

    before = sys.gettrace()
    try:
        asyncio.run(main())
    finally:
        sys.settrace(before)
    assert child.ended.is_set() or not child.started.is_set()


def test_a_group_without_children_is_cancelled_like_any_code(play: Play) -> None:
    """The block hears of it, and it goes out as it came."""

    async def scenario(pool: LoopPool) -> None:
        entered = asyncio.Event()

        async def block() -> None:
            async with pool.task_group():
                entered.set()
                await forever()

        task = asyncio.create_task(block())
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    play(scenario)


def test_errors_of_clean_ups_win_over_it(play: Play) -> None:
    """A child that fails while it is cancelled is raised instead of the cancellation."""

    async def scenario(pool: LoopPool) -> None:
        children = [Child(error=ZeroDivisionError()) for _ in range(5)]

        async def block() -> None:
            async with pool.task_group() as group:
                for child in children:
                    group.create_task(child.stay)
                await forever()

        task = asyncio.create_task(block())
        for child in children:
            await child.started.wait()
        task.cancel()
        with pytest.raises(ExceptionGroup) as caught:
            await task
        assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError] * 5

    play(scenario)


def test_an_error_of_the_block_wins_over_it(play: Play) -> None:
    """A block that turns its cancellation into an error raises that, in a group."""

    async def scenario(pool: LoopPool) -> None:
        entered = asyncio.Event()

        async def block() -> None:
            async with pool.task_group():
                entered.set()
                try:
                    await forever()
                except asyncio.CancelledError:
                    raise LookupError from None

        task = asyncio.create_task(block())
        await entered.wait()
        task.cancel()
        with pytest.raises(ExceptionGroup) as caught:
            await task
        assert kinds(caught.value) == {LookupError}

    play(scenario)


@pytest.mark.parametrize("in_a_task_of_its_own", [True, False])
def test_a_failure_during_the_blocks_clean_up_wins(play: Play, in_a_task_of_its_own: bool) -> None:
    """A child that fails while the cancelled block still cleans up is raised instead of the cancellation."""

    async def scenario(pool: LoopPool) -> None:
        entered, failing, cleaned = asyncio.Event(), Flag(), asyncio.Event()

        async def block() -> None:
            async with pool.task_group() as group:
                child = group.create_task(fail_after, failing, ZeroDivisionError())
                entered.set()
                try:
                    await forever()
                except asyncio.CancelledError:
                    failing.set()
                    await asyncio.wait([asyncio.ensure_future(child)])
                    cleaned.set()
                    raise

        async def around() -> None:
            await asyncio.create_task(block())

        task = asyncio.create_task(around() if in_a_task_of_its_own else block())
        await entered.wait()
        task.cancel()
        with pytest.raises(ExceptionGroup) as caught:
            await task
        assert kinds(caught.value) == {ZeroDivisionError}

    play(scenario)


def test_nothing_outlives_the_block(play: Play) -> None:
    """A child's clean-up is waited for, however long and however often the block is cancelled meanwhile."""

    async def scenario(pool: LoopPool) -> None:
        clean_up = Flag()
        child = Child(clean_up=clean_up)

        async def block() -> None:
            async with pool.task_group() as group:
                group.create_task(child.stay)

        task = asyncio.create_task(block())
        await child.started.wait()
        for _ in range(3):
            task.cancel()
            await child.cancelled.wait()
            await asyncio.sleep(0)
            assert not task.done()
        clean_up.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert child.cleaned.is_set()

    play(scenario)


def test_a_child_that_swallows_it_is_waited_for(play: Play) -> None:
    """A child that goes on and returns a value has that value, and the block is cancelled all the same."""

    async def scenario(pool: LoopPool) -> str:
        started, swallowed, going_on = Flag(), Flag(), Flag()
        results = []

        async def stubborn() -> str:
            started.set()
            try:
                await forever()
            except asyncio.CancelledError:
                swallowed.set()
            await going_on.wait()
            return "done"

        async def block() -> None:
            async with pool.task_group() as group:
                results.append(group.create_task(stubborn))

        task = asyncio.create_task(block())
        await started.wait()
        task.cancel()
        await swallowed.wait()
        assert not task.done()
        going_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        return results[0].result()

    assert play(scenario) == "done"


@pytest.mark.parametrize("waits_in_block", [True, False])
def test_a_timeout_around_it_reaches_the_children(play: Play, waits_in_block: bool) -> None:
    """asyncio.timeout() around a group raises TimeoutError once the children have ended."""

    async def scenario(pool: LoopPool) -> None:
        child = Child()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(None) as timeout, pool.task_group() as group:
                group.create_task(child.stay)
                await child.started.wait()
                timeout.reschedule(0)
                if waits_in_block:
                    await forever()
        assert child.ended.is_set()
        assert requests() == 0

    play(scenario)


def test_a_timeout_inside_it_is_its_own(play: Play) -> None:
    """A timeout in the block ends what it is around, and the children go on."""

    async def scenario(pool: LoopPool) -> bool:
        going_on = Flag()
        async with pool.task_group() as group:
            child = group.create_task(going_on.wait)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await forever()
            is_early = child.done()
            going_on.set()
        return is_early

    assert not play(scenario)


def test_a_timeout_is_answered_for_when_errors_win_over_it(play: Play) -> None:
    """A clean-up that fails is raised instead of TimeoutError, and nothing cancels what follows."""

    async def scenario(pool: LoopPool) -> None:
        child = Child(error=LookupError())
        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.timeout(None) as timeout, pool.task_group() as group:
                group.create_task(child.stay)
                await child.started.wait()
                timeout.reschedule(0)
        assert kinds(caught.value) == {LookupError}
        assert requests() == 0
        for _ in range(3):
            await asyncio.sleep(0)

    play(scenario)


def test_it_is_not_forgotten_when_errors_win_over_it(play: Play) -> None:
    """Who catches the errors and goes on is cancelled at the next await, for nobody answered for it."""

    async def scenario(pool: LoopPool) -> None:
        child = Child(error=LookupError())

        async def block() -> None:
            with pytest.raises(ExceptionGroup):
                async with pool.task_group() as group:
                    group.create_task(child.stay)
            assert requests() == 1
            await forever()

        task = asyncio.create_task(block())
        await child.started.wait()
        assert not task.cancelling()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    play(scenario)


def test_it_is_not_forgotten_beside_a_timeout(play: Play) -> None:
    """Of a timeout and a cancellation at once, the timeout answers for its own and the other remains."""

    async def scenario(pool: LoopPool) -> None:
        clean_up = Flag()
        child = Child(error=LookupError(), clean_up=clean_up)

        async def block() -> None:
            with pytest.raises(ExceptionGroup):
                async with asyncio.timeout(None) as timeout, pool.task_group() as group:
                    group.create_task(child.stay)
                    await child.started.wait()
                    timeout.reschedule(0)
            assert requests() == 1
            await forever()

        task = asyncio.create_task(block())
        await child.cancelled.wait()
        task.cancel()
        clean_up.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    play(scenario)


def test_a_group_in_a_clean_up_counts_only_its_own(play: Play) -> None:
    """In a task that was cancelled before, a group that fails does not cancel it again."""

    async def scenario(pool: LoopPool) -> None:
        entered = asyncio.Event()
        is_at_end = False

        async def block() -> None:
            nonlocal is_at_end
            entered.set()
            try:
                await forever()
            finally:
                with pytest.raises(ExceptionGroup):
                    async with pool.task_group() as group:
                        group.create_task(fail_after, None, LookupError())
                        await forever()
                assert requests() == 1
                for _ in range(3):
                    await asyncio.sleep(0)
                is_at_end = True

        task = asyncio.create_task(block())
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert is_at_end

    play(scenario)
