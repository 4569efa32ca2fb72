"""Context variables: a call sees a copy of its caller's, and nothing comes back."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING

from polyloop import current_pool
from tests._stage import PATIENCE

if TYPE_CHECKING:
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


def test_a_call_sees_its_callers_values(open_pool: OpenPool) -> None:
    """submit, call, run, map and broadcast carry the context over as it is at that moment."""

    async def main() -> list[str]:
        variable.set("in main")
        ran = await pool.run(read)
        return [ran, *await asyncio.gather(pool.submit(read)), *await pool.map(read_item, [1])]

    with open_pool(2) as pool:
        before = pool.submit(read)
        token = variable.set("set later")
        try:
            assert before.result(PATIENCE) == "unset"
            assert pool.call(read) == "set later"
            assert list(pool.map(read_item, range(3))) == ["set later"] * 3
            assert pool.broadcast(read).result(PATIENCE) == ["set later"] * 2
        finally:
            variable.reset(token)
        assert asyncio.run(main()) == ["in main"] * 3


def test_nothing_comes_back(open_pool: OpenPool) -> None:
    """What a call sets, neither its caller nor the next call sees."""
    with open_pool(1) as pool:
        pool.call(write, "by a call")

        assert variable.get() == "unset"
        assert pool.call(read) == "unset"


def test_a_nested_call_sees_its_parents_values(open_pool: OpenPool) -> None:
    """Values travel from loop to loop."""

    async def parent() -> str:
        variable.set("by the parent")
        return await current_pool().run(read)

    with open_pool(2) as pool:
        assert pool.submit(parent).result(PATIENCE) == "by the parent"


def test_the_librarys_threads_have_no_context(open_pool: OpenPool) -> None:
    """A bare callback on a worker's loop sees nothing of whoever opened the pool."""

    async def schedule() -> str:
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        pool_side = asyncio.get_running_loop()

        def from_thread() -> None:
            pool_side.call_soon_threadsafe(answer.set_result, variable.get())

        # Not to_thread(), which copies the context: what the thread itself has.
        _ = pool_side.run_in_executor(None, from_thread)
        return await answer

    token = variable.set("the opener's")
    try:
        with open_pool(1) as pool:
            assert pool.call(schedule) == "unset"
    finally:
        variable.reset(token)
