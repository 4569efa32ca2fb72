"""Forking a program with a pool of processes: item 25 of the scorecard."""

from __future__ import annotations

from tests._clock import SOURCE
from tests._processes import Program, run_python
from tests.process._watch import ends_within

PROGRAM = """
import asyncio, concurrent.futures, multiprocessing, os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # that one should not fork where threads are
import polyloop

async def one():
    return 1

async def pid():
    return os.getpid()

async def stay():
    print("staying", flush=True)
    await asyncio.Event().wait()

async def await_pending():
    return await pending

async def wait_pending():
    return await asyncio.wait([pending])

def attempt(name, action):
    began = own_time()
    try:
        value = action()
    except BaseException as error:
        value = type(error).__name__
    late = " late" if own_time() - began > 0.1 else ""
    sys.stdout.write(f"{name}: {value}{late}\\n")  # in one piece, whoever else prints

with polyloop.LoopPool(2, backend="process") as pool:
    pids = pool.broadcast(pid).result()
    pending = pool.submit(stay)
    child = os.fork()
    if child == 0:
        ACTIONS
        sys.stdout.flush()
        LEAVE
    _, status = os.waitpid(child, 0)
    print("child", os.waitstatus_to_exitcode(status))
    print("parent", pool.broadcast(pid).result() == pids, pending.done())
    pending.cancel()
"""

# What a child may try, and what it is told; None is whatever it likes.
ACTIONS = {
    "pool.submit(one)": "ForkedPool",
    "pool.call(one)": "ForkedPool",
    "list(pool.map(one, [()]))": "ForkedPool",
    "pool.broadcast(one)": "ForkedPool",
    "pending.result()": "ForkedPool",
    "asyncio.run(await_pending())": "ForkedPool",
    "asyncio.run(wait_pending())": "ForkedPool",
    "concurrent.futures.wait([pending])": "ForkedPool",
    "asyncio.run(pool.aclose())": "ForkedPool",
    "pool.open()": "PoolClosed",
    "pending.cancel()": None,
    "pool.close()": "ForkedPool",
    "pool.statistics().ended": None,
}


def run(leave: str, **actions: str) -> dict[str, str]:
    """What the program's child was told, by the names of its actions; the parent notices nothing."""
    lines = "; ".join(f"attempt({name!r}, lambda: {action})" for name, action in actions.items())
    ended = run_python(SOURCE + PROGRAM.replace("ACTIONS", lines or "pass").replace("LEAVE", leave))
    assert (ended.status, ended.errors) == (0, "")
    *told, child, parent = [line for line in ended.output.splitlines() if line != "staying"]
    assert (child, parent) == ("child 7", "parent True False")
    return dict(line.split(": ", 1) for line in told)


def test_a_child_is_refused_at_once() -> None:
    """Whatever it does with the pool, it is told so, and its parent's pool and workers notice nothing."""
    told = run("os._exit(7)", **{f"a{n}": action for n, action in enumerate(ACTIONS)})

    for answer, wanted in zip(told.values(), ACTIONS.values(), strict=True):
        assert "late" not in answer
        assert wanted in {answer, None}


def test_a_child_may_exit_by_itself() -> None:
    """A child that ends as a program does, ends none of its parent's workers."""
    assert run("sys.exit(7)") == {}


def test_a_child_may_open_a_pool_of_its_own() -> None:
    """In the child a new pool of processes works as anywhere else."""
    own = "[p := polyloop.LoopPool(1, backend='process'), p.open(), p.call(one), p.close()][2]"

    assert run("sys.exit(7)", own=own)["own"].split()[0] == "1"


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

        assert all(ends_within(pid, 10.0) for pid in pids)


def test_a_forked_child_of_a_worker_hides_no_loss() -> None:
    """The pool sees that a worker is gone, though a fork of that lives on with its end of the line."""
    ended = run_python("""
        import asyncio, logging, os, signal, warnings
        logging.disable()
        import polyloop

        async def fork_and_die():
            warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12 and later, in the worker
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
