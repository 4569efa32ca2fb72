"""Tasks and generators that nobody refers to end on their own loop all the same."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import TYPE_CHECKING

from tests._stage import Stage, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests._open_pool import OpenPool


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
    assert stage.thread is not None
    assert stage.thread.name == "polyloop-0"


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
