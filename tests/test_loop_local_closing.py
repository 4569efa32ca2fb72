"""When a pool's worker stops: its loop-local values are closed, in order, within the grace."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from polyloop import LoopLocal, StartupError, current_worker
from tests._calls import fail
from tests._gate import PATIENCE
from tests._journal import Journal
from tests._processes import run_python
from tests._shared import Flag, Notes
from tests._stage import Stage, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests._open_pool import OpenPool


async def ask(*locals_: LoopLocal[Any]) -> None:
    """Open the values, one after another."""
    for local in locals_:
        await local.get()


def test_the_last_one_opened_is_closed_first(open_pool: OpenPool) -> None:
    """On each loop the order of closing is the opposite of the order of opening."""
    journal = Journal()
    locals_ = [LoopLocal(journal.resource(name)) for name in "abc"]

    with open_pool(2) as pool:
        pool.broadcast(ask, *locals_).result(PATIENCE)

    for index in range(2):
        assert journal.of(f"polyloop-{index}") == [f"open {x}" for x in "abc"] + [f"close {x}" for x in "cba"]


def test_tasks_before_values_before_the_lifespan(open_pool: OpenPool) -> None:  # noqa: PLR0915 - one story, with its calls in it
    """Tasks, what they left behind and generators may use a value to their end; it may use the lifespan's."""
    journal = Journal()
    stage = Stage()
    local = LoopLocal(journal.resource("value"))

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with journal.resource("lifespan")():
            yield

    async def generate() -> AsyncIterator[str]:
        try:
            yield await local.get()
        finally:
            journal.note(f"generator with {await local.get()}")

    async def stray() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            journal.note(f"stray with {await local.get()}")

    async def work() -> None:
        generator = generate()
        await anext(generator)
        # Referred to for as long as its loop is there.
        asyncio.get_running_loop().kept = generator, asyncio.create_task(stray())  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        try:
            await stage.stay()
        finally:
            journal.note(f"task with {await local.get()}")

    pool = open_pool(1, lifespan=lifespan)
    pool.open()
    _ = pool.submit(work)
    until(stage.started)

    pool.close(drain=0)

    assert journal.all == [
        "open lifespan",
        "open value",
        "task with value",
        "stray with value",
        "generator with value",
        "close value",
        "close lifespan",
    ]


def test_a_value_may_use_what_the_lifespan_made(open_pool: OpenPool) -> None:
    """Opening and closing happen inside of the lifespan."""
    seen: Notes[str] = Notes()

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[list[str]]:
        state = ["there"]
        yield state
        state.clear()

    async def make() -> list[str]:
        return list(current_worker().state)

    def close(_: object) -> None:
        seen.append(current_worker().state[0])

    with open_pool(1, lifespan=lifespan) as pool:
        assert pool.call(LoopLocal(make, close=close).get) == ["there"]

    assert seen == ["there"]


def test_a_value_that_the_lifespan_asked_for_outlasts_it(open_pool: OpenPool) -> None:
    """What was opened while the lifespan was entered is closed after it was left."""
    journal = Journal()
    early, late, last = (LoopLocal(journal.resource(name)) for name in ("early", "late", "last"))

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[str]:
        yield await early.get()
        journal.note(f"leave with {await early.get()} and {await last.get()}")

    with open_pool(1, lifespan=lifespan) as pool:
        pool.call(late.get)

    assert journal.all == [
        "open early",
        "open late",
        "close late",
        "open last",
        "leave with early and last",
        "close last",
        "close early",
    ]


def test_a_lifespan_that_fails_leaves_none_open(open_pool: OpenPool) -> None:
    """If a worker does not come up, what its lifespan has asked for is closed."""
    journal = Journal()
    local = LoopLocal(journal.resource("a"))

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        await local.get()
        await fail("no server", OSError)
        yield

    with pytest.raises(StartupError, match="no server"):
        open_pool(1, lifespan=lifespan).open()

    assert journal.all == ["open a", "close a"]


def test_an_error_while_closing_is_logged(open_pool: OpenPool, logged: Callable[[], str]) -> None:
    """It is logged with the name; the others are closed and the pool too."""
    journal = Journal()

    def close(value: str) -> None:
        raise ValueError(value)

    def make() -> str:
        return "on the way out"

    with open_pool(1) as pool:
        pool.call(ask, LoopLocal(journal.resource("a")), LoopLocal(make, close=close))

    assert journal.all == ["open a", "close a"]
    said = logged()
    assert said.count("test_an_error_while_closing_is_logged.<locals>.make") == 1
    assert said.count("ValueError: on the way out") == 1


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError])
def test_it_cannot_take_the_worker_along(
    open_pool: OpenPool, logged: Callable[[], str], kind: type[BaseException]
) -> None:
    """Whatever a closing raises, the rest of its loop is cleaned up."""
    journal = Journal()

    def close(_: object) -> None:
        raise kind

    with open_pool(1) as pool:
        pool.call(ask, LoopLocal(journal.resource("a")), LoopLocal(object, close=close))

    assert pool.statistics().workers[0].phase == "left"
    assert journal.all == ["open a", "close a"]
    assert logged().count("Traceback") == 1


@pytest.mark.parametrize("swallows", [False, True])
def test_one_that_will_not_close_is_given_up(
    open_pool: OpenPool, logged: Callable[[], str], swallows: bool
) -> None:
    """It is cancelled when the grace is over, and named in the log; the others are closed all the same."""
    journal = Journal()
    is_over = Flag()

    async def close(_: object) -> None:
        while not is_over.is_set():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                journal.note("cancelled")
                if not swallows:
                    raise

    with open_pool(1, grace=0.01) as pool:
        pool.call(ask, LoopLocal(journal.resource("a")), LoopLocal(object, close=close))
    is_over.set()

    assert journal.all[:2] == ["open a", "cancelled"]
    assert "close a" in journal.all
    first = logged().splitlines()[0]
    assert "LoopLocal" not in first
    assert "object would not close within the grace" in first


def test_a_forced_close_closes_them(open_pool: OpenPool, expected_logs: object) -> None:
    """When the tasks have used up the grace, the values are closed all the same."""
    journal = Journal()
    stage = Stage()
    locals_ = [LoopLocal(journal.resource(name)) for name in "abc"]
    pool = open_pool(1)
    pool.open()
    pool.call(ask, *locals_)
    stuck = pool.submit(stage.swallow)
    until(stage.started)

    pool.close(drain=0, grace=0)
    stage.released.set()

    assert journal.all[3:] == ["close c", "close b", "close a"]
    assert stuck.exception() is not None
    assert expected_logs


def test_an_opening_under_way_is_cancelled(open_pool: OpenPool) -> None:
    """An opening that nobody waits for any more does not hold the close up, and what it used is closed."""
    journal = Journal()
    inner = LoopLocal(journal.resource("inner"))
    stage = Stage()

    async def make() -> None:
        await inner.get()
        await stage.stay()

    pool = open_pool(1)
    pool.open()
    future = pool.submit(LoopLocal(make).get)
    until(stage.started)

    pool.close(drain=0)

    assert future.cancelled()
    assert stage.cleaned.is_set()
    assert journal.all == ["open inner", "close inner"]


def test_closing_may_ask_for_values(open_pool: OpenPool) -> None:
    """What closes a value may ask for it, for an older one, and for one that has to be opened for it."""
    journal = Journal()
    older, late = LoopLocal(journal.resource("older")), LoopLocal(journal.resource("late"))
    local: LoopLocal[str]

    async def close(value: str) -> None:
        assert await local.get() is value
        journal.note(f"close {value} with {await older.get()} and {await late.get()}")

    local = LoopLocal(lambda: "value", close=close)

    with open_pool(1) as pool:
        pool.call(ask, older, local)

    assert journal.all == [
        "open older",
        "open late",
        "close value with older and late",
        "close late",
        "close older",
    ]


PROGRAM = """
import asyncio, contextlib, sys
import polyloop

@contextlib.asynccontextmanager
async def resource():
    yield "value"
    await asyncio.sleep(0)
    sys.stdout.write("closed\\n")
    sys.stdout.flush()

local = polyloop.LoopLocal(resource)
pool = polyloop.LoopPool(2, backend="BACKEND")
pool.open()
print(pool.broadcast(local.get).result(), flush=True)
pool.submit(asyncio.sleep, 3600)
"""


@pytest.mark.backends("thread", "process", "interpreter", why="what workers print goes to Ray's own logs")
def test_interpreter_exit_closes_them(backend: str) -> None:
    """A pool that nobody closed closes its values when the interpreter exits."""
    ended = run_python(PROGRAM.replace("BACKEND", backend))

    assert ended.output.splitlines() == ["['value', 'value']", "closed", "closed"]
    assert ended.status == 0
    assert ended.errors == ""
