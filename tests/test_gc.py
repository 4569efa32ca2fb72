"""Tasks and generators that nobody refers to end on their own loop all the same."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import TYPE_CHECKING

import pytest

from tests._stage import Stage, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    import polyloop
    from tests._open_pool import OpenPool


class Trouble(Exception):
    """An error that a test can watch go."""


async def get_into_trouble(known: list[weakref.ref[Trouble]]) -> None:
    """Raise an error, and leave word where to find it."""
    error = Trouble()
    known.append(weakref.ref(error))
    try:
        raise error
    finally:
        del error


async def get_into_trouble_when_cancelled(known: list[weakref.ref[Trouble]], stage: Stage) -> None:
    """Raise an error in the clean-up."""
    try:
        await stage.stay()
    finally:
        await get_into_trouble(known)


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Nothing goes but what nobody refers to."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def _call(pool: polyloop.LoopPool, known: list[weakref.ref[Trouble]]) -> None:
    with pytest.raises(Trouble):
        pool.call(get_into_trouble, known)


def _ask_the_future(pool: polyloop.LoopPool, known: list[weakref.ref[Trouble]]) -> None:
    with pytest.raises(Trouble):
        pool.submit(get_into_trouble, known).result()


def _run(pool: polyloop.LoopPool, known: list[weakref.ref[Trouble]]) -> None:
    async def main() -> None:
        with pytest.raises(Trouble):
            await pool.run(get_into_trouble, known)

    asyncio.run(main())


def _await_the_future(pool: polyloop.LoopPool, known: list[weakref.ref[Trouble]]) -> None:
    async def main() -> None:
        with pytest.raises(Trouble):
            await pool.submit(get_into_trouble, known)

    asyncio.run(main())


def _cancel_run(pool: polyloop.LoopPool, known: list[weakref.ref[Trouble]]) -> None:
    stage = Stage()

    async def main() -> None:
        caller = asyncio.create_task(pool.run(get_into_trouble_when_cancelled, known, stage))
        await asyncio.to_thread(until, stage.started)
        caller.cancel()
        with pytest.raises(Trouble):
            await caller
        del caller  # it has the error, and the error's traceback refers to this frame

    asyncio.run(main())


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("ask", [_call, _ask_the_future, _run, _await_the_future, _cancel_run])
def test_an_error_goes_with_the_last_who_refers_to_it(
    open_pool: OpenPool, ask: Callable[[polyloop.LoopPool, list[weakref.ref[Trouble]]], None]
) -> None:
    """Waiting for a call that fails leaves no cycle of references behind for the collector to find."""
    known: list[weakref.ref[Trouble]] = []
    with open_pool(1) as pool:
        ask(pool, known)

    assert [reference() for reference in known] == [None]


def test_a_task_that_only_its_own_future_refers_to_lives(open_pool: OpenPool) -> None:
    """A task whose future was dropped, and which waits for what nobody else knows, is not collected."""
    stage = Stage()
    pool = open_pool(1)
    pool.open()
    future = pool.submit(stage.stay)
    del future
    until(stage.started)

    gc.collect()

    assert not stage.cleaned.is_set()
    pool.close(drain=0)
    assert stage.cleaned.is_set()
    assert stage.threads == ["polyloop-0"]


def test_a_generator_that_was_left_early_ends_on_its_loop(open_pool: OpenPool) -> None:
    """`break` out of `async for` finalises the generator on the loop where it ran."""
    finalised = threading.Event()
    where: list[str] = []

    async def generate() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            await asyncio.sleep(0)
            where.append(threading.current_thread().name)
            finalised.set()

    async def take_one() -> None:
        async for _ in generate():
            break

    with open_pool(1) as pool:
        pool.call(take_one)
        gc.collect()
        until(finalised)

    assert where == ["polyloop-0"]


def test_a_generator_that_was_kept_ends_when_the_pool_does(open_pool: OpenPool) -> None:
    """A generator in the middle of its work is closed on its loop, though no call uses it any more."""
    where: list[str] = []
    kept: list[object] = []

    async def generate() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            where.append(threading.current_thread().name)

    async def begin() -> None:
        generator = generate()
        kept.append(generator)
        await anext(generator)

    with open_pool(2) as pool:
        pool.broadcast(begin).result()

    assert sorted(where) == ["polyloop-0", "polyloop-1"]


def test_a_task_that_is_given_up_is_closed_in_its_own_thread(
    open_pool: OpenPool, expected_logs: object
) -> None:
    """The `finally` of a task that swallows cancellation runs in its thread, not in the collector's."""
    where: list[str] = []
    started = threading.Event()

    async def stubborn() -> None:
        try:
            while True:
                started.set()
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    continue
        finally:
            where.append(threading.current_thread().name)

    pool = open_pool(1)
    pool.open()
    future = pool.submit(stubborn)
    until(started)
    pool.close(drain=0, grace=0.05)

    assert future.exception(0) is not None
    for thread in threading.enumerate():
        if thread.name.startswith("polyloop-"):
            thread.join()
    gc.collect()
    assert where == ["polyloop-0"]
