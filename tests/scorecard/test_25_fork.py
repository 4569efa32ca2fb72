"""A program with a pool is forked: what can the child do to itself, and what to its parent?"""

from __future__ import annotations

import os
import sys

import pytest

from tests._clock import SOURCE
from tests._open_pool import BACKENDS
from tests._processes import run_python
from tests._scorecard import IS_FULL, report

ROUNDS = 21 if IS_FULL else 6

PROGRAM = """
import asyncio, multiprocessing, os, subprocess, sys, time, warnings
from pathlib import Path
warnings.simplefilter("ignore", DeprecationWarning)  # that one should not fork where threads are
import polyloop

context = multiprocessing.get_context("fork")

async def one():
    return 1

async def stay():
    await asyncio.Event().wait()

async def pid():
    return os.getpid()

def attempt(write):
    began = own_time()
    refused = 0
    for action in (
        lambda: pool.submit(one), lambda: pool.call(one), lambda: list(pool.map(one, [()])),
        lambda: pool.broadcast(one), pending.result, pool.close,
    ):
        try:
            action()
        except polyloop.ForkedPool:
            refused += 1
    os.write(write, f"{refused} {own_time() - began}".encode())

def fork(write):
    child = os.fork()
    if child == 0:
        attempt(write)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def mp_fork(write):
    process = context.Process(target=attempt, args=(write,))
    process.start()
    process.join()
    return process.exitcode

def program(write):
    os.write(write, b"6 0")
    return subprocess.run([sys.executable, "-S", "-c", ""]).returncode

def turns():
    # How often each thread of this process and of the workers, but for this one, has come to rest.
    found = {}
    for process in {os.getpid(), *pids}:
        for task in Path(f"/proc/{process}/task").iterdir():
            if task.name != str(os.getpid()):
                status = (task / "status").read_text()
                state = status.partition("State:")[2].split()[0]
                found[task.name] = state, status.partition("voluntary_ctxt_switches:")[2].split()[0]
    return found

def at_rest():
    now = turns()
    while True:
        time.sleep(0.05)
        before, now = now, turns()
        # One that is only waiting for a processor has not come to rest.
        if before == now and {state for state, _ in now.values()} == {"S"}:
            return now

slowest, statuses = 0.0, set()
# What a child does to its parent it does each time. On a busy machine it happens that a thread is only about
# to rest, and looks as if it did: it waits for a processor between saying so and doing it.
woken = {fork: True, mp_fork: True, program: True}
with polyloop.LoopPool(2, backend=sys.argv[1]) as pool:
    pids = pool.broadcast(pid).result()
    pending = pool.submit(stay)
    for round_ in range(int(sys.argv[2])):
        read, write = os.pipe()
        before = at_rest()
        kind = [fork, mp_fork, program][round_ % 3]
        statuses.add(kind(write))
        woken[kind] = at_rest() != before and woken[kind]
        refused, seconds = os.read(read, 100).split()
        assert int(refused) == 6, refused
        slowest = max(slowest, float(seconds))
        assert pool.call(one) == 1 and not pending.done()
        assert pool.broadcast(pid).result() == pids
        os.close(read); os.close(write)
    pending.cancel()
assert statuses == {0}, statuses
print(slowest, sum(woken.values()))
"""

WARNED = """
import multiprocessing, os, warnings
from polyloop import LoopPool

async def one():
    return 1

def fork():
    if child := os.fork():
        return os.waitpid(child, 0)
    os._exit(0)

def mp_fork():
    process = multiprocessing.get_context("fork").Process(target=int)
    process.start()
    process.join()

warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads
warned = 0
with LoopPool(2, backend="interpreter") as pool:
    for round_ in range(ROUNDS):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", RuntimeWarning)
            (fork, mp_fork)[round_ % 2]()
        warned += any("about to be forked" in str(warning.message) for warning in caught)
        assert pool.broadcast(one).result() == [1, 1]
print(warned)
"""

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how often a thread has woken up")
@pytest.mark.backends("thread", "process", why="a fork while there are interpreters is warned about")
def test_a_child_is_refused(backend: str) -> None:
    """Every use in a child raises ForkedPool at once, and the parent and its workers do not even wake up."""
    ended = run_python(SOURCE + PROGRAM, backend, ROUNDS)

    assert (ended.status, ended.errors) == (0, "")
    slowest, woken = map(float, ended.output.split())
    report(
        25,
        f"{ROUNDS} children, by fork, multiprocessing and subprocess: ForkedPool within "
        f"{slowest * 1000:.1f} ms in the forked ones, {woken:.0f} wake-ups in the parent and its workers, "
        "which go on unharmed",
        backend=backend,
    )
    assert slowest <= 0.1
    assert woken == 0


@pytest.mark.skipif("interpreter" not in BACKENDS, reason="concurrent.interpreters came with Python 3.14")
def test_a_fork_is_warned_of() -> None:
    """While there are interpreters CPython crashes in the child; that is told, and the parent goes on."""
    ended = run_python(WARNED.replace("ROUNDS", str(ROUNDS)))

    assert ended.status == 0, ended.errors
    warned = int(ended.output)
    report(25, f"{warned} of {ROUNDS} forks warned of, parent unharmed", backend="interpreter")
    assert warned == ROUNDS
