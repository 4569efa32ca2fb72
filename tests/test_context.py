"""Context variables: a call sees a copy of its caller's, and nothing comes back."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING

import pytest

from polyloop import current_pool
from tests._stage import PATIENCE

if TYPE_CHECKING:
    from polyloop import LoopPool
    from tests._open_pool import OpenPool
variable: ContextVar[str] = ContextVar("variable", default="unset")


async def read() -> str:
    """The value seen here."""
    return variable.get()


async def write(value: str) -> None:
    """Set the value here."""
    variable.set(value)


async def read_item(_: object) -> str:
    """The value seen here."""
    return variable.get()


async def read_in_a_thread() -> str:
    """The value that a thread of the loop's executor sees, by itself."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str] = loop.create_future()

    def from_thread() -> None:
        loop.call_soon_threadsafe(answer.set_result, variable.get())

    # Not to_thread(), which copies the context: what the thread itself has.
    _ = loop.run_in_executor(None, from_thread)
    return await answer


def test_a_call_sees_its_callers_values(steady_pool: LoopPool, backend: str) -> None:
    """All ways carry the context over to a thread, as it is at that moment; to elsewhere nothing travels."""

    def seen(value: str) -> str:
        return value if backend == "thread" else "unset"

    async def main() -> list[str]:
        variable.set("in main")
        ran = await steady_pool.run(read)
        submitted = await asyncio.gather(steady_pool.submit(read))
        return [ran, *submitted, *await steady_pool.map(read_item, [1])]

    before = steady_pool.submit(read)
    token = variable.set("set later")
    try:
        assert before.result(PATIENCE) == "unset"
        assert steady_pool.call(read) == seen("set later")
        assert list(steady_pool.map(read_item, range(3))) == [seen("set later")] * 3
        assert steady_pool.broadcast(read).result(PATIENCE) == [seen("set later")] * 2
    finally:
        variable.reset(token)
    assert asyncio.run(main()) == [seen("in main")] * 3


def test_nothing_comes_back(steady_pool: LoopPool) -> None:
    """What a call sets, neither its caller nor the next call sees."""
    view = steady_pool.options(worker=0)
    view.call(write, "by a call")

    assert variable.get() == "unset"
    assert view.call(read) == "unset"


@pytest.mark.backends("thread", why="a call elsewhere cannot call the pool that it was submitted to")
def test_a_nested_call_sees_its_parents_values(open_pool: OpenPool) -> None:
    """Values travel from loop to loop."""

    async def parent() -> str:
        variable.set("by the parent")
        return await current_pool().run(read)

    with open_pool(2) as pool:
        assert pool.submit(parent).result(PATIENCE) == "by the parent"


def test_the_librarys_threads_have_no_context(open_pool: OpenPool) -> None:
    """A bare callback on a worker's loop sees nothing of whoever opened the pool."""
    token = variable.set("the opener's")
    try:
        with open_pool(1) as pool:
            assert pool.call(read_in_a_thread) == "unset"
    finally:
        variable.reset(token)
