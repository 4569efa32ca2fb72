"""Plain functions that behaviour tests hand to pools, and callables that say where they run."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

from polyloop import check_cancelled, current_worker

if TYPE_CHECKING:
    from tests._shared import Flag

__all__ = ["Service", "ask_for_ever", "coroutine_place", "place", "triple"]


def triple(number: int, *, times: int = 1) -> int:
    """Three times the number, so many times."""
    return 3 * number * times


def ask_for_ever(began: Flag) -> None:
    """Work that asks from time to time whether it is still wanted."""
    began.set()
    while True:
        check_cancelled()
        time.sleep(0.001)


def place() -> str:
    """The worker and whether it is its loop that runs this, as in "on polyloop-0" and "beside polyloop-0"."""
    worker = current_worker().name
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        assert "-beside-" in threading.current_thread().name
        return f"beside {worker}"
    return f"on {worker}"


async def coroutine_place() -> str:
    """The same, of a coroutine function."""
    return place()


class Service:
    """Methods of both kinds."""

    def plain(self) -> str:
        """Where it runs."""
        return place()

    async def coroutine(self) -> str:
        """Where it runs."""
        return place()

    async def __call__(self) -> str:
        """Where it runs."""
        return place()
