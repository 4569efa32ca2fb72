"""The end of the interpreter, and of a pool that nobody closed."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from tests._processes import Program, run_python
from tests._stage import PATIENCE, Stage, nothing, until

if TYPE_CHECKING:
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


PROGRAM = """
import asyncio, atexit, sys, threading
import polyloop

count = 0
started = threading.Event()

async def work():
    global count
    try:
        started.set()
        await asyncio.Event().wait()
    finally:
        {clean_up}
        count += 1

pool = polyloop.LoopPool(2, name="left-open")
pool.open()
atexit.register(lambda: print(count))
futures = [pool.submit(work) for _ in range(10)]
started.wait()
{then}
"""


def run(then: str = "", clean_up: str = "pass") -> tuple[int, str, str]:
    """Run the program, with something to do at its end."""
    ended = run_python(PROGRAM.format(then=then, clean_up=clean_up))
    return ended.status, ended.output.strip(), ended.errors


# CPython 3.12.0 and 3.12.1 start no thread once the interpreter is about to exit (gh-113964).
STARTS_NO_THREADS = pytest.mark.skipif(
    (3, 12) <= sys.version_info < (3, 12, 2),
    reason="CPython 3.12.0 and 3.12.1 start no thread at exit: gh-113964",
)


@pytest.mark.parametrize(
    "clean_up",
    ["pass", "await asyncio.sleep(0)", pytest.param("await asyncio.to_thread(int)", marks=STARTS_NO_THREADS)],
)
def test_at_exit_every_finally_runs(clean_up: str) -> None:
    """Tasks of a pool that is still open at exit are cancelled, and can use executors to clean up."""
    assert run(clean_up=clean_up) == (0, "10", "")


def test_a_thread_that_waits_for_a_result_does_not_hold_the_exit_up() -> None:
    """A thread that is no daemon and waits for a task gets an answer when the interpreter exits."""
    waiter = (
        "def wait():\n    futures[0].wait()\n    print('answered')\nthreading.Thread(target=wait).start()"
    )
    status, output, errors = run(waiter)

    assert (status, errors) == (0, "")
    assert output.splitlines() == ["answered", "10"]


def test_a_close_that_would_drain_for_ever_does_not_hold_the_exit_up() -> None:
    """A daemon thread in close() without limit does not keep the interpreter: it is hastened."""
    assert run("threading.Thread(target=pool.close, daemon=True).start()") == (0, "10", "")


def test_an_interrupted_close_is_finished_at_exit() -> None:
    """A close() that was torn down half-way is done again when the interpreter exits."""
    then = (
        "steps = pool._supervisor.closing(None, 1.0)\n"
        "next(steps)\n"  # as after a Ctrl-C between two lines of what drives it
        "steps.close()"
    )
    assert run(then) == (0, "10", "")


def test_several_pools_share_the_time_at_exit() -> None:
    """Pools with tasks that will not end hold the exit up together no longer than one."""
    code = """
        import logging, threading, time, polyloop
        logging.disable()
        started = threading.Semaphore(0)

        async def block():
            started.release()
            time.sleep(60)

        pools = [polyloop.LoopPool(1) for _ in range(4)]
        for pool in pools:
            pool.open()
            pool.submit(block)
        for _ in pools:
            started.acquire()
        print("ready", flush=True)
    """
    with Program(code) as program:
        assert program.wait_for_line() == "ready"
        ended = program.end()

    assert (ended.status, ended.errors) == (0, "")
    assert ended.seconds < 1.5 + 0.5


def test_a_blocking_call_beside_a_loop_does_not_hold_the_exit_up() -> None:
    """A thread of asyncio.to_thread() that never returns does not keep the interpreter."""
    ended = run_python(
        """
        import asyncio, threading, polyloop
        started = threading.Event()

        def block():
            started.set()
            threading.Event().wait()

        async def work():
            await asyncio.to_thread(block)

        pool = polyloop.LoopPool(1)
        pool.open()
        pool.submit(work)
        started.wait()
        """,
        limit=10,
    )

    assert (ended.status, ended.output, ended.errors) == (0, "", "")


def test_a_pool_may_be_used_in_an_exit_handler() -> None:
    """An atexit handler that opens a pool gets one, or an error that says why not, and never hangs."""
    ended = run_python("""
        import asyncio, atexit, polyloop

        async def one():
            return 1

        def late():
            try:
                with polyloop.LoopPool(1) as pool:
                    print(pool.call(one))
            except polyloop.StartupError:
                print("StartupError")

        atexit.register(late)
    """)

    assert (ended.status, ended.errors) == (0, "")
    assert ended.output.strip() in {"1", "StartupError"}
