"""What losing a worker costs: what had started on it, and nothing else."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, TypeAlias

import pytest

from polyloop import PoolBroken, WorkerLost, current_worker
from tests._shared import Notes, Tally
from tests._stage import PATIENCE, Stage, nothing, until

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from polyloop import LoopPool
    from tests._open_pool import OpenPool

Logs: TypeAlias = "list[logging.LogRecord]"

NESTED = pytest.mark.backends(
    "thread", why="calls to the pool are refused inside another process or interpreter"
)


class FragileLoop(asyncio.SelectorEventLoop):
    """A loop that breaks with an OSError when it is told to, as one whose selector fails does."""

    is_broken = False

    def break_down(self) -> None:
        """End its run with an OSError."""
        self.is_broken = True
        self.stop()

    def run_forever(self) -> None:
        """Run until stopped or broken."""
        super().run_forever()
        if self.is_broken:
            raise OSError("the selector failed")


async def break_loop() -> None:
    """Break the loop that this runs on."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, FragileLoop)
    loop.break_down()
    await asyncio.Event().wait()


async def where() -> tuple[int, int]:
    """The index and the generation of the worker."""
    worker = current_worker()
    return worker.index, worker.generation


def test_what_had_started_is_told_of_the_loss(open_pool: OpenPool, expected_logs: Logs) -> None:
    """A task that ran on a lost worker raises WorkerLost, with the reason and the worker, and cleans up."""
    stage = Stage()
    with open_pool(1, loop_factory=FragileLoop) as pool:
        bystander = pool.submit(stage.stay)
        until(stage.started)

        future = pool.submit(break_loop)

        for error in (future.exception(PATIENCE), bystander.exception(PATIENCE)):
            assert isinstance(error, WorkerLost)
            assert isinstance(error.__cause__, OSError)
            assert error.worker == 0
            assert error.may_have_run
        until(stage.cleaned)
        assert stage.places == ["polyloop-0"]
    assert expected_logs


def test_a_lost_worker_is_replaced(open_pool: OpenPool, expected_logs: Logs) -> None:
    """Its place is taken by a new one with the same index and the next generation."""
    with open_pool(1, loop_factory=FragileLoop) as pool:
        assert pool.call(where) == (0, 0)
        pool.submit(break_loop).exception(PATIENCE)

        assert pool.submit(where).result(PATIENCE) == (0, 1)

        assert pool.statistics().workers[0].generation == 1
    assert expected_logs


def test_what_had_not_started_moves(open_pool: OpenPool, expected_logs: Logs) -> None:
    """Calls in the backlog, and calls on their way to the lost worker, run elsewhere in their order."""
    order: Notes[int] = Notes()

    async def note(number: int) -> None:
        order.append(number)

    async def block_and_break(stage: Stage) -> None:
        stage.started.set()
        stage.released.block()
        await break_loop()

    stage = Stage()
    # Two fit beside the one that breaks the loop; the other eight wait.
    with open_pool(1, limit=3, loop_factory=FragileLoop) as pool:
        future = pool.submit(block_and_break, stage)
        until(stage.started)
        others = [pool.submit(note, number) for number in range(10)]
        stage.released.set()

        assert isinstance(future.exception(PATIENCE), WorkerLost)
        for other in others:
            assert other.exception(PATIENCE) is None
    assert order == list(range(10))
    assert expected_logs


@NESTED
@pytest.mark.parametrize("loops", [1, 2])
def test_a_task_that_runs_alone_may_call_its_own_pool(
    open_pool: OpenPool, expected_logs: Logs, loops: int
) -> None:
    """Its worker takes nothing else meanwhile but what cannot wait: nested calls, pinned to it or not."""
    runs: list[int] = []

    async def parent() -> list[tuple[int, int]]:
        runs.append(current_worker().generation)
        if len(runs) <= 2:
            await break_loop()
        return [await pool.run(where), await pool.options(worker=current_worker().index).run(where)]

    with open_pool(loops, limit=1, loop_factory=FragileLoop) as pool:
        result = pool.options(resubmits=2).submit(parent).result(PATIENCE)
        is_well = pool.submit(where).result(PATIENCE)

    assert len(runs) == 3
    assert len(result) == 2
    assert is_well[0] in range(loops)
    assert expected_logs


@NESTED
def test_a_nested_call_that_runs_alone_does_not_wait_for_its_parent(
    open_pool: OpenPool, expected_logs: Logs
) -> None:
    """Both were lost twice; the parent runs alone when its child has to."""
    runs: list[str] = []

    async def child() -> str:
        runs.append("child")
        if runs.count("child") <= 2:
            await break_loop()
        return "child"

    async def parent() -> str:
        runs.append("parent")
        if runs.count("parent") <= 2:
            await break_loop()
        return await pool.options(resubmits=2, worker=1).run(child)

    with open_pool(2, loop_factory=FragileLoop) as pool:
        assert pool.options(resubmits=2, worker=0).submit(parent).result(PATIENCE) == "child"

    assert (runs.count("parent"), runs.count("child")) == (3, 3)
    assert expected_logs


def test_losses_do_not_hold_up_a_drain(open_pool: OpenPool, expected_logs: Logs) -> None:
    """A pool whose last task ends with its worker, while it drains, is closed."""
    stage = Stage()

    async def wait_and_break() -> None:
        await stage.wait()
        await break_loop()

    pool = open_pool(1, limit=1, loop_factory=FragileLoop)
    pool.open()
    lost = pool.submit(wait_and_break)
    waiting = [pool.submit(where) for _ in range(3)]
    until(stage.started)
    closer = threading.Thread(target=pool.close)
    closer.start()

    stage.released.set()

    closer.join(PATIENCE)
    assert not closer.is_alive()
    assert isinstance(lost.exception(0), WorkerLost)
    # Accepted before the closing, so the replacement still runs them.
    assert [future.result(0) for future in waiting] == [(0, 1)] * 3
    assert expected_logs


def test_a_loss_without_drain_settles_everything(open_pool: OpenPool, expected_logs: Logs) -> None:
    """Losing a worker while the pool is closed at once leaves no future pending."""
    stage = Stage()

    async def break_when_cancelled() -> None:
        try:
            await stage.stay()
        finally:
            await break_loop()

    pool = open_pool(2, loop_factory=FragileLoop)
    pool.open()
    futures = [pool.submit(break_when_cancelled), pool.submit(stage.stay)]
    until(stage.started)

    pool.close(drain=0)

    assert all(future.done() for future in futures)
    assert all(future.cancelled() or future.exception(0) for future in futures)
    assert expected_logs


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pools give up after two replacements in a row that finished nothing: each takes a process its time."""
    monkeypatch.setattr("polyloop._patience.MAX_FRUITLESS", 2)


@pytest.mark.usefixtures("impatient")
def test_a_pool_whose_workers_keep_dying_gives_up(open_pool: OpenPool, expected_logs: Logs) -> None:
    """After so many replacements in a row that finished nothing, calls raise PoolBroken."""
    turns = Tally()

    def make() -> FragileLoop:
        loop = FragileLoop()
        if turns.add() > 1:
            loop.call_soon(loop.break_down)
        return loop

    with open_pool(1, limit=1, loop_factory=make) as pool:
        breaking = pool.submit(break_loop)
        waiting = pool.submit(nothing)

        assert isinstance(breaking.exception(PATIENCE), WorkerLost)
        assert isinstance(waiting.exception(PATIENCE), PoolBroken)
        with pytest.raises(PoolBroken):
            _ = pool.submit(nothing)
    assert expected_logs


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("what", ["loop", "lifespan"])
def test_a_pool_that_cannot_replace_a_worker_gives_up(
    open_pool: OpenPool, expected_logs: Logs, what: str
) -> None:
    """Replacements that do not even come up count as lost; after some, calls raise PoolBroken."""
    turns = Tally()

    def make() -> FragileLoop:
        if what == "loop" and turns.add() > 1:
            raise OSError("no more loops")
        return FragileLoop()

    class Lifespan:  # not a generator, which a loop that breaks could not end
        async def __aenter__(self) -> None:
            if what == "lifespan" and turns.add() > 1:
                raise OSError("no more lifespans")

        async def __aexit__(self, *_: object) -> None:
            pass

    with open_pool(1, limit=1, loop_factory=make, lifespan=Lifespan) as pool:
        pool.submit(break_loop).exception(PATIENCE)
        with pytest.raises(PoolBroken):
            pool.submit(nothing).result(PATIENCE)
    assert expected_logs


@pytest.mark.usefixtures("impatient")
def test_progress_forgives(open_pool: OpenPool, expected_logs: Logs) -> None:
    """Workers that finish calls between their losses are replaced for ever."""
    with open_pool(1, loop_factory=FragileLoop) as pool:
        for generation in range(4):
            assert pool.submit(where).result(PATIENCE) == (0, generation)
            pool.submit(break_loop).exception(PATIENCE)
    assert expected_logs


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_a_callback_that_exits_does_not_lose_the_worker(
    open_pool: OpenPool, logged: Callable[[], str], kind: type[BaseException]
) -> None:
    """SystemExit out of a bare callback is logged; the loop and its other tasks go on."""

    def leave() -> None:
        raise kind

    async def schedule() -> None:
        asyncio.get_running_loop().call_soon(leave)

    stage = Stage()
    with open_pool(1) as pool:
        bystander = pool.submit(stage.wait)
        until(stage.started)
        pool.call(schedule)

        assert pool.call(where) == (0, 0)

        stage.released.set()
        assert bystander.result(PATIENCE) == "released"
    assert "goes on" in logged()


def test_stopping_the_loop_does_not_lose_the_worker(steady_pool: LoopPool) -> None:
    """A bare loop.stop() in a task changes nothing: the loop belongs to the pool."""

    async def stop() -> str:
        asyncio.get_running_loop().stop()
        await asyncio.sleep(0)
        return "still here"

    assert steady_pool.options(worker=0).submit(stop).result(PATIENCE) == "still here"
    assert steady_pool.options(worker=0).call(where) == (0, 0)


def test_cancelling_every_task_does_not_lose_the_worker(steady_pool: LoopPool) -> None:
    """A task that cancels all tasks of its loop does not end the worker itself."""

    async def cancel_all() -> None:
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)

    steady_pool.options(worker=0).call(cancel_all)

    assert steady_pool.options(worker=0).call(where) == (0, 0)
