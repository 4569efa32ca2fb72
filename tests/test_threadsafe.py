"""`run_coroutine_threadsafe` on loops that polyloop did not start: what it runs, and what it raises."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import traceback
from typing import TYPE_CHECKING, Any

import pytest

import polyloop
from polyloop import BlockingCall, TaskCancelled, _entrance
from polyloop._waker import ForeignWaker
from tests._calls import clean_up_behind, double, fail, forever
from tests._elsewhere import Pause, elsewhere, loop_factory
from tests._gate import Gate
from tests._stage import PATIENCE, Stage, until

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Generator

__all__ = ["elsewhere", "loop_factory"]

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nobody's")


# -- running ------------------------------------------------------------------------------------


def test_a_thread_gets_the_value(elsewhere: asyncio.AbstractEventLoop) -> None:
    """Its future gives what the coroutine returned."""
    futures = [polyloop.run_coroutine_threadsafe(double(number), elsewhere) for number in range(3)]

    assert [future.result(PATIENCE) for future in futures] == [0, 2, 4]


def test_another_loop_gets_the_value(elsewhere: asyncio.AbstractEventLoop) -> None:
    """Its future can be awaited on any loop; the coroutine runs on the one that was named."""

    async def where() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    async def main() -> asyncio.AbstractEventLoop:
        return await polyloop.run_coroutine_threadsafe(where(), elsewhere)

    assert asyncio.run(main()) is elsewhere


def test_the_same_loop_gets_the_value(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """A coroutine may hand another one to its own loop, and await it there."""

    async def main() -> int:
        return await polyloop.run_coroutine_threadsafe(double(4), asyncio.get_running_loop())

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(main()) == 8


def test_what_a_loop_is_busy_for_costs_one_wake_up(
    elsewhere: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many coroutines come while the loop is busy, it is woken once."""
    polyloop.run_coroutine_threadsafe(double(0), elsewhere).result(PATIENCE)
    wakes: list[None] = []
    wake = ForeignWaker.wake

    def count(waker: ForeignWaker) -> None:
        wakes.append(None)
        wake(waker)

    monkeypatch.setattr(ForeignWaker, "wake", count)
    with Pause(elsewhere):
        futures = [polyloop.run_coroutine_threadsafe(double(number), elsewhere) for number in range(200)]

    assert sum(future.result(PATIENCE) for future in futures) == 199 * 200
    assert len(wakes) <= 1


def test_it_runs_in_a_copy_of_its_submitters_context(elsewhere: asyncio.AbstractEventLoop) -> None:
    """The coroutine sees what was set where it was handed in, and changes nothing there."""

    async def change() -> str:
        before = variable.get()
        variable.set("the coroutine's")
        return before

    context = contextvars.copy_context()
    context.run(variable.set, "the submitter's")
    future = context.run(polyloop.run_coroutine_threadsafe, change(), elsewhere)

    assert future.result(PATIENCE) == "the submitter's"
    assert context[variable] == "the submitter's"


def test_two_threads_that_come_first_make_one_entrance(
    elsewhere: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop has one way in, though two threads find it without at the same moment."""
    both_are_in, make = threading.Barrier(2, timeout=PATIENCE), _entrance.Entrance
    made: list[object] = []

    def make_together(loop: asyncio.AbstractEventLoop) -> object:
        both_are_in.wait()
        return make(loop)

    monkeypatch.setattr(_entrance, "Entrance", make_together)
    threads = [
        threading.Thread(target=lambda: made.append(_entrance.entrance_of(elsewhere))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert len(made) == 2
    assert made[0] is made[1]


class Everyday:
    """An awaitable that is a coroutine by its methods, as Cython's are."""

    def __init__(self) -> None:
        self._inner = double(21)

    def send(self, value: Any) -> Any:
        """See `collections.abc.Coroutine`."""
        return self._inner.send(value)

    def throw(self, *error: Any) -> Any:
        """See `collections.abc.Coroutine`."""
        return self._inner.throw(*error)

    def close(self) -> None:
        """See `collections.abc.Coroutine`."""
        self._inner.close()

    def __await__(self) -> Generator[Any, None, int]:
        return self._inner.__await__()


def test_coroutines_of_other_makes_run(elsewhere: asyncio.AbstractEventLoop) -> None:
    """What has the methods of a coroutine is one."""
    coroutine: Any = Everyday()

    assert polyloop.run_coroutine_threadsafe(coroutine, elsewhere).result(PATIENCE) == 42


# -- cancelling ---------------------------------------------------------------------------------


def test_what_was_cancelled_before_it_started_never_starts(elsewhere: asyncio.AbstractEventLoop) -> None:
    """Cancelled while it waits for its turn, the coroutine is settled at once and does not run."""
    stage = Stage()
    with Pause(elsewhere):
        future = polyloop.run_coroutine_threadsafe(stage.stay(), elsewhere)

        assert future.cancel()
        assert future.cancelled()

    polyloop.run_coroutine_threadsafe(double(1), elsewhere).result(PATIENCE)
    assert not stage.started.is_set()
    with pytest.raises(TaskCancelled, match=r"the task Stage\.stay\(\) was cancelled"):
        future.result()


def test_a_future_is_cancelled_when_its_coroutine_has_ended(elsewhere: asyncio.AbstractEventLoop) -> None:
    """`cancelled` is not true while the coroutine still cleans up."""
    gate = Gate()
    future = polyloop.run_coroutine_threadsafe(clean_up_behind(gate), elsewhere)
    polyloop.run_coroutine_threadsafe(double(1), elsewhere).result(PATIENCE)

    assert future.cancel()
    gate.wait_started()
    assert not future.cancelled()
    assert not future.done()
    gate.open()
    assert future.wait(PATIENCE)

    assert future.cancelled()


def test_a_value_is_not_thrown_away_by_a_cancellation_that_came_too_late(
    elsewhere: asyncio.AbstractEventLoop,
) -> None:
    """A coroutine that does its work to the end delivers it, though it was cancelled on its last line."""
    known: list[polyloop.Future[str]] = []
    is_known = threading.Event()

    async def work() -> str:
        await asyncio.to_thread(until, is_known)
        known[0].cancel()
        return "committed"

    known.append(polyloop.run_coroutine_threadsafe(work(), elsewhere))
    is_known.set()

    assert known[0].result(PATIENCE) == "committed"
    assert not known[0].cancelled()


def test_cancelling_the_await_reaches_the_coroutine(elsewhere: asyncio.AbstractEventLoop) -> None:
    """A timeout around the awaiting goes on when the coroutine has cleaned up, on its own loop."""
    stage = Stage()

    async def main() -> None:
        async with asyncio.timeout(None) as scope:
            future = polyloop.run_coroutine_threadsafe(stage.stay(), elsewhere)
            await asyncio.to_thread(until, stage.started)
            scope.reschedule(0)
            await future

    with pytest.raises(TimeoutError):
        asyncio.run(main())

    assert stage.cleaned.is_set()
    assert stage.places == ["elsewhere"]


# -- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, BaseException, LookupError])
def test_what_a_coroutine_raises_ends_in_its_future(
    elsewhere: asyncio.AbstractEventLoop, error: type[BaseException]
) -> None:
    """Whatever it raises, its loop and what else runs there go on."""
    gate = Gate()
    bystander = polyloop.run_coroutine_threadsafe(gate.passage("unharmed"), elsewhere)
    gate.wait_started()

    for coroutine in (fail("at once", error), fail_later(error)):
        with pytest.raises(error):
            polyloop.run_coroutine_threadsafe(coroutine, elsewhere).result(PATIENCE)
    gate.open()

    assert bystander.result(PATIENCE) == "unharmed"


async def fail_later(error: type[BaseException]) -> None:
    """Raise an error, from a step that is not the first."""
    await asyncio.sleep(0)
    raise error


def test_stop_iteration_arrives_as_a_runtime_error(elsewhere: asyncio.AbstractEventLoop) -> None:
    """No future could carry it; the error says what it was."""
    future = polyloop.run_coroutine_threadsafe(fail("over", StopIteration), elsewhere)

    with pytest.raises(RuntimeError, match="raised StopIteration"):
        future.result(PATIENCE)


def test_a_traceback_does_not_grow(elsewhere: asyncio.AbstractEventLoop) -> None:
    """Asking for the result again and again adds no entries to the error's traceback."""
    future = polyloop.run_coroutine_threadsafe(fail(), elsewhere)
    depths: list[int] = []
    for _ in range(10):
        with pytest.raises(LookupError) as raised:
            future.result(PATIENCE)
        depths.append(len(traceback.extract_tb(raised.value.__traceback__)))

    assert len(set(depths)) == 1


def test_an_error_that_nobody_collects_is_logged(
    elsewhere: asyncio.AbstractEventLoop, expected_logs: list[logging.LogRecord]
) -> None:
    """When the future of a failed coroutine is dropped, the log says where it was submitted."""
    future = polyloop.run_coroutine_threadsafe(fail(), elsewhere)
    assert future.wait(PATIENCE)
    del future
    # Who has settled it holds it no more.
    assert polyloop.run_coroutine_threadsafe(double(1), elsewhere).result(PATIENCE) == 2
    gc.collect()

    (record,) = [record for record in expected_logs if record.name == "polyloop"]
    assert f"the task fail(), submitted at {__file__}:" in record.getMessage()


def test_waiting_on_the_loop_that_runs_it_raises(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """A synchronous wait that could only deadlock says so instead."""

    async def main() -> None:
        future = polyloop.run_coroutine_threadsafe(forever(), asyncio.get_running_loop())
        for wait in (future.result, future.exception, future.wait):
            with pytest.raises(BlockingCall, match=r"the very loop that runs it; await its future instead"):
                wait()
        assert await future.cancel_and_wait()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


def test_a_task_whose_future_was_dropped_lives(elsewhere: asyncio.AbstractEventLoop) -> None:
    """A task that waits for what nobody else knows is not collected as garbage."""
    stage = Stage()
    future = polyloop.run_coroutine_threadsafe(stage.stay(), elsewhere)
    until(stage.started)
    del future

    gc.collect()

    assert not stage.cleaned.is_set()


# -- what it takes ------------------------------------------------------------------------------


async def stream() -> Any:
    """An async generator."""
    yield 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            lambda: double,
            r"takes a coroutine, as in .*, not the function double itself; call it: double\(\.\.\.\)",
        ),
        (lambda: print, r"for a plain function there is asyncio\.to_thread\(\)"),
        (stream, r"not an async generator; submit a coroutine that consumes it with `async for`"),
        (lambda: 5, "not int 5"),
    ],
)
def test_what_is_no_coroutine_is_refused(
    elsewhere: asyncio.AbstractEventLoop, wrong: Callable[[], Any], message: str
) -> None:
    """The error says what to hand in instead."""
    with pytest.raises(TypeError, match=message):
        polyloop.run_coroutine_threadsafe(wrong(), elsewhere).cancel()


def test_a_future_of_another_loop_is_refused(elsewhere: asyncio.AbstractEventLoop) -> None:
    """What belongs to a loop is awaited there."""

    async def main() -> None:
        future: Any = asyncio.get_running_loop().create_future()
        with pytest.raises(TypeError, match="await it in a coroutine of the loop that it belongs to"):
            polyloop.run_coroutine_threadsafe(future, elsewhere).cancel()

    asyncio.run(main())


def test_what_is_no_loop_is_refused() -> None:
    """The error names it, and nobody is told that the coroutine was never awaited."""
    nothing: Any = None

    with pytest.raises(TypeError, match="takes a coroutine and an event loop, not None"):
        polyloop.run_coroutine_threadsafe(double(1), nothing).cancel()
