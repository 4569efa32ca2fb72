"""A lifespan: entered on every loop when it starts, left on it when it stops."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING

import pytest

from polyloop import current_worker
from tests._journal import Journal, worker_here
from tests._shared import Flag
from tests._stage import PATIENCE, Stage, nothing, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from polyloop import LoopPool
    from tests._open_pool import OpenPool

variable: ContextVar[str] = ContextVar("variable", default="nothing")


def test_each_loop_has_its_own(open_pool: OpenPool) -> None:
    """What it yields is the state of its worker, made and unmade in that worker's thread."""
    journal = Journal()

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[tuple[str, int]]:
        journal.note("enter")
        yield worker_here(), threading.get_ident()
        journal.note("leave")

    async def state() -> tuple[str, tuple[str, int], int]:
        return worker_here(), current_worker().state, threading.get_ident()

    with open_pool(2, lifespan=lifespan) as pool:
        states = pool.broadcast(state).result(PATIENCE)

    assert [state for state, *_ in states] == ["polyloop-0", "polyloop-1"]
    assert all(made == (name, thread) for name, made, thread in states)
    for index in range(2):
        assert journal.of(f"polyloop-{index}") == ["enter", "leave"]


def test_without_one_there_is_no_state(steady_pool: LoopPool) -> None:
    """The state of a worker without a lifespan is None."""

    async def state() -> object:
        return current_worker().state

    assert steady_pool.call(state) is None


def test_it_is_left_when_the_tasks_have_ended(open_pool: OpenPool) -> None:  # noqa: PLR0915 - one story, with its calls in it
    """Whatever came later ends before it: tasks, tasks of tasks, and async generators."""
    journal = Journal()
    stage = Stage()

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        try:
            yield
        finally:
            journal.note("lifespan")

    async def generate() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            journal.note("generator")

    async def stray() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            journal.note("stray")

    async def work() -> None:
        generator = generate()
        await anext(generator)
        # Referred to for as long as its loop is there.
        asyncio.get_running_loop().kept = generator, asyncio.create_task(stray())  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        try:
            await stage.stay()
        finally:
            journal.note("task")

    pool = open_pool(1, lifespan=lifespan)
    pool.open()
    _ = pool.submit(work)
    until(stage.started)

    pool.close(drain=0)

    assert journal.of("polyloop-0") == ["task", "stray", "generator", "lifespan"]


def test_its_own_background_tasks_end_with_it(open_pool: OpenPool) -> None:
    """A task group that a lifespan holds open is ended by the lifespan, not under its feet."""
    journal = Journal()

    async def beat() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            journal.note("beat cancelled")
            raise

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(beat())
            yield
            journal.note("leaving")
            task.cancel()

    with open_pool(1, lifespan=lifespan) as pool:
        pool.call(nothing)

    assert journal.of("polyloop-0") == ["leaving", "beat cancelled"]


def test_nested_resources_are_left_in_reverse(open_pool: OpenPool) -> None:
    """What a lifespan opened last is closed first."""
    journal = Journal()

    @contextlib.asynccontextmanager
    async def resource(name: str) -> AsyncIterator[None]:
        journal.note(f"open {name}")
        yield
        journal.note(f"close {name}")

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            for name in "abc":
                await stack.enter_async_context(resource(name))
            yield

    with open_pool(1, lifespan=lifespan) as pool:
        pool.call(nothing)

    assert journal.of("polyloop-0") == [f"open {x}" for x in "abc"] + [f"close {x}" for x in "cba"]


def test_an_error_on_the_way_out_is_logged(open_pool: OpenPool, logged: Callable[[], str]) -> None:
    """A lifespan that raises when it is left does not keep the pool from closing."""

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        yield
        raise ValueError("on the way out")

    with open_pool(2, lifespan=lifespan) as pool:
        future = pool.submit(nothing)

    assert future.done()
    assert logged().count("ValueError: on the way out") == 2


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_it_cannot_take_the_program_along(
    open_pool: OpenPool, logged: Callable[[], str], kind: type[BaseException]
) -> None:
    """Whatever it raises on the way out, the rest of its loop is cleaned up and the pool is closed."""
    journal = Journal()

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        yield
        raise kind("on the way out")

    async def stray() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            journal.note("stray")

    async def work() -> None:
        asyncio.get_running_loop().kept = asyncio.create_task(stray())  # type: ignore[attr-defined]
        await asyncio.sleep(0)

    with open_pool(1, lifespan=lifespan) as pool:
        pool.call(work)

    assert pool.statistics().workers[0].phase == "left"
    assert journal.of("polyloop-0") == ["stray"]
    assert "on the way out" in logged()


def test_one_that_will_not_end_is_given_up(open_pool: OpenPool, logged: Callable[[], str]) -> None:
    """A lifespan that hangs on the way out is cancelled when the grace is over."""
    is_cancelled = Flag()

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        yield
        try:
            await asyncio.Event().wait()
        finally:
            is_cancelled.set()

    pool = open_pool(1, lifespan=lifespan, grace=0.01)
    with pool:
        pool.call(nothing)

    until(is_cancelled)
    assert logged()


def test_it_sees_no_callers_context(open_pool: OpenPool) -> None:
    """It is entered in an empty context: it serves all callers and belongs to none."""
    token = variable.set("the opener's")
    try:
        with open_pool(1, lifespan=look_at_variable) as pool:
            assert pool.submit(what_it_saw).result(PATIENCE) == "nothing"
    finally:
        variable.reset(token)


# Of this module, for a context variable cannot be sent by value.
@contextlib.asynccontextmanager
async def look_at_variable() -> AsyncIterator[str]:
    """A lifespan that sees what the variable is."""
    yield variable.get()


async def what_it_saw() -> str:
    """Its state."""
    return str(current_worker().state)
