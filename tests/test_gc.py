"""Tasks and generators that nobody refers to end on their own loop all the same."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import TYPE_CHECKING

import pytest

from tests._journal import worker_here
from tests._shared import Flag, Notes
from tests._stage import PATIENCE, Stage, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from polyloop import LoopPool
    from tests._open_pool import OpenPool


class Trouble(Exception):
    """An error that a test can watch go."""


# What a call raises is watched where it was raised, and what arrives where it has arrived.
async def get_into_trouble() -> None:
    """Raise an error, and leave word where to find it."""
    error = Trouble()
    asyncio.get_running_loop().trouble = weakref.ref(error)  # type: ignore[attr-defined]  # for `is_over`
    try:
        raise error
    finally:
        del error


async def get_into_trouble_when_cancelled(stage: Stage) -> None:
    """Raise an error in the clean-up."""
    try:
        await stage.stay()
    finally:
        await get_into_trouble()


async def is_over() -> bool:
    """Whether the last error that was raised here is gone; true as well where there was none."""
    trouble = getattr(asyncio.get_running_loop(), "trouble", lambda: None)
    return trouble() is None


async def collect() -> None:
    """Collect the garbage of this process, or interpreter."""
    gc.collect()


async def do_not_collect() -> None:
    """Let nothing go but what nobody refers to."""
    gc.collect()
    gc.disable()


async def collect_again() -> None:
    """As usual."""
    gc.enable()


@pytest.fixture
def no_collector(steady_pool: LoopPool) -> Iterator[None]:
    """Nothing goes but what nobody refers to, here and on the pool."""
    asyncio.run(do_not_collect())
    steady_pool.broadcast(do_not_collect).result(PATIENCE)
    yield
    gc.enable()
    steady_pool.broadcast(collect_again).result(PATIENCE)


def _call(pool: LoopPool, known: list[weakref.ref[Trouble]]) -> None:
    try:
        pool.call(get_into_trouble)
    except Trouble as error:
        known.append(weakref.ref(error))


def _ask_the_future(pool: LoopPool, known: list[weakref.ref[Trouble]]) -> None:
    try:
        pool.submit(get_into_trouble).result()
    except Trouble as error:
        known.append(weakref.ref(error))


def _run(pool: LoopPool, known: list[weakref.ref[Trouble]]) -> None:
    async def main() -> None:
        try:
            await pool.run(get_into_trouble)
        except Trouble as error:
            known.append(weakref.ref(error))

    asyncio.run(main())


def _await_the_future(pool: LoopPool, known: list[weakref.ref[Trouble]]) -> None:
    async def main() -> None:
        try:
            await pool.submit(get_into_trouble)
        except Trouble as error:
            known.append(weakref.ref(error))

    asyncio.run(main())


def _cancel_run(pool: LoopPool, known: list[weakref.ref[Trouble]]) -> None:
    stage = Stage()

    async def main() -> None:
        caller = asyncio.create_task(pool.run(get_into_trouble_when_cancelled, stage))
        await asyncio.to_thread(until, stage.started)
        caller.cancel()
        try:
            await caller
        except Trouble as error:
            known.append(weakref.ref(error))
        del caller  # it has the error, and the error's traceback refers to this frame

    asyncio.run(main())


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("ask", [_call, _ask_the_future, _run, _await_the_future, _cancel_run])
def test_an_error_goes_with_the_last_who_refers_to_it(
    steady_pool: LoopPool, ask: Callable[[LoopPool, list[weakref.ref[Trouble]]], None]
) -> None:
    """Waiting for a call that fails leaves no cycle of references behind for the collector to find."""
    known: list[weakref.ref[Trouble]] = []
    ask(steady_pool, known)

    are_over: list[bool] = []
    # Without a GIL, the task may be just ending there, and what another thread has made is given back when
    # that thread runs next.
    for _ in range(100):
        are_over = steady_pool.broadcast(is_over).result(PATIENCE)
        if are_over == [True, True] and known[0]() is None:
            break
    assert are_over == [True, True]
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
    pool.call(collect)

    assert not stage.cleaned.is_set()
    pool.close(drain=0)
    assert stage.cleaned.is_set()
    assert stage.places == ["polyloop-0"]


def test_a_generator_that_was_left_early_ends_on_its_loop(steady_pool: LoopPool) -> None:
    """`break` out of `async for` finalises the generator on the loop where it ran."""
    finalised = Flag()
    where: Notes[str] = Notes()

    async def generate() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            await asyncio.sleep(0)
            where.append(worker_here())
            finalised.set()

    async def take_one() -> str:
        async for _ in generate():
            break
        return worker_here()

    home = steady_pool.call(take_one)
    gc.collect()
    steady_pool.broadcast(collect).result(PATIENCE)
    until(finalised)

    assert where == [home]


def test_a_generator_that_was_kept_ends_when_the_pool_does(open_pool: OpenPool) -> None:
    """A generator in the middle of its work is closed on its loop, though no call uses it any more."""
    where: Notes[str] = Notes()

    async def generate() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            where.append(worker_here())

    async def begin() -> None:
        generator = generate()
        asyncio.get_running_loop().kept = generator  # type: ignore[attr-defined]
        await anext(generator)

    with open_pool(2) as pool:
        pool.broadcast(begin).result(PATIENCE)

    assert sorted(where) == ["polyloop-0", "polyloop-1"]


def test_a_task_that_is_given_up_is_closed_in_its_own_thread(
    open_pool: OpenPool, expected_logs: object
) -> None:
    """The `finally` of a task that swallows cancellation runs in its thread, not in the collector's."""
    where: Notes[str] = Notes()
    started = Flag()

    async def stubborn() -> None:
        try:
            while True:
                started.set()
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    continue
        finally:
            where.append(worker_here())

    pool = open_pool(1, name="given-up")
    pool.open()
    future = pool.submit(stubborn)
    until(started)
    pool.close(drain=0, grace=0.05)

    assert future.exception(0) is not None
    for thread in threading.enumerate():
        if thread.name.startswith("given-up-"):
            thread.join(PATIENCE)
    gc.collect()
    assert where == ["given-up-0"]
