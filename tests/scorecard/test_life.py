"""The scorecard's items about the life of a pool: closing, exit, start-up."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from polyloop import LoopPool, PoolClosed, StartupError
from tests._processes import Program
from tests._scorecard import report
from tests._stage import PATIENCE, Stage, nothing, until

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator

    from polyloop import Future
    from tests._open_pool import OpenPool


class Flood:
    """Eight threads that submit until they are refused."""

    def __init__(self, pool: LoopPool) -> None:
        self._pool = pool
        self._going = threading.Semaphore(0)
        self.refused = 0
        self.futures: list[list[Future[None]]] = [[] for _ in range(8)]
        self._threads = [threading.Thread(target=self._submit, args=(futures,)) for futures in self.futures]
        for thread in self._threads:
            thread.start()
        for _ in self._threads:
            assert self._going.acquire(timeout=PATIENCE)

    def _submit(self, futures: list[Future[None]]) -> None:
        try:
            while True:
                futures.append(self._pool.submit(nothing))
                if len(futures) == 3:
                    self._going.release()
                time.sleep(0)  # lets go of the GIL: eight threads that do not would take turns of 5 ms
        except PoolClosed:
            return

    def end(self) -> list[Future[None]]:
        """Wait until all have been refused; returns what had been accepted."""
        for thread in self._threads:
            thread.join(PATIENCE)
            self.refused += not thread.is_alive()
        return list(itertools.chain(*self.futures))


def test_submit_against_close(open_pool: OpenPool) -> None:
    """Of what 8 threads submit while the pool closes, nothing stays pending; what came late is refused."""
    rounds, unresolved, accepted, refused = 200, 0, 0, 0
    for round_ in range(rounds):
        pool = open_pool(2)
        pool.open()
        flood = Flood(pool)

        pool.close(drain=0 if round_ % 2 else None)

        closed = time.monotonic()
        futures = flood.end()
        accepted += len(futures)
        refused += flood.refused
        unresolved += sum(not future.wait(max(0.0, closed + 1 - time.monotonic())) for future in futures)

    report(1, f"{unresolved} of {accepted:,} futures unresolved in {rounds} rounds, {refused:,} refused")
    assert unresolved == 0
    assert refused == 8 * rounds


EXIT = """
import asyncio, signal, sys, threading
import polyloop

count = 0
tally = threading.Lock()
started = threading.Semaphore(0)

async def work():
    global count
    try:
        started.release()
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)
        with tally:
            count += 1

import atexit
atexit.register(lambda: print(count))
pool = polyloop.LoopPool(2)
pool.open()
futures = [pool.submit(work) for _ in range(1000)]
for _ in futures:
    started.acquire()
print("ready", flush=True)
WAY
"""

WAYS = {
    "normal end": ("", 0),
    "exception": ("raise ValueError('as planned')", 1),
    "Ctrl-C": ("futures[0].result()", -2),
    "sys.exit in a thread": (
        "t = threading.Thread(target=sys.exit, args=(3,)); t.start(); t.join()",
        0,
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_exit_with_pending_tasks(way: str) -> None:
    """The interpreter exits soon, with its status, and the clean-up of 1,000 pending tasks has run."""
    code, status = WAYS[way]
    with Program(EXIT.replace("WAY", code)) as program:
        assert program.wait_for_line() == "ready"
        if way == "Ctrl-C":
            program.interrupt()
        ended = program.end()

    assert ended.output, ended
    cleaned = int(ended.output)
    report(
        4,
        f"{way}: exit in {ended.seconds:.2f} s, status {ended.status}, {cleaned} of 1000 finally blocks ran",
    )
    assert ended.status == status
    assert ended.seconds < 2
    assert cleaned >= 990
    if way in {"exception", "Ctrl-C"}:
        last = ended.errors.splitlines()[-1]
        assert last in {"ValueError: as planned", "KeyboardInterrupt"}
        assert ended.errors.count("Traceback") == 1
    else:
        assert not ended.errors


@pytest.mark.parametrize("how", ["swallow", "block", "sleep"])
def test_close_with_tasks_that_will_not_end(  # noqa: PLR0915 - one story, with its calls in it
    open_pool: OpenPool, expected_logs: list[logging.LogRecord], how: str
) -> None:
    """Closing takes no longer than the grace and half a second; every future is settled and named."""
    stage = Stage()
    grace = 0.3

    async def sleep() -> None:
        stage.started.set()
        time.sleep(1)  # Python cannot interrupt it; nobody waits for it either

    call: Callable[..., Any] = sleep if how == "sleep" else getattr(stage, how)
    pool = open_pool(2, grace=grace)
    pool.open()
    futures = [pool.submit(call) for _ in range(8)]
    until(stage.started)

    began = time.monotonic()
    pool.close(drain=0)
    seconds = time.monotonic() - began

    stage.released.set()
    for thread in threading.enumerate():
        if thread.name.startswith("polyloop-"):
            thread.join(PATIENCE)
    settled = sum(future.done() for future in futures)
    report(5, f"{how}: closed {seconds - grace:+.2f} s after a grace of {grace} s, {settled} of 8 settled")
    assert seconds <= grace + 0.5
    assert settled == 8
    errors = [future.exception(0) for future in futures if not future.cancelled()]
    assert errors
    for error in errors:
        assert isinstance(error, PoolClosed)
        assert how in str(error)
    assert expected_logs


class Failure(Exception):
    """What this test makes go wrong."""


def failing_at(turn: int, otherwise: Callable[..., Any], error: Exception) -> Callable[..., Any]:
    """Calls `otherwise`, but for one turn, which raises."""
    turns = iter(range(1 << 30))

    def call(*args: Any, **kwargs: Any) -> Any:
        if next(turns) == turn:
            raise error
        return otherwise(*args, **kwargs)

    return call


def descriptors() -> int:
    """How many are open."""
    return len(list(Path("/proc/self/fd").iterdir()))


@contextlib.contextmanager
def without(what: str, turn: int) -> Iterator[dict[str, Any]]:
    """Have the worker number `turn` miss something; yields the options for its pool."""
    no_files = OSError(errno.EMFILE, "Too many open files")
    with pytest.MonkeyPatch.context() as patch:
        match what:
            case "loop":
                yield {"loop_factory": failing_at(turn, asyncio.new_event_loop, no_files)}
            case "lifespan":
                yield {"lifespan": failing_at(turn, _Quiet, Failure("no"))}
            case "thread":
                start = failing_at(turn, threading.Thread.start, RuntimeError("can't start new thread"))
                patch.setattr(threading.Thread, "start", lambda self: start(self))  # noqa: PLW0108 - binds self
                yield {}
            case _:
                patch.setattr(os, "eventfd", failing_at(turn, os.eventfd, no_files))
                yield {}


def test_start_up_without_resources() -> None:
    """Whatever is missing when the k-th worker starts, the error is clear and everything is given back."""
    whats = ["loop", "lifespan", "thread", *(["eventfd"] if hasattr(os, "eventfd") else [])]
    before, threads = descriptors(), threading.active_count()
    left = 0
    for turn, what in itertools.product(range(4), whats):
        with without(what, turn) as options, pytest.raises(StartupError):
            LoopPool(4, **options).open()
        left += descriptors() - before
    workers = threading.active_count() - threads
    report(32, f"{4 * len(whats)} failures at start-up: {left:+} descriptors, {workers:+} threads")
    assert (left, workers) == (0, 0)


class _Quiet:
    async def __aenter__(self) -> None: ...
    async def __aexit__(self, *_: object) -> None: ...


def test_start_up_under_a_limit_of_descriptors() -> None:
    """At every limit of descriptors a pool opens, or says which limit is too low; it never hangs."""
    with Program("""
        import os, resource, polyloop

        async def one():
            return 1

        def limit(free):
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (used + free, hard))

        used = len(os.listdir("/proc/self/fd")) - 1
        refused = opened = 0
        for free in range(0, 20):
            limit(free)
            try:
                with polyloop.LoopPool(3) as pool:
                    pool.call(one)
                opened += 1
            except polyloop.StartupError as error:
                assert "descriptors" in str(error), error
                refused += 1
            limit(50)
            assert len(os.listdir("/proc/self/fd")) - 1 == used
        print(refused, opened)
    """) as program:
        ended = program.end()

    assert (ended.status, ended.errors) == (0, "")
    refused, opened = map(int, ended.output.split())
    report(32, f"20 limits of descriptors: {refused} clear refusals, {opened} opened, +0 descriptors")
    assert refused >= 12
    assert opened > 0


def test_the_leak_check_runs_after_every_test(request: pytest.FixtureRequest) -> None:
    """No test of this run is without the fixtures that look for what it left behind."""
    tests = [item for item in request.session.items if isinstance(item, pytest.Function)]
    without = [item.nodeid for item in tests if not {"no_leaks", "log_watch"} <= set(item.fixturenames)]
    assert not without
