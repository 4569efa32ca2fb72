"""Failures: one cancels everybody else on every loop, and what comes out is all of the errors."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from tests._calls import fail
from tests._shared import Flag
from tests.taskgroup._children import Child, fail_after, forever, kinds, requests

if TYPE_CHECKING:
    import logging
    from collections.abc import AsyncIterator, Callable, Coroutine

    from polyloop import LoopPool
    from tests.taskgroup._children import Play


class OwnBaseError(BaseException):
    """One that is neither an Exception nor of those that Python gives a meaning to."""


def test_a_failure_cancels_siblings_and_block(play: Play) -> None:
    """The siblings on every loop and the block are cancelled; what comes after the block does not run."""

    async def scenario(pool: LoopPool) -> list[Child]:
        siblings = [Child() for _ in range(10)]
        failing = Flag()
        is_cancelled = False
        with pytest.raises(ExceptionGroup) as caught:
            async with pool.task_group() as group:
                futures = [group.create_task(sibling.stay) for sibling in siblings]
                group.create_task(fail_after, failing, ZeroDivisionError())
                for sibling in siblings:
                    await sibling.started.wait()
                failing.set()
                try:
                    await forever()
                except asyncio.CancelledError:
                    is_cancelled = True
                    raise
        assert kinds(caught.value) == {ZeroDivisionError}
        assert is_cancelled
        assert all(future.cancelled() for future in futures)
        assert requests() == 0
        return siblings

    siblings = play(scenario)

    assert all(sibling.ended.is_set() for sibling in siblings)


def test_a_failure_after_the_block_cancels_siblings(play: Play) -> None:
    """As well when the block is only waiting for its children."""

    async def scenario(pool: LoopPool) -> bool:
        sibling = Child()
        with pytest.raises(ExceptionGroup) as caught:
            async with pool.task_group() as group:
                future = group.create_task(sibling.stay)
                group.create_task(fail_after, sibling.started, ZeroDivisionError())
        assert kinds(caught.value) == {ZeroDivisionError}
        assert requests() == 0
        return future.cancelled()

    assert play(scenario)


@pytest.mark.parametrize("waits_in_block", [True, False])
def test_the_cancelling_does_not_reach_beyond_the_block(play: Play, waits_in_block: bool) -> None:
    """Who catches the errors goes on as if nothing had been cancelled, on every version of Python."""

    async def scenario(pool: LoopPool) -> None:
        with pytest.raises(ExceptionGroup):
            async with pool.task_group() as group:
                group.create_task(fail)
                if waits_in_block:
                    await forever()
        for _ in range(3):
            await asyncio.sleep(0)
        assert requests() == 0

    play(scenario)


def test_the_group_of_errors_is_named(play: Play) -> None:
    """Its message says whose they are, and it has all of them, those of clean-ups too."""

    async def scenario(pool: LoopPool) -> None:
        sibling = Child(error=KeyError("in the clean-up"))
        async with pool.task_group() as group:
            group.create_task(sibling.stay)
            group.create_task(fail_after, sibling.started, LookupError("first"))

    with pytest.raises(ExceptionGroup, match="unhandled errors in a TaskGroup of polyloop") as caught:
        play(scenario)
    assert [type(error) for error in caught.value.exceptions] == [LookupError, KeyError]


@pytest.mark.parametrize("waits", [True, False])
def test_a_block_that_raises_cancels_its_children(play: Play, waits: bool) -> None:
    """Its error comes in a group, also when it was raised before any child had begun."""

    async def scenario(pool: LoopPool) -> None:
        children = [Child(), Child()]
        with pytest.raises(ExceptionGroup) as caught:
            async with pool.task_group() as group:
                futures = [group.create_task(child.stay) for child in children]
                if waits:
                    await children[0].started.wait()
                raise ZeroDivisionError
        assert kinds(caught.value) == {ZeroDivisionError}
        assert all(future.cancelled() for future in futures)

    play(scenario)


def test_errors_of_block_and_child_come_together(play: Play) -> None:
    """A block that raises while it is cancelled for a child's failure adds its error to the group."""

    async def scenario(pool: LoopPool) -> None:
        async with pool.task_group() as group:
            group.create_task(fail, error=ZeroDivisionError)
            try:
                await forever()
            finally:
                raise KeyError

    with pytest.raises(ExceptionGroup) as caught:
        play(scenario)
    assert kinds(caught.value) == {KeyError, ZeroDivisionError}


def test_a_context_manager_inside_may_raise_too(play: Play) -> None:
    """Two errors of one kind, of a child and of a manager that is left because of it, are two errors."""

    @contextlib.asynccontextmanager
    async def database() -> AsyncIterator[None]:
        try:
            yield
        finally:
            raise LookupError

    async def scenario(pool: LoopPool) -> int:
        with pytest.raises(ExceptionGroup) as caught:
            async with pool.task_group() as group, database():
                group.create_task(fail)
                await forever()
        assert [type(error) for error in caught.value.exceptions] == [LookupError, LookupError]
        return requests()

    assert play(scenario) == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_the_interpreters_own_errors_come_bare(
    play: Play, error: type[BaseException], expected_logs: list[logging.LogRecord]
) -> None:
    """From the block and from a child alike, as from asyncio's group; the other errors are logged."""

    async def from_block(pool: LoopPool) -> None:
        async with pool.task_group() as group:
            group.create_task(fail)
            try:
                await forever()
            finally:
                raise error

    async def from_child(pool: LoopPool) -> None:
        async with pool.task_group() as group:
            group.create_task(fail, error=error)
            try:
                await forever()
            finally:
                raise LookupError

    async def scenario(pool: LoopPool) -> list[int]:
        after: list[int] = []
        for block in (from_block, from_child):
            with pytest.raises(error):
                await block(pool)
            after.append(requests())
        return after

    assert play(scenario) == [0, 0]
    assert [type(record.exc_info[1]) for record in expected_logs if record.exc_info] == [LookupError] * 2


def test_a_childs_system_exit_leaves_its_loop_alone(play: Play) -> None:
    """It is that child's error and the group's; the worker goes on."""

    async def scenario(pool: LoopPool) -> int:
        with pytest.raises(SystemExit):
            async with pool.task_group() as group:
                group.create_task(fail, error=SystemExit)
        return sum(worker.generation for worker in pool.statistics().workers)

    assert play(scenario) == 0


@pytest.mark.parametrize("is_childs", [True, False])
def test_other_base_errors_come_in_a_group(play: Play, is_childs: bool) -> None:
    """A BaseExceptionGroup, for it holds what is no Exception."""
    inner, outer = (OwnBaseError, KeyError) if is_childs else (KeyError, OwnBaseError)

    async def scenario(pool: LoopPool) -> None:
        async with pool.task_group() as group:
            group.create_task(fail, error=inner)
            try:
                await forever()
            finally:
                raise outer

    with pytest.raises(BaseExceptionGroup) as caught:
        play(scenario)
    assert not isinstance(caught.value, ExceptionGroup)
    assert kinds(caught.value) == {OwnBaseError, KeyError}


def test_an_async_generator_with_a_group_can_be_closed(play: Play) -> None:
    """Its end is a GeneratorExit, as Python wants it, and its children are cancelled and awaited."""

    async def scenario(pool: LoopPool) -> bool:
        child = Child()

        async def stream() -> AsyncIterator[int]:
            async with pool.task_group() as group:
                group.create_task(child.stay)
                await child.started.wait()
                yield 1

        generator = stream()
        async with contextlib.aclosing(generator):  # type: ignore[type-var]
            assert await anext(generator) == 1
        return child.ended.is_set()

    assert play(scenario)


def test_an_error_does_not_hold_on_to_its_task(play: Play) -> None:
    """The task that raised a group's error, and has it, goes with its last reference: there is no cycle."""

    async def scenario(pool: LoopPool) -> None:
        async def block() -> None:
            async with pool.task_group() as group:
                group.create_task(fail)

        gc.disable()
        try:
            task = asyncio.create_task(block())
            await asyncio.wait([task])
            error = task.exception()
            watched = weakref.ref(task)
            del task
            assert isinstance(error, ExceptionGroup)
            assert watched() is None
        finally:
            gc.enable()

    play(scenario)


def holders(error: BaseException, asker: Callable[..., Coroutine[Any, Any, None]]) -> list[Any]:
    """What refers to an error, but for the coroutine that asks, which 3.14 lists for its stack."""
    code = inspect.unwrap(asker).__code__
    return [holder for holder in gc.get_referrers(error) if getattr(holder, "cr_code", None) is not code]


def test_nothing_holds_on_to_the_errors(play: Play) -> None:
    """A group is no part of a reference cycle with what it raised, nor are the frames it raised in."""

    async def scenario(pool: LoopPool) -> None:
        group = pool.task_group()
        errors: list[BaseException] = []
        try:
            async with group:
                raise LookupError
        except* LookupError as caught:
            errors.append(caught.exceptions[0])
        assert holders(errors[0], scenario) == [errors]

        other = pool.task_group()
        try:
            async with other:
                raise KeyboardInterrupt
        except KeyboardInterrupt as caught_bare:
            errors.append(caught_bare)
        assert holders(errors[1], scenario) == [errors]

        try:
            async with asyncio.timeout(0), pool.task_group() as last:
                last.create_task(forever)
        except TimeoutError as late:
            errors.append(late.__cause__ or late)
        assert isinstance(errors[2], asyncio.CancelledError)
        assert holders(errors[2], scenario) == [errors]

    play(scenario)
