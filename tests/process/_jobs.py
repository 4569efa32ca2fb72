"""Calls that run in workers' processes: they are found there by their names."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal, Self

from polyloop import LoopLocal, LoopPool, current_pool, current_worker, share
from tests.process._gates import block_at, pass_through, say, write_down
from tests.process._misfits import Raising

if TYPE_CHECKING:
    from collections.abc import Callable

NUMBER: ContextVar[int] = ContextVar("NUMBER", default=0)


async def double(number: int) -> int:
    """Return twice the number."""
    return 2 * number


async def add(one: int, other: int) -> int:
    """Return the sum."""
    return one + other


async def echo(value: object = None) -> object:
    """Return what it is given."""
    return value


async def pid(_: object = None) -> int:
    """The process that it runs in."""
    return os.getpid()


async def where() -> tuple[int, int, str, str, int]:
    """What the worker says of itself."""
    worker = current_worker()
    return worker.index, worker.generation, worker.name, worker.backend, worker.loops


async def state() -> object:
    """What the lifespan has yielded."""
    return current_worker().state


async def count_shares(total: int) -> int:
    """This loop's part."""
    return share(total)


async def number() -> int:
    """The context variable's value here."""
    return NUMBER.get()


async def set_number(value: int) -> None:
    """Set the context variable here."""
    NUMBER.set(value)


async def task_name() -> str:
    """The name of the asyncio task."""
    task = asyncio.current_task()
    assert task is not None
    return task.get_name()


async def surroundings() -> tuple[str, list[str], str]:
    """The folder, the path of modules and something of the environment of the process."""
    return os.getcwd(), sys.path, os.environ["PATH"]  # noqa: PTH109 - as the process has it


async def call_it(function: Callable[[], object]) -> object:
    """Call a plain function on the loop."""
    return function()


async def raise_this(error: BaseException) -> None:
    """Raise what it is given."""
    raise error


async def raise_new(kind: type[BaseException], *args: object) -> None:
    """Raise an error that is made here."""
    raise kind(*args)


async def forever(_: object = None) -> None:
    """Sleep until cancelled."""
    await asyncio.Event().wait()


async def stay(path: str, value: object = None) -> object:
    """Say the process, wait for the gate, and return the value."""
    say(path)
    await pass_through(path)
    return value


async def block(path: str) -> str:
    """Say the process, and block the loop until the gate is open."""
    say(path)
    block_at(path)
    return "late"


async def sleep_blocking(path: str, seconds: float) -> None:
    """Say the process, and block the loop."""
    say(path)
    time.sleep(seconds)


async def swallow(path: str) -> None:
    """Say the process, and take no notice of being cancelled."""
    say(path)
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


async def block_for_ever(path: str) -> None:
    """Say the process, and block the loop in a call that waits."""
    say(path)
    time.sleep(60)


async def spin_for_ever(path: str) -> None:
    """Say the process, and block the loop by work."""
    say(path)
    while True:
        pass


async def search_for_ever(path: str) -> None:
    """Say the process, and block the loop in C code that keeps the GIL: a search that backtracks."""
    say(path)
    re.match(r"(a+)+$", "a" * 40 + "b")


async def start_program(path: str) -> None:
    """Start a program that lives until the gate is open."""
    subprocess.Popen(["/bin/sh", "-c", f"read line < {path}/opened"])  # noqa: ASYNC220 - it is not waited for


async def start_thread(path: str) -> int:
    """Start a thread that lives until the gate is open; returns the process."""
    threading.Thread(target=block_at, args=(path,)).start()
    return os.getpid()


async def forget_cancel(path: str) -> str:
    """Say the process, and return in spite of being cancelled."""
    say(path)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return "finished all the same"
    return ""


async def clean_up(path: str, file: str, name: object) -> None:
    """Say the process, wait to be cancelled, and write down that this has cleaned up."""
    try:
        say(path)
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)
        write_down(file, name)


async def note(file: str, name: object) -> object:
    """Write down that it has run."""
    write_down(file, name)
    return name


async def note_and_stay(path: str, file: str, name: object) -> object:
    """Write down that it has run, say the process, and wait for the gate."""
    write_down(file, name)
    return await stay(path, name)


async def note_and_block(path: str, file: str, name: object) -> None:
    """Write down that it has run, say the process, and block the loop."""
    write_down(file, name)
    await block(path)


async def note_much(file: str, _: bytes) -> None:
    """Write down that it has run; its argument only is large."""
    write_down(file, "much")


async def answer_and_die(path: str, _: bytes) -> None:
    """When everything that came before has been answered, say the process, wait for the gate, and end it."""
    for _turn in range(3):
        await asyncio.sleep(0)
    say(path)
    block_at(path)
    os._exit(3)


async def die_at(number: int, fatal: int, file: str) -> int:
    """Return the number; the fatal one ends the process, the first time."""
    if number == fatal:
        await die_once(file)
    return number


async def die(status: int) -> None:
    """End the process."""
    os._exit(status)


async def die_once(file: str) -> str:
    """End the process, the first time."""
    has_run = os.path.exists(file)  # noqa: PTH110 - as short as it can be, before the end
    write_down(file, os.getpid())
    if not has_run:
        os._exit(1)
    return "again"


class Client:
    """What is opened once per loop."""

    def __init__(self, file: str) -> None:
        self.file = file

    async def name(self) -> str:
        """The file."""
        return self.file

    async def __aenter__(self) -> str:
        write_down(self.file, f"open {current_worker().index}")
        return f"client {current_worker().index}"

    async def __aexit__(self, *exc_info: object) -> None:
        write_down(self.file, f"close {current_worker().index}")


def make_client() -> Client:
    """A client that writes to the file that the environment names."""
    return Client(os.environ["POLYLOOP_TEST_CLIENTS"])


CLIENT: LoopLocal[str] = LoopLocal(make_client)


async def ask_client(_: object = None) -> str:
    """This loop's client."""
    return await CLIENT.get()


def thread_name() -> str:
    """The name of this thread, for a function beside the loop."""
    return threading.current_thread().name


class MarkedLoop(asyncio.SelectorEventLoop):
    """A loop of a kind of its own."""


async def loop_name() -> str:
    """The kind of the loop."""
    return type(asyncio.get_running_loop()).__name__


async def flags() -> tuple[int, bool, list[str]]:
    """Some options of the interpreter."""
    return sys.flags.optimize, sys.flags.dev_mode, sys.warnoptions


class Lifespan:
    """A factory of lifespans that is its own lifespan."""

    def __call__(self) -> Self:
        """As a function that makes one."""
        return self

    async def __aenter__(self) -> object:
        return None

    async def __aexit__(self, *exc_info: object) -> None:
        return None


class Failing(Lifespan):
    """A lifespan that raises."""

    def __init__(self, error: type[BaseException]) -> None:
        self._error = error

    async def __aenter__(self) -> None:
        raise self._error("no start")


class Dying(Lifespan):
    """A lifespan that ends the process: each time, or only of a worker that replaces another."""

    def __init__(self, status: int, generation: int = 0) -> None:
        self._status = status
        self._generation = generation

    async def __aenter__(self) -> None:
        if int(current_worker().generation) >= self._generation:
            os._exit(self._status)


class Stuck(Lifespan):
    """A lifespan that blocks the loop until the gate is open."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def __aenter__(self) -> None:
        say(self._path)
        block_at(self._path)


class Meeting(Stuck):
    """A lifespan that waits for the gate, and does not block."""

    async def __aenter__(self) -> None:
        say(self._path)
        await pass_through(self._path)


async def make_raising(kind: type[BaseException]) -> object:
    """Return what raises when it is made again."""
    return Raising(kind)


async def make_bytes(count: int) -> bytes:
    """Return so many bytes."""
    return bytes(count)


class Slow(Lifespan):
    """A lifespan that blocks the loop for some time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def __aenter__(self) -> None:
        time.sleep(self._seconds)


async def length(data: bytes) -> int:
    """How much it was given."""
    return len(data)


async def return_pool() -> object:
    """Return a pool, which cannot be."""
    return LoopPool(1)


async def find_pool() -> None:
    """Ask for the pool that this runs in."""
    current_pool()


async def use_pool(backend: Literal["thread", "process"]) -> list[int]:
    """Call a pool that is opened here."""
    async with LoopPool(1, backend=backend) as pool:
        return await pool.map(double, range(3))


async def commit(started: str, committed: str, number: int, steps: int) -> int:
    """Start, take so many steps, commit, return."""
    write_down(started, number)
    for _ in range(steps):
        await asyncio.sleep(0)
    write_down(committed, number)
    return number


async def tell_end(file: str, name: object) -> None:
    """Wait to be cancelled, and write that down."""
    try:
        await asyncio.Event().wait()
    finally:
        write_down(file, name)
