"""The end of the interpreter, and of a pool that nobody closed."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from tests._exits import Leaving
from tests._processes import Program, run_python
from tests._stage import PATIENCE, Stage, nothing, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests._open_pool import OpenPool


def test_a_dropped_pool_closes_itself(open_pool: OpenPool) -> None:
    """A pool that nobody refers to any more says so with a ResourceWarning, and gives everything back."""
    stage = Stage()
    pool = open_pool(2)
    pool.open()
    future = pool.submit(stage.stay)
    until(stage.started)
    # Taken from the pool while it is there: what is left of it must end by itself.
    workers = [thread for thread in threading.enumerate() if thread.name.startswith("polyloop-")]
    reference = weakref.ref(pool)

    with pytest.warns(ResourceWarning, match="without being closed"):  # noqa: PT031 - dropping takes two
        del pool
        gc.collect()

    assert reference() is None
    for worker in workers:
        worker.join(PATIENCE)
    assert not any(worker.is_alive() for worker in workers)
    assert future.wait(PATIENCE)
    assert future.cancelled()
    assert stage.cleaned.is_set()


@pytest.mark.backends("thread", why="the pool cannot be referred to from another process or interpreter")
def test_a_pool_dropped_on_its_own_loop_closes_itself(open_pool: OpenPool) -> None:
    """The last reference may go on one of the pool's own loops; nothing waits for itself then."""
    holder: list[Any] = []

    async def drop() -> None:
        holder.clear()
        gc.collect()

    def use() -> Any:
        pool = open_pool(1)
        pool.open()
        pool.call(nothing)
        holder.append(pool)
        return pool.submit(drop)

    with pytest.warns(ResourceWarning, match="without being closed"):  # noqa: PT031 - it comes meanwhile
        future = use()
        assert future.wait(PATIENCE)
        for thread in threading.enumerate():
            if thread.name.startswith("polyloop-"):
                thread.join(PATIENCE)


# CPython 3.12.0 and 3.12.1 start no thread once the interpreter is about to exit (gh-113964).
STARTS_NO_THREADS = pytest.mark.skipif(
    (3, 12) <= sys.version_info < (3, 12, 2),
    reason="CPython 3.12.0 and 3.12.1 start no thread at exit: gh-113964",
)


def run(folder: Path, backend: str, then: str = "", clean_up: str = "pass") -> tuple[int, int, str, str]:
    """Run a program of ten tasks: its status, how many have cleaned up, what it printed, and to stderr."""
    leaving = Leaving(folder, backend, then, clean_up=clean_up)
    with leaving.program as program:
        assert program.wait_for_line() == "ready"
        ended = program.end()
    return ended.status, leaving.cleaned, ended.output.strip(), ended.errors


@pytest.mark.parametrize(
    "clean_up",
    ["await asyncio.sleep(0)", pytest.param("await asyncio.to_thread(int)", marks=STARTS_NO_THREADS)],
)
def test_at_exit_every_finally_runs(backend: str, tmp_path: Path, clean_up: str) -> None:
    """Tasks of a pool that is still open at exit are cancelled, and can use executors to clean up."""
    assert run(tmp_path, backend, clean_up=clean_up) == (0, 10, "", "")


def test_a_thread_that_waits_for_a_result_does_not_hold_the_exit_up(backend: str, tmp_path: Path) -> None:
    """A thread that is no daemon and waits for a task gets an answer when the interpreter exits."""
    waiter = """
        def wait():
            futures[0].wait()
            print("answered")

        threading.Thread(target=wait).start()
    """
    assert run(tmp_path, backend, waiter) == (0, 10, "answered", "")


def test_a_close_that_would_drain_for_ever_does_not_hold_the_exit_up(backend: str, tmp_path: Path) -> None:
    """A daemon thread in close() without limit does not keep the interpreter: it is hastened."""
    then = "threading.Thread(target=pool.close, daemon=True).start()"
    assert run(tmp_path, backend, then) == (0, 10, "", "")


def test_an_interrupted_close_is_finished_at_exit(backend: str, tmp_path: Path) -> None:
    """A close() that was torn down half-way is done again when the interpreter exits."""
    then = """
        steps = pool._supervisor.closing(None, 1.0)
        next(steps)  # as after a Ctrl-C between two lines of what drives it
        steps.close()
    """
    assert run(tmp_path, backend, then) == (0, 10, "", "")


@pytest.mark.backends("thread", "process", "interpreter", why="what workers print goes to Ray's own logs")
def test_several_pools_share_the_time_at_exit(backend: str) -> None:
    """Pools with tasks that will not end hold the exit up together no longer than one."""
    code = """
        import logging, sys, time, polyloop
        logging.disable()

        async def block():
            print("started", flush=True)
            time.sleep(60)

        pools = [polyloop.LoopPool(1, backend="BACKEND") for _ in range(POOLS)]
        for pool in pools:
            pool.open()
            pool.submit(block)
        sys.stdin.read()  # until the test waits for the end
    """
    pools = 4 if backend == "thread" else 2
    with Program(code.replace("BACKEND", backend).replace("POOLS", str(pools))) as program:
        for _ in range(pools):
            assert program.wait_for_line() == "started"
        ended = program.end()

    assert ended.status == 0
    # CPython itself says that of an interpreter in which something is stuck.
    assert backend == "interpreter" or not ended.errors
    assert all("remaining subinterpreters" in line for line in ended.errors.splitlines())
    # What ends processes and interpreters beyond that is for the scorecard: it depends on the machine.
    assert ended.seconds < 1.5 + (0.5 if backend == "thread" else 10.0)


@pytest.mark.backends("thread", "process", why="in an interpreter it does: see tests/interpreter")
def test_a_blocking_call_beside_a_loop_does_not_hold_the_exit_up(backend: str) -> None:
    """A thread of asyncio.to_thread() that never returns does not keep the interpreter."""
    code = """
        import asyncio, sys, threading, polyloop

        def block():
            print("started", flush=True)
            threading.Event().wait()

        async def work():
            await asyncio.to_thread(block)

        pool = polyloop.LoopPool(1, backend="BACKEND")
        pool.open()
        pool.submit(work)
        sys.stdin.read()  # until the test waits for the end
    """
    with Program(code.replace("BACKEND", backend)) as program:
        assert program.wait_for_line() == "started"
        ended = program.end(10)

    assert (ended.status, ended.output, ended.errors) == (0, "", "")


def test_a_pool_may_be_used_in_an_exit_handler(backend: str) -> None:
    """An atexit handler that opens a pool gets one, or an error that says why not, and never hangs."""
    code = """
        import asyncio, atexit, polyloop

        async def one():
            return 1

        def late():
            try:
                with polyloop.LoopPool(1, backend="BACKEND") as pool:
                    print(pool.call(one))
            except polyloop.StartupError:
                print("StartupError")

        atexit.register(late)
    """
    ended = run_python(code.replace("BACKEND", backend))

    assert (ended.status, ended.errors) == (0, "")
    assert ended.output.strip() in {"1", "StartupError"}
