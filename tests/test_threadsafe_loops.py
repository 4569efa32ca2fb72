"""`run_coroutine_threadsafe` on loops with a way of their own: task factories, Ctrl-C, forks."""

from __future__ import annotations

import asyncio
import gc
import os
from typing import TYPE_CHECKING, Any

import pytest

import polyloop
from polyloop._mailbox import Mailbox
from tests._calls import double
from tests._elsewhere import Pause, elsewhere, loop_factory, run_in_thread
from tests._processes import run_python
from tests._stage import PATIENCE, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

__all__ = ["elsewhere", "loop_factory"]


class OwnTask(asyncio.Task[int]):
    """A task of the user's own kind."""


@pytest.fixture
def use_factory(elsewhere: asyncio.AbstractEventLoop) -> Iterator[Callable[[Any], None]]:
    """Gives the loop a task factory, for the length of the test."""
    yield elsewhere.set_task_factory
    elsewhere.set_task_factory(None)


def test_a_task_factory_is_used(
    elsewhere: asyncio.AbstractEventLoop, use_factory: Callable[[Any], None]
) -> None:
    """The task is of the kind that the factory makes."""

    async def kind() -> type[object]:
        return type(asyncio.current_task())

    use_factory(lambda loop, coroutine, **options: OwnTask(coroutine, loop=loop, **options))

    assert polyloop.run_coroutine_threadsafe(kind(), elsewhere).result(PATIENCE) is OwnTask


def test_a_task_factory_may_know_nothing_of_contexts() -> None:
    """It is asked to take one only when a task is made with one, so this makes tasks without."""
    with run_in_thread(asyncio.new_event_loop) as loop:
        loop.set_task_factory(lambda loop, coroutine: OwnTask(coroutine, loop=loop))  # type: ignore[arg-type]
        future = polyloop.run_coroutine_threadsafe(double(1), loop)

        assert future.result(PATIENCE) == 2
        loop.set_task_factory(None)


def test_a_task_factory_that_raises_fails_its_own_coroutine(
    elsewhere: asyncio.AbstractEventLoop, use_factory: Callable[[Any], None]
) -> None:
    """The error is its future's, and the next one runs."""

    def refuse(*_: object, **__: object) -> OwnTask:
        raise LookupError("no tasks today")

    use_factory(refuse)
    with pytest.raises(LookupError, match="no tasks today"):
        polyloop.run_coroutine_threadsafe(double(1), elsewhere).result(PATIENCE)
    use_factory(None)

    assert polyloop.run_coroutine_threadsafe(double(1), elsewhere).result(PATIENCE) == 2


def test_a_task_that_never_enters_its_guard_is_settled(
    elsewhere: asyncio.AbstractEventLoop, use_factory: Callable[[Any], None]
) -> None:
    """A factory may wrap what it is given, and the wrapping be cancelled before its first step."""

    async def wrap(coroutine: Coroutine[Any, Any, int]) -> int:
        return await coroutine

    def make(
        loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, int], **_: object
    ) -> asyncio.Task[int]:
        task = asyncio.Task(wrap(coroutine), loop=loop)
        task.cancel()
        return task

    use_factory(make)
    future = polyloop.run_coroutine_threadsafe(double(1), elsewhere)

    assert future.wait(PATIENCE)
    assert future.cancelled()
    gc.collect()


def test_ctrl_c_in_a_coroutine_of_the_main_threads_loop_goes_on(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """There it cannot be told from one that the coroutine raised: the future has it, and the program too."""

    async def interrupt() -> None:
        await asyncio.sleep(0)
        raise KeyboardInterrupt

    loop = loop_factory()
    future = polyloop.run_coroutine_threadsafe(interrupt(), loop)

    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    assert isinstance(future.exception(0), KeyboardInterrupt)
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


@pytest.mark.parametrize("is_in", [False, True], ids=["before", "after"])
def test_ctrl_c_in_the_middle_of_submitting_leaves_nothing(
    elsewhere: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch, is_in: bool
) -> None:
    """Nobody has the future, so the coroutine does not start; nobody is told that it was never awaited."""
    stage, put = Stage(), Mailbox.put

    def interrupted(mailbox: Mailbox[Any], item: object) -> None:
        if is_in:
            put(mailbox, item)
        raise KeyboardInterrupt

    with Pause(elsewhere):
        monkeypatch.setattr(Mailbox, "put", interrupted)
        with pytest.raises(KeyboardInterrupt):
            polyloop.run_coroutine_threadsafe(stage.stay(), elsewhere).cancel()
        monkeypatch.undo()

    assert polyloop.run_coroutine_threadsafe(double(1), elsewhere).result(PATIENCE) == 2
    assert not stage.started.is_set()


FORK = """
import asyncio, os, threading, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # that one should not fork where threads are
import polyloop

class CountingLoop(asyncio.SelectorEventLoop):
    turns = 0

    def _run_once(self):
        type(self).turns += 1
        super()._run_once()

async def one():
    return 1

started = threading.Event()

async def stay():
    started.set()
    await asyncio.Event().wait()

def attempt(action):
    began = time.monotonic()
    try:
        value = action()
    except BaseException as error:
        value = type(error).__name__
    print(value, "late" if time.monotonic() - began > 1 else "at once", flush=True)

loop = CountingLoop()
thread = threading.Thread(target=loop.run_forever)
thread.start()
submit = lambda: polyloop.run_coroutine_threadsafe(one(), loop)
if USED:
    pending = polyloop.run_coroutine_threadsafe(stay(), loop)
    started.wait()
while not loop.is_running():
    time.sleep(0.001)
# It sleeps when it has taken no turn for some time: its next one needs a wake-up.
while CountingLoop.turns != (turns := CountingLoop.turns) or not time.sleep(0.01):
    if CountingLoop.turns == turns:
        break
child = os.fork()
if child == 0:
    attempt(submit)
    if USED:
        attempt(pending.result)
        attempt(pending.cancel)
    os._exit(0)
os.waitpid(child, 0)
print("woken", CountingLoop.turns - turns)
print("parent", submit().result())
if USED:
    pending.cancel()
    pending.wait()
loop.call_soon_threadsafe(loop.stop)
thread.join()
loop.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("is_used", [False, True])
def test_a_forked_child_cannot_use_its_parents_loop(is_used: bool) -> None:
    """Submitting and waiting raise at once in the child, and the parent's loop is not woken."""
    ended = run_python(FORK.replace("USED", str(is_used)))

    refused = ["ForkedPool at once", *(["ForkedPool at once", "True at once"] if is_used else [])]
    assert ended.output.splitlines() == [*refused, "woken 0", "parent 1"], ended.errors
    assert ended.status == 0
