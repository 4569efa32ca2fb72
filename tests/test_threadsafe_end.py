"""`run_coroutine_threadsafe` and loops that end, or have ended: nothing is lost, whoever ends them."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import TYPE_CHECKING

import pytest

import polyloop
from polyloop import LoopClosed
from polyloop._entrance import entrance_of
from tests._calls import clean_up_behind, double
from tests._elsewhere import loop_factory, run_in_thread
from tests._gate import Gate
from tests._stage import PATIENCE, Stage, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["loop_factory"]

FLOODERS = 8
ROUNDS = 40


@pytest.fixture
def loop(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that does not run."""
    loop = loop_factory()
    yield loop
    loop.close()


def run_once(loop: asyncio.AbstractEventLoop) -> None:
    """Run a loop, and stop it as people do it by hand: without ending what runs there."""
    loop.run_until_complete(asyncio.sleep(0.001))


# -- not running --------------------------------------------------------------------------------


def test_a_closed_loop_is_refused(loop: asyncio.AbstractEventLoop) -> None:
    """It raises, and nobody is told that the coroutine was never awaited."""
    loop.close()

    with pytest.raises(LoopClosed, match=r"is closed: the task double\(\) was not accepted") as raised:
        polyloop.run_coroutine_threadsafe(double(1), loop).cancel()

    assert not raised.value.may_have_run


def test_a_loop_that_has_not_run_yet_queues(loop: asyncio.AbstractEventLoop) -> None:
    """What is handed in before the first run starts with it."""
    future = polyloop.run_coroutine_threadsafe(double(2), loop)

    assert not future.done()
    run_once(loop)

    assert future.result(0) == 4


def test_a_loop_that_was_stopped_is_refused(loop: asyncio.AbstractEventLoop) -> None:
    """Nobody knows whether it will run again; when it does, it takes more."""
    polyloop.run_coroutine_threadsafe(double(1), loop).add_done_callback(lambda _: None)
    run_once(loop)

    with pytest.raises(LoopClosed, match="has run and is stopped"):
        polyloop.run_coroutine_threadsafe(double(1), loop).cancel()

    async def main() -> int:
        return await polyloop.run_coroutine_threadsafe(double(3), loop)

    assert loop.run_until_complete(main()) == 6
    loop.run_until_complete(
        loop.shutdown_asyncgens()
    )  # what awaits on a loop has something to end there, too


# -- ending in good order -----------------------------------------------------------------------


def test_the_end_of_a_run_waits_for_what_it_cancels(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """When the run ends, what still runs is cancelled, and has cleaned up when the run is over."""
    gate = Gate()
    with run_in_thread(loop_factory) as loop:
        future = polyloop.run_coroutine_threadsafe(clean_up_behind(gate), loop)
        polyloop.run_coroutine_threadsafe(double(1), loop).result(PATIENCE)
        gate.open()

    assert future.cancelled()
    assert gate.entered == 1


def test_what_comes_after_the_sweep_is_cancelled_and_awaited(loop: asyncio.AbstractEventLoop) -> None:
    """What starts when ``asyncio.run`` has cancelled all tasks already still ends before the loop does."""
    stage = Stage()
    first = polyloop.run_coroutine_threadsafe(double(1), loop)
    run_once(loop)
    loop.call_soon(lambda: futures.append(polyloop.run_coroutine_threadsafe(stage.clean_up(0.01), loop)))
    futures: list[polyloop.Future[None]] = []
    run_once(loop)
    assert stage.started.is_set()

    loop.run_until_complete(loop.shutdown_asyncgens())

    assert first.result(0) == 2
    assert futures[0].cancelled()
    assert stage.cleaned.is_set()


def test_what_has_not_started_when_the_run_ends_is_told_so(loop: asyncio.AbstractEventLoop) -> None:
    """It never starts, and its error is no cancellation: nobody cancelled it."""
    polyloop.run_coroutine_threadsafe(double(1), loop).add_done_callback(lambda _: None)
    run_once(loop)
    stage = Stage()
    futures: list[polyloop.Future[None]] = []

    def submit() -> None:
        futures.append(polyloop.run_coroutine_threadsafe(stage.stay(), loop))

    async def end() -> None:
        # In the turn in which the generators are closed, and just before they are.
        loop.call_soon(submit)
        await loop.shutdown_asyncgens()

    loop.run_until_complete(end())

    with pytest.raises(LoopClosed, match=r"the task Stage\.stay\(\) did not start, and will not") as raised:
        futures[0].result(0)
    assert not raised.value.may_have_run
    assert not stage.started.is_set()


def test_a_run_that_is_ending_is_refused(loop: asyncio.AbstractEventLoop) -> None:
    """Once the loop has ended what it had, it takes nothing more, though it still runs."""
    polyloop.run_coroutine_threadsafe(double(1), loop).add_done_callback(lambda _: None)
    run_once(loop)
    loop.run_until_complete(loop.shutdown_asyncgens())

    async def main() -> None:
        with pytest.raises(LoopClosed, match="is about to end its run"):
            polyloop.run_coroutine_threadsafe(double(1), loop).cancel()

    loop.run_until_complete(main())


@pytest.mark.usefixtures("expected_logs")  # of the task that uvloop starts all the same, and is destroyed
def test_the_first_to_come_may_be_too_late(loop: asyncio.AbstractEventLoop) -> None:
    """A loop that ended its generators before it was ever used answers for what came after that."""
    loop.run_until_complete(loop.shutdown_asyncgens())
    stage = Stage()
    future = polyloop.run_coroutine_threadsafe(stage.stay(), loop)

    run_once(loop)
    loop.close()

    with pytest.raises(LoopClosed):
        future.result(0)
    gc.collect()


def test_a_task_that_swallowed_the_last_cancellation_can_be_cancelled_again(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """While the run waits for it to end, cancelling its future still reaches it."""
    swallowed, stage = threading.Event(), Stage()

    async def stubborn() -> None:
        try:
            await stage.stay()
        except asyncio.CancelledError:
            swallowed.set()
            await asyncio.Event().wait()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        loop = runner.get_loop()
        # Started after the sweep of asyncio.run(), so that only our own end waits for it.
        future = polyloop.run_coroutine_threadsafe(stubborn(), loop)
        loop.run_until_complete(asyncio.to_thread(until, stage.started))

        def cancel_again() -> None:
            until(swallowed)
            future.cancel()

        thread = threading.Thread(target=cancel_again)
        thread.start()
        loop.run_until_complete(loop.shutdown_asyncgens())
        thread.join(PATIENCE)

    assert future.cancelled()


def test_no_future_stays_pending_when_threads_flood_a_loop_that_ends(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """Threads submit while ``asyncio.run`` comes to its end: each coroutine ends, is refused or told so."""
    unresolved = sum(_flood(loop_factory) for _ in range(ROUNDS))

    assert unresolved == 0


def _flood(factory: Callable[[], asyncio.AbstractEventLoop]) -> int:
    """One round; returns how many of the accepted have no right outcome when the run is over."""
    accepted: list[polyloop.Future[int]] = []
    enough = threading.Event()

    async def main() -> None:
        for thread in threads:
            thread.start()
        await asyncio.to_thread(until, enough)

    with asyncio.Runner(loop_factory=factory) as runner:
        flood = (runner.get_loop(), accepted, enough)
        threads = [threading.Thread(target=_submit_until_refused, args=flood) for _ in range(FLOODERS)]
        runner.run(main())
    for thread in threads:
        thread.join(PATIENCE)
    return [*map(_is_settled, accepted)].count(False)


def _submit_until_refused(
    loop: asyncio.AbstractEventLoop, accepted: list[polyloop.Future[int]], enough: threading.Event
) -> None:
    try:
        for number in range(100_000):
            future = polyloop.run_coroutine_threadsafe(_work(number), loop)
            accepted.append(future)
            if not number % 5:
                future.wait(0.001)  # or the loop has no chance to end at all
            if number == 10:
                enough.set()
    except LoopClosed:
        enough.set()  # should this thread be the last


async def _work(number: int) -> int:
    await asyncio.sleep(0.0005 * (number % 3))
    return number


def _is_settled(future: polyloop.Future[int]) -> bool:
    # By now, not after some time. An error has to be looked at, or it is logged.
    if not future.done() or future.cancelled():
        return future.done()
    return isinstance(future.exception(0), LoopClosed | None)


# -- ending without a word ----------------------------------------------------------------------


def test_closing_a_loop_settles_what_waits_for_its_first_run(loop: asyncio.AbstractEventLoop) -> None:
    """A loop that is closed without having run answers for what was queued."""
    future = polyloop.run_coroutine_threadsafe(double(1), loop)

    loop.close()

    with pytest.raises(LoopClosed, match=r"the task double\(\) did not start"):
        future.result(0)


@pytest.mark.usefixtures("expected_logs")  # asyncio's, of the task that is destroyed
def test_closing_a_loop_settles_what_still_runs_there(loop: asyncio.AbstractEventLoop) -> None:
    """A loop that is stopped and closed by hand, with tasks on it, leaves no future pending."""
    stage = Stage()
    future = polyloop.run_coroutine_threadsafe(stage.stay(), loop)
    loop.run_until_complete(asyncio.to_thread(until, stage.started))
    assert not future.done()

    loop.close()

    with pytest.raises(LoopClosed, match=r"the task Stage\.stay\(\) had started and did not end") as raised:
        future.result(0)
    assert raised.value.may_have_run
    gc.collect()


def test_a_thread_that_waits_hears_of_the_loop_being_closed(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """Whoever blocks on a result is let go when the loop is closed under it."""
    loop = loop_factory()
    future = polyloop.run_coroutine_threadsafe(double(1), loop)
    heard: list[BaseException | None] = []
    waiter = threading.Thread(target=lambda: heard.append(future.exception(PATIENCE)))
    waiter.start()

    loop.close()
    waiter.join(PATIENCE)

    assert isinstance(heard[0], LoopClosed)


@pytest.mark.filterwarnings("ignore:unclosed event loop:ResourceWarning")
def test_a_loop_that_is_dropped_settles_what_it_had() -> None:
    """A future keeps no loop alive; when its loop is collected, it has its outcome."""
    loop = asyncio.new_event_loop()  # one of uvloop's never gives its descriptors back then
    future = polyloop.run_coroutine_threadsafe(double(1), loop)

    del loop
    gc.collect()

    with pytest.raises(LoopClosed):
        future.result(0)


def test_nothing_keeps_a_loop_that_was_closed(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """A loop goes with the last reference to it, though coroutines were handed to it."""
    loop = loop_factory()
    future = polyloop.run_coroutine_threadsafe(double(1), loop)
    run_once(loop)
    loop.close()
    gone = weakref.ref(entrance_of(loop))

    del loop
    gc.collect()

    assert gone() is None
    assert future.result(0) == 2
