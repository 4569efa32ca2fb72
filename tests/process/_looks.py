"""Calls that look at where they run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time

from polyloop import current_worker, share
from tests._clock import own_time


async def pid_and_delay() -> tuple[int, float]:
    """The process, and how many seconds of its life it would have run, and others had the processors."""
    return os.getpid(), time.monotonic() - own_time()


async def where() -> tuple[int, int, str, str, int]:
    """What the worker says of itself."""
    worker = current_worker()
    return worker.index, worker.generation, worker.name, worker.backend, worker.loops


async def count_shares(total: int) -> int:
    """This loop's part."""
    return share(total)


async def task_name() -> str:
    """The name of the asyncio task."""
    task = asyncio.current_task()
    assert task is not None
    return task.get_name()


async def surroundings() -> tuple[str, list[str], str]:
    """The folder, the path of modules and something of the environment of the process."""
    return os.getcwd(), sys.path, os.environ["PATH"]  # noqa: PTH109 - as the process has it


def thread_name() -> str:
    """The name of this thread, for a function beside the loop."""
    return threading.current_thread().name


async def flags() -> tuple[int, bool, list[str]]:
    """Some options of the interpreter."""
    return sys.flags.optimize, sys.flags.dev_mode, sys.warnoptions


async def inherited() -> dict[int, str]:
    """The descriptors that this process was started with, and what they are."""
    loop = asyncio.get_running_loop()
    own = {getattr(loop, name).fileno() for name in ("_ssock", "_csock")}  # by which asyncio wakes it up
    found: dict[int, str] = {}
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - their numbers
        with contextlib.suppress(FileNotFoundError):  # by which the names were listed
            target = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115 - text, and no path
            # An epoll and the pool's pidfd were opened here too.
            if int(name) not in own and not target.startswith("anon_inode:"):
                found[int(name)] = target
    return found


async def inherited_by_program() -> list[str]:
    """The descriptors of a program that is started here."""
    program = (
        "import os; print(*[n for n in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{n}')])"
    )
    ended = subprocess.run(  # noqa: ASYNC221 - nobody else runs here
        [sys.executable, "-S", "-c", program], close_fds=False, capture_output=True, text=True, check=True
    )
    return sorted(ended.stdout.split())


async def read_input() -> str:
    """All of standard input."""
    return sys.stdin.read()


async def is_line_buffered() -> bool:
    """Whether both streams are."""
    return all(getattr(stream, "line_buffering", False) for stream in (sys.stdout, sys.stderr))
