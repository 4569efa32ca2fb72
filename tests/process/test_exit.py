"""The end of a program with a pool of processes that is still open: item 4 of the scorecard."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests._processes import Program
from tests.process._watch import ends_within, wait_for_end

if TYPE_CHECKING:
    from pathlib import Path

    from tests._processes import Ended

TASKS = 1000
SECONDS = 15.0
"""How long the end may take: without an end it would be for ever. The scorecard wants 2, which is printed."""

PROGRAM = f"""
import asyncio, os, sys, threading
import polyloop

async def work(file):
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)
        end = os.open(file, os.O_WRONLY | os.O_APPEND)
        os.write(end, b".")
        os.close(end)

async def pid():
    return os.getpid()

def main():
    pool = polyloop.LoopPool(2, backend="process")
    pool.open()
    futures = [pool.submit(work, sys.argv[1]) for _ in range({TASKS})]
    print(*pool.broadcast(pid).result(), flush=True)
    return pool, futures

async def wait_for(pool):
    print("inside", flush=True)  # before that, a Ctrl-C is the business of asyncio.run()
    await pool.run(work, sys.argv[1])
"""


def start(folder: Path, then: str) -> tuple[Program, Path]:
    """Start the program, which does something in the end."""
    file = folder / "cleaned"
    file.touch()
    script = folder / "program.py"
    script.write_text(
        PROGRAM + f"\nif __name__ == '__main__':\n    pool, futures = main()\n    {then or 'pass'}\n"
    )
    return Program(script, file), file


def interrupted(folder: Path, then: str) -> tuple[Ended, int]:
    """Press Ctrl-C, as a terminal does: all processes of the group get it."""
    program, file = start(folder, then)
    with program:
        pids = list(map(int, program.wait_for_line().split()))
        if "asyncio" in then:
            assert program.wait_for_line() == "inside"
        program.interrupt_group()
        ended = program.end()
    for pid in pids:
        wait_for_end(pid)
    return ended, len(file.read_bytes())


@pytest.mark.parametrize(
    "then",
    [
        "futures[0].result()",
        "pool.call(work, sys.argv[1])",
        "asyncio.run(wait_for(pool))",
        "list(pool.map(work, [sys.argv[1]] * 3))",
    ],
)
def test_ctrl_c_reaches_all_and_only_the_pool_decides(then: str, tmp_path: Path) -> None:
    """Workers get the signal too, take no notice, print nothing, and end with the pool."""
    ended, cleaned = interrupted(tmp_path, then)

    assert ended.status == -signal.SIGINT
    assert ended.errors.rstrip().endswith("KeyboardInterrupt")
    assert "_process_worker" not in ended.errors
    assert cleaned >= 0.99 * TASKS
    print(f"the end took {ended.seconds:.2f} s")
    assert ended.seconds < SECONDS


def test_ctrl_c_while_workers_start_is_quiet_there(tmp_path: Path) -> None:
    """A process that is still being started hears nothing of a Ctrl-C, and its interpreter tells of none."""
    script = tmp_path / "program.py"
    script.write_text(
        "import os, signal, polyloop\n"
        "if __name__ == '__main__':\n"
        "    pool = polyloop.LoopPool(4, backend='process')\n"
        "    signal.signal(signal.SIGINT, lambda *_: print('heard', flush=True))\n"
        "    print('opening', flush=True)\n"
        "    pool.open()\n"
        "    pool.close()\n"
        "    print('over', flush=True)\n"
    )
    with Program(script) as program:
        assert program.wait_for_line() == "opening"
        for _ in range(10):
            program.pause(0.02)  # where it lands is left to chance
            program.interrupt_group()
        ended = program.end()

    assert "heard" in ended.output
    assert ended.output.endswith("over\n")
    assert (ended.status, ended.errors) == (0, "")


ORPHANS = """
import asyncio, os, re, sys
import polyloop

async def wait():
    print(os.getpid(), flush=True)
    await asyncio.Event().wait()

async def clean_up():
    try:
        await wait()
    finally:
        open(sys.argv[1], "w").write("cleaned")

async def search():
    print(os.getpid(), flush=True)
    re.match(r"(a+)+$", "a" * SEARCH + "b")

if __name__ == "__main__":
    with polyloop.LoopPool(1, backend="process") as pool:
        pool.call(JOB)
"""


def orphan(folder: Path, job: str, limit: float = 10.0) -> bool:
    """Kill the parent of a worker that does something; returns whether the worker is gone in time."""
    script = folder / "program.py"
    script.write_text(ORPHANS.replace("JOB", job).replace("SEARCH", "24"))
    with Program(script, folder / "file") as program:
        worker = int(program.wait_for_line())
        program.kill()
        is_gone = ends_within(worker, limit)
        ended = program.end()
    assert ended.errors == ""
    return is_gone


def test_a_worker_whose_parent_is_gone_cleans_up(tmp_path: Path) -> None:
    """What it ran is cancelled first."""
    assert orphan(tmp_path, "clean_up")
    assert (tmp_path / "file").read_text() == "cleaned"


def test_a_worker_in_c_code_outlives_its_parent_for_as_long_as_that_takes(tmp_path: Path) -> None:
    """Where C code keeps the GIL, no thread of the worker can end it: it is gone when that code returns."""
    assert orphan(tmp_path, "search", limit=20.0)


def test_the_line_of_a_worker_that_starts_may_break(tmp_path: Path) -> None:
    """A process whose parent is killed while it starts ends, and says nothing."""
    script = tmp_path / "program.py"
    script.write_text(
        "import os, polyloop, threading\n"
        "if __name__ == '__main__':\n"
        "    pool = polyloop.LoopPool(2, backend='process')\n"
        "    threading.Thread(target=pool.open, daemon=True).start()\n"
        "    while not (links := [m.link for m in pool._supervisor.crew.members]) or any(\n"
        "        link._place._process is None for link in links\n"
        "    ):\n"
        "        pass\n"
        "    print(*(link._place._process.pid for link in links), flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    with Program(script) as program:
        pids = list(map(int, program.wait_for_line().split()))
        for pid in pids:
            assert ends_within(pid, 5.0)
        ended = program.end()

    assert ended.errors == ""
