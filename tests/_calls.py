"""Calls that behaviour tests hand to pools."""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
from collections import defaultdict
from typing import TYPE_CHECKING

import polyloop

if TYPE_CHECKING:
    from tests._gate import Gate

__all__ = [
    "add",
    "cancel_oneself",
    "clean_up_behind",
    "deposit",
    "double",
    "fail",
    "fail_on_three",
    "forever",
    "part_of",
    "place",
    "thread_name",
    "turn",
    "where",
    "worker_facts",
    "worker_name",
    "zero_at_once",
]

_turns = itertools.count()
_balances: defaultdict[str, int] = defaultdict(int)


async def double(number: int, *, times: int = 1) -> int:
    """Return twice the number, so many times."""
    return 2 * number * times


async def add(one: int, other: int) -> int:
    """Return the sum."""
    return one + other


async def fail(message: str = "from a task", error: type[BaseException] = LookupError) -> int:
    """Raise an error."""
    raise error(message)


async def fail_on_three(number: int) -> int:
    """Return the number if it is another one."""
    if number == 3:
        raise LookupError("three")
    return number


async def zero_at_once(number: int) -> int:
    """Return 0, and with every other number sleep until cancelled."""
    if number > 0:
        await asyncio.Event().wait()
    return number


async def forever(_: object = None) -> int:
    """Sleep until it is cancelled."""
    await asyncio.Event().wait()
    return 0


async def clean_up_behind(gate: Gate) -> int:
    """Sleep until it is cancelled, and then clean up for as long as the gate is closed."""
    async with gate:
        await asyncio.Event().wait()
    return 0


async def cancel_oneself() -> None:
    """End as cancelled, with nobody having asked for it through the pool."""
    current = asyncio.current_task()
    assert current is not None
    current.cancel()
    await asyncio.sleep(0)


async def where() -> int:
    """The index of the worker that runs it."""
    return polyloop.current_worker().index


async def part_of(total: int) -> int:
    """This loop's part of a budget."""
    return polyloop.share(total)


async def worker_name() -> str:
    """The name of the worker that runs it."""
    return polyloop.current_worker().name


async def worker_facts(_: object = None) -> tuple[int, int, str, str, int]:
    """What the worker that runs it knows of itself."""
    worker = polyloop.current_worker()
    return worker.index, worker.generation, worker.name, worker.backend, worker.loops


async def place(_: object = None) -> tuple[int, int]:
    """The process and the thread that it runs in."""
    return os.getpid(), threading.get_ident()


async def turn(_: object = None) -> int:
    """How many calls of it there were before it where it runs: on one loop they count up in their order."""
    return next(_turns)


async def thread_name() -> str:
    """The name of the thread that runs it."""
    return threading.current_thread().name


async def deposit(user: str) -> int:
    """Add one to what the user has where it runs, and return that: it is not safe in several threads."""
    balance = _balances[user]
    await asyncio.sleep(0)
    _balances[user] += 1  # no await between the two
    assert _balances[user] > balance
    return _balances[user]
