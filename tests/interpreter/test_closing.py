"""The end of pools of interpreters: closed, left open, stuck."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from polyloop import LoopPool, PoolClosed, StartupError
from tests._gate import PATIENCE
from tests._processes import run_python
from tests.interpreter import _jobs
from tests.interpreter._needs import needs_interpreters

if TYPE_CHECKING:
    import logging
    from collections.abc import Awaitable, Callable

    from tests.interpreter.conftest import Pipe

pytestmark = needs_interpreters


def join_threads() -> None:
    """Wait until no thread of a pool is left."""
    for thread in threading.enumerate():
        if thread.name.startswith("polyloop-"):
            thread.join(PATIENCE)
            assert not thread.is_alive(), thread


def test_closing_cancels_what_runs(said: Pipe) -> None:
    """Every task is cancelled and its clean-up runs, threads included, before close() returns."""
    with LoopPool(2, backend="interpreter") as pool:
        futures = [pool.submit(_jobs.stay, said.writer) for _ in range(10)]
        for _ in futures:
            assert said.hear() == b"s"

        pool.close(drain=0)

        assert all(future.cancelled() for future in futures)
        assert [said.hear() for _ in futures] == [b"f"] * 10


def test_a_blocked_loop_is_left_to_itself(
    said: Pipe, gate: Pipe, expected_logs: list[logging.LogRecord]
) -> None:
    """A task that blocks its loop is given up at the close; its interpreter is closed when it ends."""
    with LoopPool(1, backend="interpreter", grace=0.1) as pool:
        future = pool.submit(_jobs.block, said.writer, gate.reader)
        assert said.hear() == b"s"
        began = time.monotonic()

        pool.close(drain=0)

        assert time.monotonic() - began < 0.1 + 10.0, "beyond the grace"
    with pytest.raises(PoolClosed, match="may still be running there"):
        future.result(0)
    assert any("is left to itself" in record.getMessage() for record in expected_logs)
    for thread in threading.enumerate():
        if thread.name == "polyloop-0-link":
            thread.join(PATIENCE)
            assert not thread.is_alive(), "it waits for a worker that was given up"
    gate.open()
    join_threads()


@pytest.mark.parametrize("call", [_jobs.block_aside, _jobs.leave_thread])
def test_a_blocked_thread_is_left_to_itself(
    call: Callable[[int, int], Awaitable[None]],
    said: Pipe,
    gate: Pipe,
    expected_logs: list[logging.LogRecord],
) -> None:
    """Closing does not wait for a thread beside a loop; the interpreter is closed when that ends."""
    with LoopPool(1, backend="interpreter", grace=0.1) as pool:
        future = pool.submit(call, said.writer, gate.reader)
        assert said.hear() == b"s"
        began = time.monotonic()

        pool.close(drain=0)

        assert time.monotonic() - began < 0.1 + 10.0, "beyond the grace"
    assert future.done()
    assert any("cannot be closed yet" in record.getMessage() for record in expected_logs)
    gate.open()
    join_threads()


def fail_at_length() -> None:
    """Fail, and take a second to let go of that."""

    class Heavy:
        def __del__(self) -> None:
            time.sleep(1.0)

    heavy = Heavy()
    raise LookupError(heavy.__class__.__name__)


def test_a_worker_that_takes_its_time_to_end_is_not_taken_for_a_stuck_one() -> None:
    """It is waited for: only a thread that it has left behind is warned of, and this would fail for that."""
    with pytest.raises(StartupError, match="Heavy"):
        LoopPool(1, backend="interpreter", loop_factory=fail_at_length).open()  # type: ignore[arg-type]  # it fails

    join_threads()


def test_a_thread_pool_that_nobody_shut_down() -> None:
    """An executor that a call has left idle does not keep its interpreter."""
    with LoopPool(1, backend="interpreter") as pool:
        assert pool.call(_jobs.leave_executor) == 3

    join_threads()


EXIT = """
    import asyncio, os, sys, threading, time
    import polyloop

    async def one():
        return 1

    async def stay(pipe):
        os.write(pipe, b"s")
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.to_thread(os.write, pipe, b"f")

    async def block(pipe, seconds):
        os.write(pipe, b"s")
        time.sleep(seconds)

    async def block_aside(pipe, seconds):
        await asyncio.to_thread(wait, pipe, seconds)

    def wait(pipe, seconds):
        os.write(pipe, b"s")
        time.sleep(seconds)

    reader, writer = os.pipe()
    pool = polyloop.LoopPool(2, backend="interpreter", grace=0.2)
    pool.open()
    futures = [pool.submit({call}) for _ in range({count})]
    for _ in futures:
        assert os.read(reader, 1) == b"s"

    def tell():
        # What the clean-up has written is there when the interpreter is about to be gone.
        os.set_blocking(reader, False)
        left = os.read(reader, 10_000) if {count} > 2 else b""
        print(left == b"f" * len(left), len(left), flush=True)

    import atexit
    atexit.register(tell)
    {end}
"""

ENDS = [("", 0), ("raise ValueError", 1), ("sys.exit(3)", 3)]


def test_exit_with_a_blocked_loop() -> None:
    """A program whose worker sits in a system call exits all the same, within two seconds of its end."""
    ended = run_python(EXIT.format(call="block, writer, 50", count=1, end="print('end', flush=True)"))

    assert ended.status == 0, ended.errors
    assert ended.output.startswith("end\n")
    assert "is left to itself" in ended.errors
    assert ended.seconds < 20.0


def test_exit_with_a_blocked_thread() -> None:
    """A program with a blocked thread beside a loop exits when that has ended."""
    ended = run_python(EXIT.format(call="block_aside, writer, 3", count=1, end=""))

    assert ended.status == 0, ended.errors
    assert "cannot exit before that has ended" in ended.errors


FORK = """
    import multiprocessing, os, sys, warnings
    from polyloop import LoopPool

    async def one():
        return 1

    def fork():
        if sys.argv[1] == "os":
            pid = os.fork()
            if not pid:
                os._exit(0)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        process = multiprocessing.get_context("fork").Process(target=int)
        process.start()
        process.join()
        return process.exitcode

    warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads
    with LoopPool(1, backend="interpreter") as pool:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", RuntimeWarning)
            status = fork()
        print([(kind.category.__name__, "about to be forked" in str(kind.message)) for kind in caught
               if kind.category is RuntimeWarning])
        print(status, file=sys.stderr)
        assert pool.call(one) == 1  # the parent is unharmed
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RuntimeWarning)
        print(fork(), [kind for kind in caught if kind.category is RuntimeWarning])
"""


@pytest.mark.parametrize("way", ["os", "multiprocessing"])
def test_forks_are_warned_of(way: str) -> None:
    """A fork while there are interpreters is warned of, once; afterwards it works, without a word."""
    ended = run_python(FORK, way)

    assert ended.status == 0, ended.errors
    assert ended.output == "[('RuntimeWarning', True)]\n0 []\n"
    # What is warned of: the child crashes. Were it to end well one day, the warning could go.
    assert ended.errors.strip().splitlines()[-1] != "0", "forks work now"


def test_subprocesses_are_fine(pool: LoopPool) -> None:
    """What ``subprocess`` starts is no fork to warn of, in this interpreter or in another."""

    async def start() -> int:
        import asyncio  # noqa: PLC0415 - where the call runs

        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
        return await process.wait()

    assert pool.call(start) == 0
