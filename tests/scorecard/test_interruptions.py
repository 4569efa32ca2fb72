"""The scorecard's items about signals and finalisers."""

from __future__ import annotations

import os
import random

import pytest

from tests._processes import MAY_MISS_SIGNALS, Program, run_python
from tests._scorecard import report

# Two of three in submit() and in what waits, in a loop: a Ctrl-C at a random instant hits any of it.
PLACES = {
    "result()": """
with polyloop.LoopPool(2, grace=0.3) as pool:
    print("ready", flush=True)
    while True:
        pool.submit(nap).result()
""",
    "call()": """
with polyloop.LoopPool(2, grace=0.3) as pool:
    print("ready", flush=True)
    while True:
        pool.call(nap)
""",
    "submit()": """
with polyloop.LoopPool(2, grace=0.3, limit=100) as pool:
    print("ready", flush=True)
    while True:
        futures = [pool.submit(one) for _ in range(500)]
        futures[-1].result()
""",
    "map()": """
with polyloop.LoopPool(2, grace=0.3) as pool:
    print("ready", flush=True)
    while True:
        for value in pool.map(of, range(1000)):
            pass
""",
    "async with": """
async def main():
    async with polyloop.LoopPool(2, grace=0.3) as pool:
        print("ready", flush=True)
        while True:
            await asyncio.gather(*[pool.run(one) for _ in range(20)], pool.submit(nap))
asyncio.run(main())
""",
    "open and close": """
print("ready", flush=True)
while True:
    with polyloop.LoopPool(2, grace=0.3) as pool:
        pool.call(one)
""",
}

# Python swallows a Ctrl-C that lands in a finaliser or in the callback of a weak reference, its own or a
# user's: it prints it and goes on. The user presses again, and so does this.
PROGRAM = """
import asyncio, os, signal, sys, threading
import polyloop

def press_again(swallowed):
    sys.__unraisablehook__(swallowed)
    if swallowed.exc_type is KeyboardInterrupt:
        threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT)).start()

sys.unraisablehook = press_again

async def one():
    return 1

async def of(item):
    return item

async def nap():
    await asyncio.sleep(0.001)
"""

ROUNDS = 200 if os.environ.get("POLYLOOP_NIGHTLY") else 36


@pytest.mark.skipif(
    MAY_MISS_SIGNALS, reason="this CPython misses a Ctrl-C now and then: see tests/_processes.py"
)
@pytest.mark.timeout(600 if os.environ.get("POLYLOOP_NIGHTLY") else 60)
def test_ctrl_c_at_random_instants() -> None:
    """Ctrl-C ends the program soon and with its status, wherever it hits; a second one cannot hang it."""
    chance = random.Random(29)
    slowest = 0.0
    twice = 0
    for round_ in range(ROUNDS):
        place = list(PLACES)[round_ % len(PLACES)]
        with Program(PROGRAM + PLACES[place]) as program:
            assert program.wait_for_line() == "ready"
            program.pause(chance.uniform(0, 0.05))
            program.interrupt()
            if round_ // len(PLACES) % 2:
                twice += 1
                program.pause(chance.uniform(0, 0.005))
                program.interrupt()
            ended = program.end(10)
        assert ended.status in {-2, 130}, (place, ended)
        assert "KeyboardInterrupt" in ended.errors
        slowest = max(slowest, ended.seconds)
    report(29, f"{ROUNDS} random instants, {twice} of them twice: 0 hangs, slowest end {slowest:.2f} s")
    assert slowest < 0.3 + 1.5 + 0.5


def test_ctrl_c_once_and_twice_with_tasks_that_will_not_end() -> None:
    """Once ends within the grace, although tasks ignore it; twice within half a second."""
    code = """
        import asyncio, logging, threading, polyloop
        logging.disable()
        started = threading.Event()

        async def swallow():
            started.set()
            while True:
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    print("cancelled", flush=True)

        with polyloop.LoopPool(2, grace=GRACE) as pool:
            future = pool.submit(swallow)
            started.wait()
            print("ready", flush=True)
            future.result()
    """
    seconds = []
    for presses, grace in ((1, 0.5), (2, 30)):
        with Program(code.replace("GRACE", str(grace))) as program:
            assert program.wait_for_line() == "ready"
            program.interrupt()
            assert program.wait_for_line() == "cancelled"
            if presses == 2:
                program.interrupt()
            ended = program.end(10)
        assert ended.status in {-2, 130}, ended
        seconds.append(ended.seconds)
    report(29, f"once: {seconds[0]:.2f} s with a grace of 0.5 s; twice: {seconds[1]:.2f} s with one of 30 s")
    assert seconds[0] < 0.5 + 0.5
    assert seconds[1] < 0.5 + 0.4


@pytest.mark.parametrize(
    ("source", "submits"),
    # Signals take 10 s for as many.
    [("signal handler", 100_000 if os.environ.get("POLYLOOP_NIGHTLY") else 20_000), ("__del__", 100_000)],
    ids=["signal handler", "__del__"],
)
def test_submit_in_the_middle_of_submit(source: str, submits: int) -> None:
    """A submit from a signal handler or from __del__ in the middle of a submit neither hangs nor is lost."""
    ended = run_python(
        """
        import signal, sys, threading
        import polyloop

        done = [0]

        async def count():
            done[0] += 1

        source, submits = sys.argv[1], int(sys.argv[2])
        inner, outer = [], 0
        with polyloop.LoopPool(1, limit=50) as pool:
            def submit_too():
                inner.append(pool.submit(count))

            class Dropped:
                def __del__(self):
                    submit_too()

            if source == "signal handler":
                def alarm(*_):
                    if len(inner) < submits:
                        submit_too()
                        # Not a timer that repeats: handlers would pile up on each other without end.
                        signal.setitimer(signal.ITIMER_REAL, 0.00002)

                signal.signal(signal.SIGALRM, alarm)
                alarm()
                while len(inner) < submits:
                    pool.submit(count)
                    outer += 1
            else:
                import gc
                gc.set_threshold(50)
                for _ in range(submits):
                    cycle = Dropped(); cycle.me = cycle; del cycle
                    pool.submit(count)
                    outer += 1
                gc.set_threshold(700)
                while len(inner) < submits:  # the other thread may be collecting just now
                    gc.collect()
        assert all(future.done() for future in inner)
        assert done[0] == outer + len(inner), (done, outer, len(inner))
        print(len(inner), outer)
        """,
        source,
        submits,
        limit=50,
    )

    assert (ended.status, ended.errors) == (0, "")
    inner, outer = map(int, ended.output.split())
    report(30, f"{source}: {inner:,} submits in the middle of {outer:,} others, 0 deadlocks, 0 lost")
    assert inner >= submits
