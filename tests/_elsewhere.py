"""Loops that polyloop did not start: asyncio's and uvloop's, in threads of the test's own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING

import pytest
import uvloop

from tests._stage import PATIENCE, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Pause", "elsewhere", "loop_factory", "run_in_thread"]


# libuv makes a pipe for signals once in a process, which would look like a leak of the first test.
uvloop.new_event_loop().close()


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def loop_factory(request: pytest.FixtureRequest) -> Callable[[], asyncio.AbstractEventLoop]:
    """Makes loops of one kind."""
    factory: Callable[[], asyncio.AbstractEventLoop] = request.param
    return factory


@pytest.fixture
def elsewhere(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that runs in another thread, as ``asyncio.run`` runs and ends it."""
    with run_in_thread(loop_factory) as loop:
        yield loop


@contextlib.contextmanager
def run_in_thread(
    factory: Callable[[], asyncio.AbstractEventLoop],
) -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that ``asyncio.Runner`` runs in a thread, and ends when the block does."""
    loops: list[asyncio.AbstractEventLoop] = []
    running = threading.Event()
    leave: list[asyncio.Event] = []

    async def main() -> None:
        leave.append(asyncio.Event())
        loops.append(asyncio.get_running_loop())
        running.set()
        await leave[0].wait()

    def run() -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(main())

    thread = threading.Thread(target=run, name="elsewhere")
    thread.start()
    until(running)
    try:
        yield loops[0]
    finally:
        with contextlib.suppress(RuntimeError):  # the test has ended it
            loops[0].call_soon_threadsafe(leave[0].set)
        thread.join(PATIENCE)
        assert not thread.is_alive(), "the loop did not end"


class Pause:
    """Holds a loop up, in a callback that blocks, for as long as the block lasts."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._begun = threading.Event()
        self._over = threading.Event()

    def __enter__(self) -> None:
        self._loop.call_soon_threadsafe(self._hold)
        until(self._begun)

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()

    def _hold(self) -> None:
        self._begun.set()
        until(self._over)
