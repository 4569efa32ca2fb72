"""The task that owns a loop-local value: what the value has entered belongs to it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from polyloop import LoopLocal
from tests._gate import PATIENCE
from tests._journal import Journal
from tests._shared import Flag
from tests._stage import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests._open_pool import OpenPool


async def open_value(local: LoopLocal[Any]) -> None:
    """Ask for it, and keep it: not every value can be sent."""
    await local.get()


def test_a_task_group_and_a_scope_inside_work(open_pool: OpenPool) -> None:
    """A value is left in the task that it was entered in, and ends its own background tasks itself."""
    journal = Journal()

    async def beat() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            journal.note("beat cancelled")
            raise

    @contextlib.asynccontextmanager
    async def make() -> AsyncIterator[asyncio.Task[Any]]:
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            beating = group.create_task(beat())
            await asyncio.sleep(0)
            entered_in = asyncio.current_task()
            yield beating
            assert asyncio.current_task() is entered_in
            journal.note("leaving")
            beating.cancel()

    with open_pool(1) as pool:
        pool.call(open_value, LoopLocal(make))

    assert journal.all == ["leaving", "beat cancelled"]


def test_a_value_whose_task_group_fails_is_opened_anew(
    open_pool: OpenPool, logged: Callable[[], str]
) -> None:
    """What ends a value from within is logged, and the next one who asks has a new value."""
    ended = Flag()

    async def break_down(breaks: asyncio.Event) -> None:
        await breaks.wait()
        raise OSError("connection lost")

    @contextlib.asynccontextmanager
    async def make() -> AsyncIterator[asyncio.Event]:
        breaks = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                background = group.create_task(break_down(breaks))
                yield breaks
                background.cancel()
        finally:
            ended.set()

    local = LoopLocal(make)

    async def break_it() -> None:
        (await local.get()).set()

    async def is_new() -> bool:
        return not (await local.get()).is_set()

    with open_pool(1) as pool:
        pool.call(break_it)
        until(ended)

        assert pool.call(is_new)
    assert logged().count("make raised") == 1


def test_a_generator_of_a_value_is_not_closed_behind_its_back(open_pool: OpenPool) -> None:
    """An async generator that belongs to a value ends with the value, by the value's own hand."""
    journal = Journal()

    async def ticks() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            journal.note("generator closed")

    @contextlib.asynccontextmanager
    async def make() -> AsyncIterator[str]:
        generator = ticks()
        await anext(generator)
        yield "value"
        journal.note("leaving")
        await generator.aclose()  # type: ignore[attr-defined]  # it is a generator, whatever its annotation

    with open_pool(1) as pool:
        pool.call(open_value, LoopLocal(make))

    assert journal.all == ["leaving", "generator closed"]


def test_a_background_task_of_a_value_keeps_its_generator(open_pool: OpenPool) -> None:
    """A generator that a value's own background task is in the middle of ends with that task."""
    journal = Journal()

    async def ticks() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            journal.note("generator closed")

    async def consume(is_begun: asyncio.Event) -> None:
        async for _ in ticks():
            is_begun.set()

    @contextlib.asynccontextmanager
    async def make() -> AsyncIterator[str]:
        async with asyncio.TaskGroup() as group:
            is_begun = asyncio.Event()
            consuming = group.create_task(consume(is_begun))
            await is_begun.wait()
            yield "value"
            journal.note("leaving")
            consuming.cancel()

    with open_pool(1) as pool:
        pool.call(open_value, LoopLocal(make))

    assert journal.all == ["leaving", "generator closed"]
