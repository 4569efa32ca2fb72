"""Calls for other interpreters. It imports what works there, and no pytest.

All interpreters are in one process: a call tells its test how far it is by writing to a pipe of the test's.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any, NoReturn

from polyloop import LoopLocal, current_worker

if TYPE_CHECKING:
    pass

_calls = 0
things: LoopLocal[list[str]] = LoopLocal(list[str])


class Odd(Exception):
    """An error of the user's."""


class Stubborn:
    """It can be pickled, and not unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return fail, ("it will not be made again",)


def fail(why: str) -> NoReturn:
    """Raise that."""
    raise Odd(why)


async def double(number: int) -> int:
    """A result that tells that the argument arrived."""
    return 2 * number


async def where() -> tuple[int, int]:
    """The process, and something that is another one in each interpreter."""
    return os.getpid(), id(sys.modules)


async def who() -> tuple[int, int, str, str, int, str]:
    """What a worker knows of itself."""
    worker = current_worker()
    name = threading.current_thread().name
    return worker.index, worker.generation, worker.name, worker.backend, worker.loops, name


async def calls() -> int:
    """How often `count` was called in this interpreter."""
    return _calls


async def count() -> int:
    """How often it was called in this interpreter."""
    global _calls  # noqa: PLW0603 - that is what is to be seen
    _calls += 1
    return _calls


async def add_thing(name: str) -> list[str]:
    """What this loop's own list has, with `name` in it."""
    own = await things.get()
    own.append(name)
    return own


async def look_up() -> bool:
    """Whether a name can be looked up, which needs a thread."""
    addresses = await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
    return addresses[0][4] == ("127.0.0.1", 80)


async def aside() -> str:
    """The thread that ``to_thread`` has."""
    return await asyncio.to_thread(thread_name)


def thread_name() -> str:
    """Of the thread that runs this."""
    return threading.current_thread().name


async def raise_odd() -> NoReturn:
    """An error with a note."""
    error = Odd("odd")
    error.add_note("a note")
    raise error


async def give_lock() -> Any:
    """What cannot be sent."""
    return threading.Lock()


async def give_stubborn() -> Stubborn:
    """What cannot be made again."""
    return Stubborn()


async def stay(pipe: int) -> None:
    """Say when it has started, wait for ever, and say when its clean-up has run."""
    os.write(pipe, b"s")
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.to_thread(os.write, pipe, b"f")


async def block(said: int, gate: int) -> None:
    """Block the loop until the other pipe has something."""
    os.write(said, b"s")
    os.read(gate, 1)


async def block_aside(said: int, gate: int) -> None:
    """As `block`, in a thread beside the loop, which nobody can cancel."""

    def wait() -> None:
        os.write(said, b"s")
        os.read(gate, 1)

    await asyncio.to_thread(wait)


async def leave_thread(said: int, gate: int) -> None:
    """Leave a thread behind that blocks."""

    def wait() -> None:
        os.write(said, b"s")
        os.read(gate, 1)

    threading.Thread(target=wait).start()


kept: list[concurrent.futures.Executor] = []


async def leave_executor() -> int:
    """Leave threads behind that are idle, and end only when the interpreter does."""
    executor = concurrent.futures.ThreadPoolExecutor(2)
    kept.append(executor)
    return executor.submit(int, "3").result()


async def break_loop() -> None:
    """What no task should be able to do: the loop cannot go on."""
    asyncio.get_running_loop()._selector.close()  # type: ignore[attr-defined]  # that is how
    await asyncio.sleep(0)
    await asyncio.Event().wait()


def exit_now() -> NoReturn:
    """For a bare callback."""
    raise SystemExit(3)


async def call_soon_exit() -> None:
    """Have a bare callback raise SystemExit."""
    asyncio.get_running_loop().call_soon(exit_now)
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def directory() -> str:
    """Where the process is."""
    return os.getcwd()  # noqa: PTH109 - what the system says
