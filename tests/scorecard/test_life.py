"""The scorecard's items about the life of a pool: closing, exit, start-up."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import os
import pickle
import pkgutil
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from polyloop import LoopPool, PoolClosed, StartupError
from tests._exits import Leaving
from tests._failing import fail_at
from tests._processes import Program
from tests._scorecard import IS_FULL, report
from tests._shared import Tally
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


@pytest.mark.timeout(1500 if IS_FULL else 60)
def test_submit_against_close(open_pool: OpenPool, backend: str) -> None:
    """Of what 8 threads submit while the pool closes, nothing stays pending; what came late is refused."""
    rounds = 200 if IS_FULL or backend == "thread" else 6
    unresolved = accepted = refused = 0
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


WAYS = {
    "normal end": ("", 0),
    "exception": ("raise ValueError('as planned')", 1),
    "Ctrl-C": ("futures[0].result()", -2),
    "sys.exit in a thread": ("t = threading.Thread(target=sys.exit, args=(3,)); t.start(); t.join()", 0),
}


@pytest.mark.parametrize("way", WAYS)
def test_exit_with_pending_tasks(backend: str, way: str, tmp_path: Path) -> None:
    """The interpreter exits soon, with its status, and the clean-up of 1,000 pending tasks has run."""
    then, status = WAYS[way]
    if (backend, way) == ("ray", "Ctrl-C"):
        status = 1  # as of any program that has imported Ray
    leaving = Leaving(tmp_path, backend, then, tasks=1000)
    with leaving.program as program:
        assert program.wait_for_line() == "ready"
        if way == "Ctrl-C":
            program.interrupt_group()
        ended = program.end()

    report(
        4,
        f"{way}: exit in {ended.seconds:.2f} s, status {ended.status}, {leaving.cleaned} of 1000 finally "
        "blocks ran",
    )
    assert (ended.status, ended.output) == (status, "")
    # On a busy machine the end of a process is not for a test to judge.
    assert ended.seconds < (2.0 if backend == "thread" else 15.0)
    assert leaving.cleaned >= 990
    if way in {"exception", "Ctrl-C"}:
        last = ended.errors.splitlines()[-1]
        assert last in {"ValueError: as planned", "KeyboardInterrupt"}
        assert ended.errors.count("Traceback") == 1
    else:
        assert not ended.errors


@pytest.mark.parametrize("how", ["swallow", "block", "sleep"])
def test_close_with_tasks_that_will_not_end(  # noqa: PLR0915 - one story, with its calls in it
    open_pool: OpenPool, backend: str, expected_logs: list[logging.LogRecord], how: str
) -> None:
    """Closing takes no longer than the grace and half a second; every future is settled and named."""
    stage = Stage()
    grace = 0.3
    # Python cannot interrupt it; nobody waits for it either, and a process does not outlive its pool.
    nap = 60 if backend == "process" else 1

    async def sleep() -> None:
        stage.started.set()
        time.sleep(nap)

    call: Callable[..., Any] = sleep if how == "sleep" else getattr(stage, how)
    pool = open_pool(2, grace=grace)
    pool.open()
    futures = [pool.submit(call) for _ in range(8)]
    until(stage.started)

    began = time.monotonic()
    pool.close(drain=0)
    seconds = time.monotonic() - began

    stage.released.set()
    join_threads()
    settled = sum(future.done() for future in futures)
    report(5, f"{how}: closed {seconds - grace:+.2f} s after a grace of {grace} s, {settled} of 8 settled")
    assert seconds <= grace + (0.5 if backend == "thread" else 10.0)  # as above
    assert settled == 8
    errors = [future.exception(0) for future in futures if not future.cancelled()]
    assert errors
    for error in errors:
        assert isinstance(error, PoolClosed)
        assert how in str(error)
    assert expected_logs


def join_threads() -> None:
    """Wait for those of pools that are still ending, and for those that these still start."""
    while left := [thread for thread in threading.enumerate() if thread.name.startswith("polyloop-")]:
        left[0].join(PATIENCE)
        assert not left[0].is_alive(), left[0]


def failing_here(turn: int, otherwise: Callable[..., Any], error: Exception) -> Callable[..., Any]:
    """The same for what is called in this process only, and by what counts those turns as well."""
    turns = itertools.count()

    def call(*args: Any, **kwargs: Any) -> Any:
        if next(turns) == turn:
            raise error
        return otherwise(*args, **kwargs)

    return call


def descriptors() -> int:
    """How many are open."""
    return len(list(Path("/proc/self/fd").iterdir()))


IN_WORKERS = ["loop", "lifespan"]
NO_FILES = OSError(errno.EMFILE, "Too many open files")
HERE: dict[str, tuple[str, Exception]] = {
    "thread": ("threading.Thread.start", RuntimeError("can't start new thread")),
    "eventfd": ("os.eventfd", NO_FILES),
    "socket": ("socket.socketpair", NO_FILES),
    "pipe": ("os.pipe", NO_FILES),
    "dup": ("os.dup", NO_FILES),
    "process": ("subprocess.Popen", BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")),
    "interpreter": ("concurrent.interpreters.create", RuntimeError("no more interpreters")),
}
NEEDS = {
    "thread": ["thread", *(["eventfd"] if hasattr(os, "eventfd") else [])],
    "process": ["thread", "socket", "pipe", "process"],
    "interpreter": ["thread", "socket", "pipe", "dup", "interpreter"],
    "ray": ["thread", "socket", "pipe"],
}


@contextlib.contextmanager
def without(what: str, turn: int) -> Iterator[dict[str, Any]]:
    """Have the worker number `turn` miss something; yields the options for its pool."""
    with pytest.MonkeyPatch.context() as patch:
        if what == "loop":
            yield {"loop_factory": fail_at(turn, asyncio.new_event_loop, NO_FILES)}
        elif what == "lifespan":
            yield {"lifespan": fail_at(turn, contextlib.nullcontext, LookupError("no"))}
        else:
            name, error = HERE[what]
            failing = failing_here(turn, pkgutil.resolve_name(name), error)
            patch.setattr(name, lambda *args, **kwargs: failing(*args, **kwargs))  # noqa: PLW0108 - binds self
            yield {}


@pytest.mark.usefixtures("expected_logs")  # of workers that were still coming up when another one had failed
def test_start_up_without_resources(open_pool: OpenPool, backend: str) -> None:
    """Whatever is missing when the k-th worker starts, the error is clear and everything is given back."""
    loops = 4 if backend == "thread" else 2
    turns = range(loops) if IS_FULL or backend == "thread" else [1]
    whats = [*IN_WORKERS, *NEEDS[backend]]
    _ = pickle.dumps(Tally())  # with the first one something begins that stays to the end of the test
    before, threads = descriptors(), threading.active_count()
    left = workers = 0
    for turn, what in itertools.product(turns, whats):
        with without(what, turn) as options, pytest.raises(StartupError):
            open_pool(loops, **options).open()
        join_threads()  # of an interpreter that was still coming up, and is left to itself
        left += descriptors() - before
        workers += threading.active_count() - threads
    report(
        32,
        f"{len(turns) * len(whats)} failures at start-up of {loops} loops: {left:+} descriptors, "
        f"{workers:+} threads",
    )
    assert workers == 0
    assert left == 0 or backend == "ray"  # which has connections of its own that come and go


@pytest.mark.backends("thread", "process", "interpreter", why="Ray itself opens and closes others meanwhile")
def test_start_up_under_a_limit_of_descriptors(backend: str) -> None:
    """At every limit of descriptors a pool opens, or says that there are too few; it never hangs."""
    loops, limits = (3, 20) if backend == "thread" else (1, 12)
    code = """
        import os, resource, polyloop

        async def one():
            return 1

        def limit(free):
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (used + free, hard))

        # What is imported when it is first needed, and what stays, is there before anything is counted.
        with polyloop.LoopPool(1, backend="BACKEND") as pool:
            pool.call(one)
        used = len(os.listdir("/proc/self/fd")) - 1
        refused = opened = 0
        for free in range(LIMITS):
            limit(free)
            try:
                with polyloop.LoopPool(LOOPS, backend="BACKEND") as pool:
                    pool.call(one)
                opened += 1
            except polyloop.StartupError as error:
                said = "descriptors", "Too many open files", "interpreter creation failed"
                assert any(words in str(error) for words in said), error
                refused += 1
            limit(50)
            assert len(os.listdir("/proc/self/fd")) - 1 == used
        print(refused, opened)
    """
    code = code.replace("BACKEND", backend).replace("LIMITS", str(limits)).replace("LOOPS", str(loops))
    with Program(code) as program:
        ended = program.end()

    assert ended.status == 0
    # asyncio cannot close a loop that it could not make, and says so where that was.
    assert backend == "interpreter" or not ended.errors
    refused, opened = map(int, ended.output.split())
    report(32, f"{limits} limits of descriptors: {refused} clear refusals, {opened} opened, +0 descriptors")
    assert refused >= 4 * loops
    assert opened > 0


def test_the_leak_check_runs_after_every_test(request: pytest.FixtureRequest) -> None:
    """No test of this run is without the fixtures that look for what it left behind."""
    tests = [item for item in request.session.items if isinstance(item, pytest.Function)]
    without = [item.nodeid for item in tests if not {"no_leaks", "log_watch"} <= set(item.fixturenames)]
    assert not without
