"""Loops of the user's choice."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from polyloop import StartupError
from tests._stage import PATIENCE, Stage, nothing, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests._open_pool import OpenPool


async def loop_here() -> str:
    """The module of the loop that runs this."""
    return type(asyncio.get_running_loop()).__module__


@pytest.fixture(scope="module")
def uvloop() -> Any:
    """The module; its first loop opens a pipe for signals, which stays as long as the process."""
    module = pytest.importorskip("uvloop", reason="uvloop is not made for this system or Python")
    module.new_event_loop().close()
    return module


def test_uvloop(uvloop: Any, open_pool: OpenPool) -> None:
    """A pool on uvloop runs, cancels, nests and closes as on asyncio's own loop."""
    stage = Stage()

    with open_pool(2, loop_factory=uvloop.new_event_loop) as pool:
        assert pool.call(loop_here).startswith("uvloop")
        assert all(future.wait(PATIENCE) for future in [pool.submit(nothing) for _ in range(2000)])
        assert pool.submit(asyncio.to_thread, threading.get_ident).result(PATIENCE)
        future = pool.submit(stage.stay)
        until(stage.started)
        future.cancel()
        assert future.wait(PATIENCE)
        assert future.cancelled()
        assert stage.cleaned.is_set()


@pytest.fixture
def unfit() -> Iterator[Callable[[str], Any]]:
    """Makes what no worker can use: something of that name."""
    loops: list[asyncio.AbstractEventLoop] = []
    threads: list[threading.Thread] = []

    def make(kind: str) -> Any:
        if kind == "nothing":
            return None
        loop = asyncio.new_event_loop()
        if kind == "closed":
            loop.close()
            return loop
        running = threading.Event()
        loop.call_soon(running.set)
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        loops.append(loop)
        threads.append(thread)
        until(running)
        return loop

    yield make
    for loop, thread in zip(loops, threads, strict=True):
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        loop.close()


@pytest.mark.parametrize(
    ("kind", "cause", "message"),
    [
        ("nothing", TypeError, "NoneType"),
        ("closed", ValueError, "closed"),
        ("running", ValueError, "running"),
    ],
)
def test_an_unfit_loop_is_refused(
    open_pool: OpenPool, unfit: Callable[[str], Any], kind: str, cause: type[Exception], message: str
) -> None:
    """What is no loop, is closed or runs elsewhere fails the opening with the reason."""
    thing = unfit(kind)

    with pytest.raises(StartupError, match=message) as caught:
        open_pool(1, loop_factory=lambda: thing).open()

    assert isinstance(caught.value.__cause__, cause)
