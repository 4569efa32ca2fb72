"""Calls that run in workers' processes: they are found there by their names."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from polyloop import LoopLocal, LoopPool, check_cancelled, current_worker
from tests.process._gates import block_at, pass_through, say, write_down
from tests.process._lifespans import make_client
from tests.process._misfits import Raising

if TYPE_CHECKING:
    from collections.abc import Callable


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


async def call_it(function: Callable[[], object]) -> object:
    """Call a plain function on the loop."""
    return function()


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


def stay_beside(path: str) -> str:
    """Say the process, block this thread until the gate is open, and look whether to stop."""
    say(path)
    block_at(path)
    check_cancelled()
    return "never asked to stop"


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


async def work(file: str, number: int, seconds: float, _: bytes = b"") -> int:
    """Write down that it runs, and where, take so long, and return the process."""
    write_down(file, f"{number} {os.getpid()}")
    await asyncio.sleep(seconds)
    return os.getpid()


async def note_and_stay(path: str, file: str, name: object) -> object:
    """Write down that it has run, say the process, and wait for the gate."""
    write_down(file, name)
    return await stay(path, name)


async def note_and_block(path: str, file: str, name: object) -> None:
    """Write down that it has run, say the process, and block the loop."""
    write_down(file, name)
    await block(path)


async def note_much(file: str, name: object, _: bytes) -> None:
    """Write down that it has run; its argument only is large."""
    write_down(file, name)


async def answer_and_die(path: str, _: bytes) -> None:
    """When everything that came before has been answered, say the process, wait for the gate, and end it."""
    for _turn in range(3):
        await asyncio.sleep(0)
    say(path)
    block_at(path)
    os._exit(3)


async def spoil_line(data: bytes, *, is_killed: bool) -> None:
    """Send something to the pool that is none of this library's, and then end the process, or only wait."""
    home: Any = current_worker().home
    home._sock.sendall(data)
    if is_killed:
        os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.Event().wait()


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
    has_run = Path(file).exists()  # noqa: ASYNC240 - nobody else runs here
    write_down(file, os.getpid())
    if not has_run:
        os._exit(1)
    return "again"


CLIENT: LoopLocal[str] = LoopLocal(make_client)


async def ask_client(_: object = None) -> str:
    """This loop's client."""
    return await CLIENT.get()


async def make_raising(kind: type[BaseException]) -> object:
    """Return what raises when it is made again."""
    return Raising(kind)


async def make_bytes(count: int) -> bytes:
    """Return so many bytes."""
    return bytes(count)


async def length(data: bytes) -> int:
    """How much it was given."""
    return len(data)


async def return_pool() -> object:
    """Return a pool, which cannot be."""
    return LoopPool(1)


async def use_pool(backend: Literal["thread", "process"]) -> list[int]:
    """Call a pool that is opened here."""
    async with LoopPool(1, backend=backend) as pool:
        return await pool.map(double, range(3))


async def step_by_step(file: str, key: str, number: int) -> int:
    """Write down the beginning and the end, with something in between; returns the number."""
    write_down(file, f"{key}|begin|{number}")
    await asyncio.sleep(0)
    write_down(file, f"{key}|end|{number}")
    return number
