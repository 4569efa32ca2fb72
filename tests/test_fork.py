"""A forked child cannot use, hang on or wake its parent's pool.

These are pools of threads, whose loops must not wake. ``tests/process/test_forks.py`` asks the same of pools
of processes, which must not end with the child. Where there are interpreters, CPython crashes in the child,
and forks are warned of.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests._clock import SOURCE
from tests._processes import run_python
from tests._stage import nothing

if TYPE_CHECKING:
    from polyloop import LoopPool

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

PROGRAM = """
import asyncio, concurrent.futures, os, sys, threading, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # that one should not fork where threads are
import polyloop

class CountingLoop(asyncio.SelectorEventLoop):
    turns = 0

    def _run_once(self):
        type(self).turns += 1
        super()._run_once()

async def one():
    return 1

cleaned = []
started = threading.Event()
released = threading.Event()

async def stay():
    try:
        started.set()
        await asyncio.Event().wait()
    finally:
        cleaned.append(os.getpid())

def attempt(action):
    began = own_time()
    try:
        value = action()
    except BaseException as error:
        value = type(error).__name__
    late = " late" if own_time() - began > 0.1 else ""
    print(f"{value}{late}", flush=True)

async def run():
    return await pool.run(one)

async def await_pending():
    return await pending

async def gather_pending():
    return await asyncio.gather(pending)

async def wait_for_pending():
    return await asyncio.wait_for(pending, 5)

async def wait_pending():
    return await asyncio.wait([pending])

with polyloop.LoopPool(1, loop_factory=CountingLoop) as pool:
    finished = pool.submit(one)
    finished.result()
    pending = pool.submit(stay)
    started.wait()
    pool.call(one)
    # The loop sleeps now: its next turn needs a wake-up.
    while CountingLoop.turns != (turns := CountingLoop.turns) or not time.sleep(0.01):
        if CountingLoop.turns == turns:
            break
    child = os.fork()
    if child == 0:
        attempt(lambda: ACTION)
        LEAVE
    _, status = os.waitpid(child, 0)
    print("child", os.waitstatus_to_exitcode(status))
    print("woken", CountingLoop.turns - turns)
    print("parent", pool.call(one), pending.done(), cleaned)
    pending.cancel()
"""


def program(action: str, leave: str) -> str:
    """The program whose child does `action` and ends by `leave`."""
    return SOURCE + PROGRAM.replace("ACTION", action).replace("LEAVE", leave)


ACTIONS = {
    "pool.submit(one)": "ForkedPool",
    "pool.call(one)": "ForkedPool",
    "asyncio.run(run())": "ForkedPool",
    "pool.map(one, [()]).__enter__()": None,
    "list(pool.starmap(one, [()]))": "ForkedPool",
    "pool.broadcast(one)": "ForkedPool",
    "pending.result()": "ForkedPool",
    "pending.result(5)": "ForkedPool",
    "pending.exception()": "ForkedPool",
    "asyncio.run(await_pending())": "ForkedPool",
    "asyncio.run(gather_pending())": "ForkedPool",
    "asyncio.run(wait_for_pending())": "ForkedPool",
    "asyncio.run(wait_pending())": "ForkedPool",
    "concurrent.futures.wait([pending])": "ForkedPool",
    "next(concurrent.futures.as_completed([pending]))": "ForkedPool",
    "pending.add_done_callback(print)": "ForkedPool",
    "pending.cancel()": None,
    "finished.result()": "1",
    "pool.close()": "ForkedPool",
    "asyncio.run(pool.aclose())": "ForkedPool",
    "pool.open()": "PoolClosed",
    "pool.statistics().ended": "2",
}


@pytest.mark.parametrize("action", ACTIONS)
def test_a_child_is_refused_at_once(action: str) -> None:
    """Whatever a child does with the pool, it is told so at once, and the parent notices nothing."""
    ended = run_python(program(action, "os._exit(7)"))

    answer, *rest = ended.output.splitlines()
    assert rest == ["child 7", "woken 0", "parent 1 False []"]
    assert "late" not in answer
    if ACTIONS[action] is not None:
        assert answer == ACTIONS[action]
    assert (ended.status, ended.errors) == (0, "")


def test_a_child_may_exit_by_itself() -> None:
    """A child that ends as a program does, neither hangs nor runs what belongs to its parent's tasks."""
    ended = run_python(program("1", "sys.exit(7)"))

    assert ended.output.splitlines() == ["1", "child 7", "woken 0", "parent 1 False []"]
    assert (ended.status, ended.errors) == (0, "")


def test_a_child_may_drop_the_pool() -> None:
    """A child that lets go of everything starts no thread and warns of nothing."""
    drop = "globals().pop('pool') and None or [__import__('gc').collect(), threading.active_count()][1]"
    ended = run_python("import warnings; warnings.simplefilter('error')\n" + program(drop, "os._exit(7)"))

    assert ended.output.splitlines()[0] == "1"
    assert (ended.status, ended.errors) == (0, "")


def test_a_child_may_open_a_pool_of_its_own() -> None:
    """In the child a new pool works as anywhere else."""
    own = "[p := polyloop.LoopPool(1), p.open(), p.call(one), p.close()][2]"
    ended = run_python(program(own, "sys.exit(7)"))

    # How long the opening takes is not the question.
    assert ended.output.replace(" late", "").splitlines() == ["1", "child 7", "woken 0", "parent 1 False []"]
    assert (ended.status, ended.errors) == (0, "")


def test_multiprocessing_may_fork() -> None:
    """A multiprocessing child made by fork is refused too, and ends normally."""
    ended = run_python("""
        import multiprocessing, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        import polyloop

        async def one():
            return 1

        def child(answers):
            try:
                pool.submit(one)
            except polyloop.ForkedPool:
                answers.put("ForkedPool")

        context = multiprocessing.get_context("fork")
        with polyloop.LoopPool(2) as pool:
            answers = context.SimpleQueue()
            process = context.Process(target=child, args=(answers,))
            process.start()
            print(answers.get())
            process.join()
            print(process.exitcode, pool.call(one))
    """)

    assert ended.output.splitlines() == ["ForkedPool", "0 1"]
    assert (ended.status, ended.errors) == (0, "")


def test_subprocesses_are_no_forks(steady_pool: LoopPool) -> None:
    """Starting other programs does the pool no harm."""
    for _ in range(3):
        subprocess.run([sys.executable, "-S", "-c", ""], check=True)
        assert steady_pool.call(nothing) is None
