"""Loops of the user's choice."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from polyloop import StartupError
from tests._stage import PATIENCE, Stage, nothing, until

if TYPE_CHECKING:
    from collections.abc import Callable

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


@pytest.mark.backends("thread", "process", why="uvloop cannot be loaded in another interpreter")
def test_uvloop(uvloop: Any, open_pool: OpenPool) -> None:
    """A pool on uvloop runs, cancels, nests and closes as on asyncio's own loop."""
    stage = Stage()

    with open_pool(1, loop_factory=uvloop.new_event_loop) as pool:
        assert pool.call(loop_here).startswith("uvloop")
        assert all(future.wait(PATIENCE) for future in [pool.submit(nothing) for _ in range(2000)])
        assert pool.submit(asyncio.to_thread, threading.get_ident).result(PATIENCE)
        future = pool.submit(stage.stay)
        until(stage.started)
        future.cancel()
        assert future.wait(PATIENCE)
        assert future.cancelled()
        assert stage.cleaned.is_set()


def no_loop() -> None:
    """Make nothing."""


def closed_loop() -> asyncio.AbstractEventLoop:
    """Make a loop and close it."""
    loop = asyncio.new_event_loop()
    loop.close()
    return loop


class Running(asyncio.SelectorEventLoop):
    """A loop that says that it runs, as one does that runs in another thread."""

    made: ClassVar[list[Running]] = []
    is_over = True

    def __init__(self) -> None:
        super().__init__()
        self.is_over = False
        self.made.append(self)

    def is_running(self) -> bool:
        """As long as the test runs."""
        return not self.is_over


@pytest.mark.parametrize(
    ("factory", "cause", "message"),
    [(no_loop, TypeError, "NoneType"), (closed_loop, ValueError, "closed"), (Running, ValueError, "running")],
)
def test_an_unfit_loop_is_refused(
    open_pool: OpenPool, factory: Callable[[], Any], cause: type[Exception], message: str
) -> None:
    """What is no loop, is closed or runs elsewhere fails the opening with the reason."""
    with pytest.raises(StartupError, match=message) as caught:
        open_pool(1, loop_factory=factory).open()

    assert isinstance(caught.value.__cause__, cause)
    while Running.made:
        loop = Running.made.pop()
        loop.is_over = True
        loop.close()
