"""Forking a program with a pool of processes: item 25 of the scorecard."""

from __future__ import annotations

import pytest

from tests._clock import SOURCE
from tests._processes import Program, run_python
from tests.process._watch import ends_within

PROGRAM = """
import asyncio, multiprocessing, os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # that one should not fork where threads are
import polyloop

async def one():
    return 1

async def pid():
    return os.getpid()

async def stay():
    print("staying", flush=True)
    await asyncio.Event().wait()

def attempt(action):
    began = own_time()
    try:
        value = action()
    except BaseException as error:
        value = type(error).__name__
    late = " late" if own_time() - began > 0.1 else ""
    print(f"{value}{late}", flush=True)

with polyloop.LoopPool(2, backend="process") as pool:
    pids = pool.broadcast(pid).result()
    pending = pool.submit(stay)
    child = os.fork()
    if child == 0:
        attempt(lambda: ACTION)
        LEAVE
    _, status = os.waitpid(child, 0)
    print("child", os.waitstatus_to_exitcode(status))
    print("parent", pool.broadcast(pid).result() == pids, pending.done())
    pending.cancel()
"""

ACTIONS = {
    "pool.submit(one)": "ForkedPool",
    "pool.call(one)": "ForkedPool",
    "list(pool.map(one, [()]))": "ForkedPool",
    "pool.broadcast(one)": "ForkedPool",
    "pending.result()": "ForkedPool",
    "pending.cancel()": None,
    "pool.close()": None,
    "pool.statistics().ended": None,
}


def lines_of(action: str, leave: str) -> list[str]:
    """What the program prints whose child does `action` and ends by `leave`."""
    ended = run_python(SOURCE + PROGRAM.replace("ACTION", action).replace("LEAVE", leave))
    assert (ended.status, ended.errors) == (0, "")
    return [line for line in ended.output.splitlines() if line != "staying"]


@pytest.mark.parametrize("action", ACTIONS)
def test_a_child_is_refused_at_once(action: str) -> None:
    """It is told so, and its parent's pool and workers notice nothing."""
    answer, *rest = lines_of(action, "os._exit(7)")

    assert rest == ["child 7", "parent True False"]
    if ACTIONS[action] is not None:
        assert answer == ACTIONS[action]


def test_a_child_may_exit_by_itself() -> None:
    """A child that ends as a program does, ends none of its parent's workers."""
    assert lines_of("1", "sys.exit(7)")[1:] == ["child 7", "parent True False"]


def test_a_child_may_open_a_pool_of_its_own() -> None:
    """In the child a new pool of processes works as anywhere else."""
    own = "[p := polyloop.LoopPool(1, backend='process'), p.open(), p.call(one), p.close()][2]"

    answer, *rest = lines_of(own, "sys.exit(7)")

    assert answer.split()[0] == "1"
    assert rest == ["child 7", "parent True False"]


def test_a_child_that_lives_on_hides_no_end() -> None:
    """Workers see that their parent is gone, though a forked child of it has copies of its descriptors."""
    code = """
        import asyncio, os, signal, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        import polyloop

        async def pid():
            return os.getpid()

        async def stay():
            await asyncio.Event().wait()

        pool = polyloop.LoopPool(2, backend="process")
        pool.open()
        pids = pool.broadcast(pid).result()
        pool.submit(stay)
        if os.fork() == 0:
            signal.pause()
        print(*pids, flush=True)
        signal.pause()
    """
    with Program(code) as program:
        pids = list(map(int, program.wait_for_line().split()))
        program.kill()

        assert all(ends_within(pid, 1.0) for pid in pids)


def test_a_forked_child_of_a_worker_hides_no_loss() -> None:
    """The pool sees that a worker is gone, though a fork of that lives on with its end of the line."""
    ended = run_python("""
        import asyncio, logging, os, signal, warnings
        logging.disable()
        warnings.simplefilter("ignore", DeprecationWarning)
        import polyloop

        async def fork_and_die():
            child = os.fork()
            if child == 0:
                os.closerange(0, 3)
                signal.pause()
            os._exit(3)

        with polyloop.LoopPool(1, backend="process") as pool:
            error = pool.submit(fork_and_die).exception(20)
            print(type(error).__name__)
    """)

    assert ended.output == "WorkerLost\n"
    assert (ended.status, ended.errors) == (0, "")
