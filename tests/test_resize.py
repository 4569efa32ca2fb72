"""A pool that goes on with more loops or fewer: at once with more, and with fewer when those have drained."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, TypeAlias

import pytest

from polyloop import (
    BlockingCall,
    LoopPool,
    PoolClosed,
    StartupError,
    WorkerLost,
    current_pool,
    current_worker,
)
from tests._calls import double, where
from tests._gate import PATIENCE, Gate
from tests._shared import Notes, Tally
from tests.test_worker_loss import FragileLoop, break_loop

if TYPE_CHECKING:
    import logging
    from collections.abc import AsyncGenerator

    from polyloop import Future
    from tests._open_pool import OpenPool

Logs: TypeAlias = "list[logging.LogRecord]"


async def generation() -> int:
    """The worker's."""
    return current_worker().generation


async def worker_count() -> int:
    """How many there were when the worker was started."""
    return current_worker().loops


def await_notice(pool: LoopPool, loops: int) -> None:
    """Wait until those that are too many get nothing more, which only shows in how many there are."""
    while pool.loops > loops:
        pool.call(double, 1)


# -- more ---------------------------------------------------------------------------------------


def test_new_loops_get_calls(open_pool: OpenPool) -> None:
    """They have the next indexes, and all of them take part in everything."""
    with open_pool(1) as pool:
        grown = pool.resize(3).result(PATIENCE)

        everywhere = pool.broadcast(where).result(PATIENCE)
        pinned = [pool.options(worker=index).call(where) for index in range(3)]
        keyed = {pool.options(key=key).call(where) for key in range(50)}
        told = pool.options(worker=2).call(worker_count)
    assert (grown, pool.loops) == (3, 3)
    assert everywhere == pinned == [0, 1, 2]
    assert keyed == {0, 1, 2}
    assert told == 3


def test_what_waits_goes_to_a_new_loop(open_pool: OpenPool) -> None:
    """Nobody has to hand it in again, and nobody has to wait for the growing."""
    gate = Gate()
    with open_pool(1, limit=1) as pool:
        blocker = pool.submit(gate.passage)
        gate.wait_started()
        waiting = [pool.submit(where) for _ in range(5)]

        _ = pool.resize(2)
        places = [future.result(PATIENCE) for future in waiting]
        gate.open()
        blocker.result(PATIENCE)
    assert places == [1] * 5


def test_lifespans_are_entered_and_left_with_their_loops(open_pool: OpenPool) -> None:
    """Those of loops that come and go are no others than those of the first."""
    notes: Notes[str] = Notes()

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncGenerator[None, None]:
        index = current_worker().index
        notes.append(f"{index} begins")
        yield
        notes.append(f"{index} ends")

    with open_pool(1, lifespan=lifespan) as pool:
        pool.resize(2).result(PATIENCE)
        pool.resize(1).result(PATIENCE)
        so_far = list(notes)
    assert so_far == ["0 begins", "1 begins", "1 ends"]


def test_growing_fails_as_a_whole(open_pool: OpenPool) -> None:
    """The pool goes on with the loops that it had, those that came up with the one that did not are gone."""

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncGenerator[None, None]:
        if current_worker().index == 3:
            raise LookupError("no third connection")
        yield

    with open_pool(2, lifespan=lifespan) as pool:
        with pytest.raises(
            StartupError, match=r"could not grow to 4 loops, and has 2: .* no third"
        ) as caught:
            pool.resize(4).result(PATIENCE)

        loops = pool.loops
        grown = pool.resize(3).result(PATIENCE)  # and back again, past what has failed
        everywhere = pool.broadcast(where).result(PATIENCE)
    assert isinstance(caught.value.__cause__, LookupError)
    assert (loops, grown) == (2, 3)
    assert everywhere == [0, 1, 2]


# -- fewer --------------------------------------------------------------------------------------


def test_what_was_taken_is_finished(open_pool: OpenPool) -> None:
    """The last loops get nothing more but what is pinned there already; it is done when they are gone."""
    gate = Gate()
    with open_pool(3, limit=1) as pool:
        last = pool.options(worker=2)
        running = last.submit(gate.passage, "ran")
        gate.wait_started()
        waiting = [last.submit(where) for _ in range(3)]

        shrinking = pool.resize(1)
        await_notice(pool, 1)
        elsewhere = {pool.call(where) for _ in range(20)}
        is_done = shrinking.done()
        gate.open()
        loops = shrinking.result(PATIENCE)

        assert running.result(0) == "ran"
        assert [future.result(0) for future in waiting] == [2, 2, 2]
        phases = [worker.phase for worker in pool.statistics().workers]
    assert elsewhere == {0}
    assert (is_done, loops) == (False, 1)
    assert phases == ["running", "left", "left"]


def test_what_has_left_stays_in_the_figures(open_pool: OpenPool) -> None:
    """Counters only grow."""
    with open_pool(2) as pool:
        for index in (0, 1, 1):
            pool.options(worker=index).call(double, index)
        before = pool.statistics().ended
        pool.resize(1).result(PATIENCE)
        after = pool.statistics()
        pool.resize(2).result(PATIENCE)
        again = pool.statistics()
    assert before == after.ended == again.ended == 3
    assert [worker.ended for worker in after.workers] == [worker.ended for worker in again.workers] == [1, 2]
    assert [worker.phase for worker in again.workers] == ["running", "running"]


def test_a_loop_that_is_gone_cannot_be_named(open_pool: OpenPool) -> None:
    """Neither by new options nor by those that were made before."""
    with open_pool(2) as pool:
        view = pool.options(worker=1)
        pool.resize(1).result(PATIENCE)

        with pytest.raises(ValueError, match=r"worker=1 .*1 loops, from 0 to 0"):
            _ = view.submit(where)
        with pytest.raises(ValueError, match=r"worker=1 .*1 loops, from 0 to 0"):
            _ = view.map(double, [1])
        with pytest.raises(ValueError, match="worker=1"):
            _ = pool.options(worker=1)


def test_more_again_takes_the_notice_back(open_pool: OpenPool) -> None:
    """A loop that has not left yet just goes on."""
    gate = Gate()
    with open_pool(2) as pool:
        running = pool.options(worker=1).submit(gate.passage)
        gate.wait_started()

        fewer = pool.resize(1)
        loops = pool.resize(2).result(PATIENCE)
        was_running = not running.done()
        gate.open()
        running.result(PATIENCE)
        generations = pool.broadcast(generation).result(PATIENCE)
        meanwhile = fewer.result(PATIENCE)
    assert (loops, meanwhile) == (2, 2)  # who was overtaken is told what came of it
    assert was_running
    assert generations == [0, 0]


def test_more_again_after_they_have_left(open_pool: OpenPool) -> None:
    """The places have new workers, which say so by their generation."""
    with open_pool(3) as pool:
        for loops in (1, 3, 2, 3):
            assert pool.resize(loops).result(PATIENCE) == loops
        generations = pool.broadcast(generation).result(PATIENCE)
    assert generations == [0, 1, 2]


# -- keys ---------------------------------------------------------------------------------------


def test_a_view_follows_its_key(open_pool: OpenPool) -> None:
    """Options made before a resize and after it agree; the keys that move are those of the new loop."""
    with open_pool(3) as pool:
        views = {key: pool.options(key=key) for key in range(60)}
        before = {key: view.call(where) for key, view in views.items()}
        pool.resize(4).result(PATIENCE)
        more = {key: view.call(where) for key, view in views.items()}
        anew = {key: pool.options(key=key).call(where) for key in views}
        pool.resize(3).result(PATIENCE)
        again = {key: view.call(where) for key, view in views.items()}
    assert more == anew
    assert again == before
    moved = {more[key] for key in views if more[key] != before[key]}
    assert moved == {3}


def test_maps_go_on(open_pool: OpenPool) -> None:
    """With all of their results in order, by key or not, while the pool grows and shrinks under them."""
    with open_pool(2, limit=5) as pool:
        plain = pool.map(double, range(600), window=20)
        keyed = pool.map(double, range(600), window=20, key=lambda item: item % 40)
        for number, pair in zip(range(600), zip(plain, keyed, strict=True), strict=True):
            if number % 100 == 50:
                _ = pool.resize(1 + number // 100 % 3)
            assert pair == (2 * number, 2 * number)


# -- losses -------------------------------------------------------------------------------------


def test_what_is_lost_while_it_drains_is_not_replaced(open_pool: OpenPool, expected_logs: Logs) -> None:
    """What ran there is told of the loss; nobody needs the place any more."""
    gate = Gate()
    with open_pool(2, loop_factory=FragileLoop) as pool:
        running = pool.options(worker=1).submit(gate.passage)
        breaking = pool.options(worker=1).submit(_break_when_open, gate)
        gate.wait_started()
        shrinking = pool.resize(1)
        await_notice(pool, 1)
        gate.open()

        assert shrinking.result(PATIENCE) == 1
        assert isinstance(breaking.exception(PATIENCE), WorkerLost)
        running.exception(PATIENCE)  # it ended first, or was lost
        workers = pool.statistics().workers
    assert [(worker.generation, worker.phase) for worker in workers] == [(0, "running"), (0, "lost")]
    assert expected_logs


async def _break_when_open(gate: Gate) -> None:
    await gate.passage()
    await break_loop()


def test_what_waits_for_a_lost_loop_runs_on_its_successor(open_pool: OpenPool, expected_logs: Logs) -> None:
    """A call that is pinned to a loop which drains is not lost with it; then that is gone too."""
    gate = Gate()
    with open_pool(2, limit=1, loop_factory=FragileLoop) as pool:
        last = pool.options(worker=1)
        breaking = last.submit(_break_when_open, gate)
        gate.wait_started()
        waiting = last.submit(where)
        shrinking = pool.resize(1)
        await_notice(pool, 1)
        gate.open()

        assert waiting.result(PATIENCE) == 1
        assert shrinking.result(PATIENCE) == 1
        assert isinstance(breaking.exception(PATIENCE), WorkerLost)
        workers = pool.statistics().workers
    assert [(worker.generation, worker.phase) for worker in workers] == [(0, "running"), (1, "left")]
    assert expected_logs


# -- who asks -----------------------------------------------------------------------------------


def test_it_can_be_awaited(open_pool: OpenPool) -> None:
    """On any loop; who is cancelled meanwhile has only stopped waiting."""
    gate = Gate()

    async def main() -> int:
        async with open_pool(2) as pool:
            running = pool.options(worker=1).submit(gate.passage)
            await asyncio.to_thread(gate.wait_started)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(pool.resize(1), 0.01)
            gate.open()
            await running
            again = await pool.resize(1)
            phases = [worker.phase for worker in pool.statistics().workers]
            assert phases == ["running", "left"]
            return again

    assert asyncio.run(main()) == 1


@pytest.mark.backends("thread", why="current_pool() is refused inside another process or interpreter")
def test_a_loop_cannot_block_until_it_has_left(open_pool: OpenPool) -> None:
    """It can ask for it all the same, and go on."""

    async def shrink() -> str:
        future = current_pool().resize(1)
        with pytest.raises(BlockingCall, match="the resizing of polyloop to 1 loops"):
            future.result()
        return "asked"

    with open_pool(2) as pool:
        asked = pool.options(worker=1).call(shrink)
        pool.resize(1).result(PATIENCE)
    assert asked == "asked"


def test_closing_ends_the_waiting(open_pool: OpenPool) -> None:
    """A pool that is closed has no size any more."""
    gate = Gate()
    with open_pool(2) as pool:
        running = pool.options(worker=1).submit(gate.passage)
        gate.wait_started()
        shrinking = pool.resize(1)
        await_notice(pool, 1)
        pool.close(drain=0)

        assert running.cancelled()
        assert shrinking.wait(PATIENCE)
        assert shrinking.cancelled()
        with pytest.raises(PoolClosed):
            _ = pool.resize(2)


def test_a_pool_that_is_not_open_cannot_be_resized(open_pool: OpenPool) -> None:
    """What it says is what a call would be told."""
    with pytest.raises(PoolClosed, match="is not open yet"):
        _ = open_pool(2).resize(1)


@pytest.mark.parametrize("loops", [0, -1, 5000, 2.0, "2", True])
def test_a_size_that_is_none_is_refused(loops: object) -> None:
    """With a word about what it has to be."""
    with LoopPool(1) as pool, pytest.raises((TypeError, ValueError), match="loops"):
        _ = pool.resize(loops)  # type: ignore[arg-type]  # that is what is tested


# -- in the middle of much else -----------------------------------------------------------------


def test_a_flood_while_it_changes_all_the_time(open_pool: OpenPool) -> None:
    """Each call runs once, whatever becomes of the loop that it was for."""
    calls = 1000
    tally = Tally()

    async def count() -> None:
        tally.add()

    with open_pool(2, limit=3) as pool:
        futures: list[Future[None]] = []
        for number in range(calls):
            if number % 100 == 0:
                _ = pool.resize(1 + number // 100 % 4)
            target = pool.options(key=number % 17) if number % 3 else pool
            futures.append(target.submit(count))
        for future in futures:
            future.result(PATIENCE)
        pool.resize(2).result(PATIENCE)
        statistics = pool.statistics()
    assert tally.count() == statistics.ended == calls
    assert (statistics.backlog, statistics.in_flight) == (0, 0)


@pytest.mark.backends("process", why="only where workers share no memory with their pool they have a quota")
def test_with_workers_that_have_a_quota(open_pool: OpenPool) -> None:
    """Those that leave for another reason do not come back for this one."""
    with open_pool(2, limit=3, max_tasks_per_worker=10) as pool:
        for loops in (3, 1, 2):
            results = pool.map(double, range(20), key=lambda item: item % 7)
            resizing = pool.resize(loops)
            assert list(results) == [2 * number for number in range(20)]
            assert resizing.result(PATIENCE) == loops
        ended = pool.statistics().ended
    assert ended == 60
