"""The threads beside the loops: few, shared, and out of the way of looking up names."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from typing import TYPE_CHECKING

from tests._stage import PATIENCE, Stage

if TYPE_CHECKING:
    from tests._open_pool import OpenPool


async def thread_beside() -> str:
    """The name of a thread for blocking calls."""
    return await asyncio.to_thread(lambda: threading.current_thread().name)


def test_all_loops_share_the_threads(open_pool: OpenPool) -> None:
    """Blocking calls from many loops use no more threads than asyncio gives to one loop."""
    most = min(32, (os.cpu_count() or 1) + 4)
    stage = Stage()
    names: set[str] = set()

    def block() -> None:
        names.add(threading.current_thread().name)
        stage.released.block()

    async def work() -> None:
        await asyncio.gather(*[asyncio.to_thread(block) for _ in range(6)])

    with open_pool(16) as pool:
        future = pool.broadcast(work)
        beside = [thread for thread in threading.enumerate() if "-beside-" in thread.name]
        assert len(beside) <= most
        stage.released.set()
        future.result(PATIENCE)

    assert len(names) <= most


def test_looking_up_names_does_not_wait_for_what_blocks(open_pool: OpenPool) -> None:
    """A loop finds an address although every thread for blocking calls is taken."""
    stage = Stage()
    most = min(32, (os.cpu_count() or 1) + 4)

    async def look_up() -> tuple[object, object]:
        loop = asyncio.get_running_loop()
        blocked = [loop.run_in_executor(None, stage.released.block) for _ in range(most)]
        infos = await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
        name = await loop.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
        stage.released.set()
        await asyncio.gather(*blocked)
        return infos[0][4], name

    with open_pool(1) as pool:
        assert pool.submit(look_up).result(PATIENCE) == (("127.0.0.1", 80), ("127.0.0.1", "80"))


def test_one_loop_that_ends_does_not_take_the_threads_along(open_pool: OpenPool) -> None:
    """A loop that shuts its default executor shuts only its own use of it."""

    async def shut() -> None:
        await asyncio.get_running_loop().shutdown_default_executor()

    async def has_threads() -> bool:
        try:
            await thread_beside()
        except RuntimeError:
            return False  # asyncio's own refusal
        return True

    with open_pool(2) as pool:
        assert all("-beside-" in name for name in pool.broadcast(thread_beside).result(PATIENCE))
        pool.submit(shut).result(PATIENCE)

        assert sorted(pool.broadcast(has_threads).result(PATIENCE)) == [False, True]


def test_what_blocks_raises_as_usual(open_pool: OpenPool) -> None:
    """Errors of blocking calls, SystemExit too, arrive where they are awaited."""

    def leave() -> None:
        raise SystemExit(3)

    async def work() -> str:
        try:
            await asyncio.to_thread(leave)
        except SystemExit as error:
            return f"SystemExit {error.code}"
        return "nothing"

    with open_pool(1) as pool:
        assert pool.submit(work).result(PATIENCE) == "SystemExit 3"
        assert "-beside-" in pool.submit(thread_beside).result(PATIENCE)
