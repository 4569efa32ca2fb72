"""Opening and closing a pool: what runs, what is refused, and how long it may take."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from polyloop import BlockingCall, LoopPool, PoolClosed, StartupError, current_pool, current_worker
from tests._calls import double
from tests._failing import fail_at
from tests._gate import Gate
from tests._shared import Flag, Level, Notes, Tally
from tests._stage import PATIENCE, Stage, nothing, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests._open_pool import OpenPool

ON_ITS_OWN_POOL = pytest.mark.backends(
    "thread", why="current_pool() and calls to the pool are refused inside another process or interpreter"
)


# -- open and close ----------------------------------------------------------------------------


def test_open_and_close_need_no_block(open_pool: OpenPool) -> None:
    """Between open() and close() a pool takes calls, before and after it takes none."""
    pool = open_pool(1)
    with pytest.raises(PoolClosed, match="not open yet"):
        _ = pool.submit(nothing)

    pool.open()
    assert pool.submit(double, 4).result() == 8
    pool.close()

    with pytest.raises(PoolClosed, match="closed"):
        _ = pool.submit(nothing)


async def aopen_and_aclose(pool: LoopPool) -> int:
    """Open, use and close the pool."""
    await pool.aopen()
    value = await pool.run(double, 4)
    await pool.aclose()
    with pytest.raises(PoolClosed):
        await pool.run(nothing)
    return value


def test_aopen_and_aclose_need_no_block(open_pool: OpenPool) -> None:
    """The same two from a coroutine."""
    assert asyncio.run(aopen_and_aclose(open_pool(1))) == 8


def test_a_pool_that_was_never_opened_needs_no_closing(open_pool: OpenPool) -> None:
    """Making a pool starts nothing, and closing it then does nothing."""
    pool = open_pool(2)

    pool.close()

    with pytest.raises(PoolClosed):
        _ = pool.submit(nothing)


def test_a_pool_is_opened_once(open_pool: OpenPool) -> None:
    """Opening a pool that is open raises, and leaves it open."""
    with open_pool(1) as pool:
        with pytest.raises(PoolClosed, match="opened"):
            pool.open()

        assert pool.call(double, 1) == 2


def test_a_closed_pool_cannot_be_opened(open_pool: OpenPool) -> None:
    """Opening a pool that has been closed raises, whether it was ever open or not."""
    used, unused = open_pool(1), open_pool(1)
    with used:
        pass
    unused.close()

    for pool in (used, unused):
        with pytest.raises(PoolClosed):
            pool.open()


def test_closing_while_opening_leaves_nothing_open(open_pool: OpenPool) -> None:
    """A pool that another thread closes while its workers still come up never opens."""
    entered = Flag()

    class Slow:
        async def __aenter__(self) -> None:
            entered.set()
            await asyncio.Event().wait()

        async def __aexit__(self, *_: object) -> None:
            pass

    pool = open_pool(2, lifespan=Slow)
    errors: list[BaseException] = []

    def open_it() -> None:
        try:
            pool.open()
        except PoolClosed as error:
            errors.append(error)

    opener = threading.Thread(target=open_it)
    opener.start()
    until(entered)

    pool.close(grace=PATIENCE)

    opener.join(PATIENCE)
    assert not opener.is_alive()
    assert len(errors) == 1
    with pytest.raises(PoolClosed):
        _ = pool.submit(nothing)


# -- leaving the block ---------------------------------------------------------------------------


def test_leaving_the_block_lets_accepted_calls_finish(open_pool: OpenPool) -> None:
    """Leaving `with` cleanly waits for what runs and for what still waits for a place."""
    gate = Gate()
    with open_pool(1, limit=1) as pool:
        futures = [pool.submit(gate.passage, "finished") for _ in range(3)]
        threading.Timer(0.01, gate.open).start()

    assert [future.result(0) for future in futures] == ["finished"] * 3


def test_leaving_the_async_block_lets_accepted_calls_finish(open_pool: OpenPool) -> None:
    """Leaving `async with` cleanly waits too, and without it the caller's loop goes on."""

    async def main() -> list[object]:
        gate = Gate()
        async with open_pool(1, limit=1) as pool:
            futures = [pool.submit(gate.passage, "finished") for _ in range(3)]
            # Runs only if leaving the block does not hold this loop up.
            asyncio.get_running_loop().call_later(0.01, gate.open)
        return [future.result(0) for future in futures]

    assert asyncio.run(main()) == ["finished"] * 3


ERRORS = [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError]


@pytest.mark.parametrize("kind", ERRORS)
def test_leaving_the_block_by_an_exception_cancels(open_pool: OpenPool, kind: type[BaseException]) -> None:
    """An exception out of `with` cancels what runs and what waits, and comes out after the clean-up."""
    stage = Stage()
    futures: list[Any] = []

    def use() -> None:
        with open_pool(1, limit=1) as pool:
            futures.extend(pool.submit(stage.stay) for _ in range(2))
            until(stage.started)
            raise kind

    with pytest.raises(kind):
        use()

    assert stage.cleaned.is_set()
    assert [future.cancelled() for future in futures] == [True, True]


@pytest.mark.parametrize("kind", [ValueError, asyncio.CancelledError])
def test_leaving_the_async_block_by_an_exception_cancels(
    open_pool: OpenPool, kind: type[BaseException]
) -> None:
    """An exception out of `async with` cancels what runs, and comes out after the clean-up."""
    stage = Stage()
    futures: list[Any] = []

    async def main() -> None:
        async with open_pool(1, limit=1) as pool:
            futures.extend(pool.submit(stage.stay) for _ in range(2))
            await asyncio.to_thread(until, stage.started)
            raise kind

    with pytest.raises(kind):
        asyncio.run(main())

    assert stage.cleaned.is_set()
    assert [future.cancelled() for future in futures] == [True, True]


# -- who closes, and how often -------------------------------------------------------------------


def test_closing_twice_is_harmless(open_pool: OpenPool) -> None:
    """Closing a closed pool returns at once, from threads and from loops."""
    pool = open_pool(1)
    with pool:
        pool.close()
        pool.close()
        asyncio.run(pool.aclose())


def test_two_threads_may_close(open_pool: OpenPool) -> None:
    """Whoever closes second returns when the pool is closed, no sooner."""
    stage = Stage()
    pool = open_pool(1)
    pool.open()
    future = pool.submit(stage.wait)
    until(stage.started)
    was_done: list[bool] = []

    def close() -> None:
        pool.close()
        was_done.append(future.done())

    closers = [threading.Thread(target=close) for _ in range(4)]
    for closer in closers:
        closer.start()
    stage.released.set()
    for closer in closers:
        closer.join(PATIENCE)

    assert was_done == [True] * 4


def test_a_less_patient_close_hastens_the_first(open_pool: OpenPool) -> None:
    """A close() without drain ends the draining of one that would wait for ever."""
    stage = Stage()
    pool = open_pool(1)
    pool.open()
    future = pool.submit(stage.stay)
    until(stage.started)
    patient = threading.Thread(target=pool.close)
    patient.start()

    pool.close(drain=0)

    patient.join(PATIENCE)
    assert not patient.is_alive()
    assert future.cancelled()


def test_two_tasks_may_close(open_pool: OpenPool) -> None:
    """Two tasks of one loop may close a pool at the same time."""

    async def main() -> None:
        stage = Stage()
        pool = open_pool(1)
        await pool.aopen()
        future = pool.submit(stage.stay)
        await asyncio.to_thread(until, stage.started)

        await asyncio.gather(pool.aclose(), pool.aclose(drain=0))

        assert future.cancelled()

    asyncio.run(main())


@ON_ITS_OWN_POOL
def test_a_task_cannot_close_its_own_pool(open_pool: OpenPool) -> None:
    """close() and aclose() from inside a task raise: they would wait for their own end."""

    async def close() -> None:
        pool = current_pool()
        with pytest.raises(BlockingCall):
            pool.close()
        with pytest.raises(BlockingCall):
            await pool.aclose()

    with open_pool(1) as pool:
        pool.call(close)


def test_a_flood_of_submits_does_not_hold_closing_up(open_pool: OpenPool) -> None:
    """close() returns while other threads go on submitting, and every accepted call has an outcome."""
    pool = open_pool(1)
    pool.open()
    futures: list[Any] = []
    going = threading.Semaphore(0)

    def flood() -> None:
        count = 0
        while True:
            try:
                futures.append(pool.submit(nothing))
            except PoolClosed:
                return
            count += 1
            if count == 100:
                going.release()

    threads = [threading.Thread(target=flood) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert going.acquire(timeout=PATIENCE)

    pool.close()

    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    assert all(future.done() for future in futures)


# -- patience -----------------------------------------------------------------------------------


def test_drain_is_how_long_tasks_may_finish(open_pool: OpenPool) -> None:
    """When the seconds of drain are over, what still runs is cancelled."""
    stage = Stage()
    pool = open_pool(1)
    pool.open()
    future = pool.submit(stage.stay)
    until(stage.started)

    pool.close(drain=0.05)

    assert future.cancelled()
    assert stage.cleaned.is_set()


def test_a_drain_ends_with_the_last_task(open_pool: OpenPool) -> None:
    """close(drain=) returns as soon as everything has finished, and cancels nothing then."""
    stage = Stage()
    pool = open_pool(1, limit=1)
    pool.open()
    futures = [pool.submit(stage.wait) for _ in range(5)]
    until(stage.started)
    threading.Timer(0.01, stage.released.set).start()

    began = time.monotonic()
    pool.close(drain=PATIENCE)

    assert time.monotonic() - began < PATIENCE
    assert [future.result() for future in futures] == ["released"] * 5


@ON_ITS_OWN_POOL
def test_tasks_may_call_the_pool_while_it_drains(open_pool: OpenPool) -> None:
    """What a draining task still needs from its own pool is accepted; nobody else's calls are."""
    entered, go = threading.Event(), threading.Event()

    async def parent() -> int:
        entered.set()
        await asyncio.to_thread(go.wait)
        return await current_pool().run(double, 21)

    pool = open_pool(1)
    pool.open()
    future = pool.submit(parent)
    until(entered)
    closer = threading.Thread(target=pool.close)
    closer.start()
    while True:
        try:
            _ = pool.submit(nothing)
        except PoolClosed:
            break
    go.set()
    closer.join(PATIENCE)

    assert future.result() == 42


def test_without_drain_nothing_is_waited_for(open_pool: OpenPool) -> None:
    """drain=0 cancels what runs, and what has not started never starts."""
    stage = Stage()
    began: Notes[int] = Notes()

    async def never() -> None:
        began.append(1)

    pool = open_pool(1, limit=1)
    pool.open()
    running = pool.submit(stage.stay)
    waiting = pool.submit(never)
    until(stage.started)

    pool.close(drain=0)

    assert running.cancelled()
    assert waiting.cancelled()
    assert not began


def test_cleaning_up_may_take_the_grace(open_pool: OpenPool) -> None:
    """A clean-up that needs time gets it, and its task ends as cancelled."""
    stage = Stage()
    pool = open_pool(1)
    pool.open()
    future = pool.submit(stage.clean_up, 0.05)
    until(stage.started)

    pool.close(drain=0, grace=PATIENCE)

    assert stage.cleaned.is_set()
    assert future.cancelled()


def test_a_clean_up_under_way_is_not_torn_down(open_pool: OpenPool) -> None:
    """Closing does not cancel a second time what has been cancelled and is cleaning up."""
    stage = Stage()
    pool = open_pool(1)
    pool.open()
    future = pool.submit(stage.clean_up, 0.05)
    until(stage.started)
    future.cancel()

    pool.close(drain=0, grace=PATIENCE)

    assert stage.cleaned.is_set()
    assert future.cancelled()


@ON_ITS_OWN_POOL
@pytest.mark.parametrize("loops", [1, 2])
def test_a_nested_task_is_cancelled_once(open_pool: OpenPool, loops: int) -> None:
    """A child that its worker has cancelled is not cancelled again by its parent, which is cancelled too."""
    stage = Stage()

    async def parent() -> None:
        await current_pool().run(stage.clean_up, 0.05)

    pool = open_pool(loops)
    pool.open()
    future = pool.submit(parent)
    until(stage.started)

    pool.close(drain=0, grace=PATIENCE)

    assert stage.cleaned.is_set()
    assert future.cancelled()


STUCK = ["swallow", "block"]


@pytest.mark.parametrize("how", STUCK)
def test_a_task_that_will_not_end_is_given_up(
    open_pool: OpenPool, logged: Callable[[], str], how: str
) -> None:
    """After the grace its future gets an error that names it, and what it still does changes nothing."""
    stage = Stage()
    pool = open_pool(2)
    pool.open()
    future = pool.submit(getattr(stage, how))
    until(stage.started)

    pool.close(drain=0, grace=0.05)

    error = future.exception(0)
    assert isinstance(error, PoolClosed)
    assert f"Stage.{how}()" in str(error)
    assert f"Stage.{how}()" in logged()
    stage.released.set()
    for thread in threading.enumerate():
        if thread.name.startswith("polyloop-"):
            thread.join(PATIENCE)
    assert future.exception(0) is error


def test_a_call_behind_a_blocked_loop_is_settled_too(
    open_pool: OpenPool, backend: str, expected_logs: object
) -> None:
    """A call that a blocked worker never got round to starting is cancelled, and never starts."""
    stage = Stage()
    pool = open_pool(1)
    pool.open()
    blocker = pool.submit(stage.block)
    until(stage.started)
    behind = pool.submit(nothing)

    pool.close(drain=0, grace=0.05)

    assert isinstance(blocker.exception(0), PoolClosed)
    if backend == "ray":  # words of an actor's may be lost: what was sent to it may have started
        assert isinstance(behind.exception(0), PoolClosed)
    else:
        assert behind.cancelled()
    stage.released.set()
    assert expected_logs


# -- aclose -----------------------------------------------------------------------------------


def test_cancelling_aclose_ends_the_drain(open_pool: OpenPool) -> None:
    """A cancelled aclose() cancels the tasks, waits for their clean-up and raises then."""

    async def main() -> None:
        stage = Stage()
        pool = open_pool(1)
        await pool.aopen()
        future = pool.submit(stage.clean_up, 0.02)
        await asyncio.to_thread(until, stage.started)
        closing = asyncio.create_task(pool.aclose())
        await asyncio.sleep(0)

        closing.cancel()

        with pytest.raises(asyncio.CancelledError):
            await closing
        assert future.cancelled()
        assert stage.cleaned.is_set()

    asyncio.run(main())


def test_cancelling_aclose_twice_ends_the_grace(open_pool: OpenPool, expected_logs: object) -> None:
    """A second cancellation gives up at once what would still clean up."""

    async def main() -> None:
        stage = Stage()
        pool = open_pool(1, grace=PATIENCE)
        await pool.aopen()
        future = pool.submit(stage.swallow)
        await asyncio.to_thread(until, stage.started)
        closing = asyncio.create_task(pool.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.sleep(0)
        began = time.monotonic()

        closing.cancel()

        with pytest.raises(asyncio.CancelledError):
            await closing
        assert time.monotonic() - began < PATIENCE / 2
        assert isinstance(future.exception(0), PoolClosed)
        stage.released.set()

    asyncio.run(main())
    assert expected_logs


def test_aclose_does_not_hold_up_the_loop(open_pool: OpenPool) -> None:
    """While aclose() waits, the caller's loop runs: it could not set the task free otherwise."""

    async def main() -> None:
        stage = Stage()
        pool = open_pool(1)
        await pool.aopen()
        future = pool.submit(stage.wait)
        await asyncio.to_thread(until, stage.started)
        closing = asyncio.create_task(pool.aclose())
        await asyncio.sleep(0.01)
        assert not closing.done()

        stage.released.set()

        await asyncio.wait_for(closing, PATIENCE)
        assert future.result() == "released"

    asyncio.run(main())


# -- workers that do not come up ------------------------------------------------------------------


@pytest.mark.parametrize("turn", range(2))
def test_a_loop_that_cannot_be_made_fails_the_opening(open_pool: OpenPool, turn: int) -> None:
    """When loop_factory raises, open() raises StartupError with the cause, and nothing is left."""
    pool = open_pool(2, loop_factory=fail_at(turn, asyncio.new_event_loop, LookupError("no loop")))

    with pytest.raises(StartupError, match="no loop") as caught:
        pool.open()

    assert isinstance(caught.value.__cause__, LookupError)
    with pytest.raises(PoolClosed):
        _ = pool.submit(nothing)
    pool.close()


@pytest.mark.parametrize(
    ("kind", "turn"),
    [(LookupError, 0), (SystemExit, 1), (KeyboardInterrupt, 0), (asyncio.CancelledError, 1)],
)
def test_a_lifespan_that_raises_fails_the_opening(
    open_pool: OpenPool, kind: type[BaseException], turn: int
) -> None:
    """Whatever a lifespan raises on the way in, open() raises StartupError and the others are left."""
    inside, turns = Level(), Tally()

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        if turns.add() == turn + 1:
            raise kind("no lifespan")
        with inside:
            yield

    with pytest.raises(StartupError):
        open_pool(2, lifespan=lifespan).open()

    assert inside.now() == 0


@pytest.mark.parametrize("failing", [0, 1])
def test_one_that_fails_does_not_wait_for_those_that_hang(open_pool: OpenPool, failing: int) -> None:
    """A worker that is still coming up when another one fails is called back, whichever of them is first."""
    hanging = Flag()
    left = Flag()

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        if current_worker().index == failing:
            await hanging.wait()
            raise LookupError
        try:
            hanging.set()
            await asyncio.Event().wait()
        finally:
            left.set()
        yield

    with pytest.raises(StartupError):
        open_pool(2, lifespan=lifespan).open()

    assert left.is_set()


@pytest.mark.parametrize("turn", range(3))
def test_a_thread_that_cannot_be_started_fails_the_opening(
    monkeypatch: pytest.MonkeyPatch, turn: int
) -> None:
    """At the system's limit of threads, open() raises StartupError and nothing is left."""
    failing = fail_at(turn, threading.Thread.start, RuntimeError("can't start new thread"))
    monkeypatch.setattr(threading.Thread, "start", lambda self: failing(self))  # noqa: PLW0108 - binds self

    with pytest.raises(StartupError, match="can't start new thread"):
        LoopPool(3).open()


@pytest.mark.skipif(not hasattr(os, "eventfd"), reason="the mailbox needs it on Linux only")
@pytest.mark.parametrize("turn", range(3))
def test_a_mailbox_that_cannot_be_made_fails_the_opening(monkeypatch: pytest.MonkeyPatch, turn: int) -> None:
    """When file descriptors run out half-way through a worker, what it had is given back."""
    monkeypatch.setattr(os, "eventfd", fail_at(turn, os.eventfd, OSError(24, "Too many open files")))

    with pytest.raises(StartupError, match="Too many open files"):
        LoopPool(3).open()


def test_cancelling_aopen_leaves_nothing(open_pool: OpenPool) -> None:
    """A cancelled aopen() stops the workers that have come up, and those that still do."""
    entered, inside, turns = Flag(), Level(), Tally()

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        with inside:
            if turns.add() == 2:
                entered.set()
                await asyncio.Event().wait()
            yield

    async def main() -> None:
        pool = open_pool(2, lifespan=lifespan)
        opening = asyncio.create_task(pool.aopen())
        await asyncio.to_thread(until, entered)

        opening.cancel()

        with pytest.raises(asyncio.CancelledError):
            await opening

    asyncio.run(main())
    assert (turns.count(), inside.now()) == (2, 0)
