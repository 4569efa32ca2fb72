"""What both type checkers must refuse; an ignore that nothing needs fails the check.

Checked by ``make types``, never run: so there is no test in here.
"""

# ruff: noqa: D103 - what they would do, they never do

from __future__ import annotations

from typing import TYPE_CHECKING

import polyloop
from polyloop import LoopLocal

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

    from polyloop import LoopPool


async def fetch(url: str, *, retries: int = 3) -> bytes:
    return url.encode() * retries


async def add(one: int, other: int) -> int:
    return one + other


def plain(url: str) -> bytes:
    return url.encode()


async def generate(url: str) -> AsyncIterator[bytes]:
    yield url.encode()


def submit(pool: LoopPool) -> None:
    """`submit`."""
    pool.submit(fetch, 5).cancel()  # type: ignore[arg-type]
    pool.submit(fetch).cancel()  # type: ignore[call-arg]
    pool.submit(fetch, "u", retires=3).cancel()  # type: ignore[call-arg]
    pool.submit(fetch, "u", retries="3").cancel()  # type: ignore[arg-type]
    pool.submit(fetch, "u", 3).cancel()  # type: ignore[call-arg]
    pool.submit(fetch("u")).cancel()  # type: ignore[arg-type]
    pool.submit(plain, "u").cancel()  # type: ignore[arg-type]
    pool.submit(generate, "u").cancel()  # type: ignore[arg-type]


def call(pool: LoopPool) -> None:
    """`call`."""
    pool.call(fetch, 5)  # type: ignore[arg-type]
    pool.call(fetch)  # type: ignore[call-arg]
    pool.call(fetch, "u", retires=3)  # type: ignore[call-arg]
    pool.call(fetch("u"))  # type: ignore[arg-type]
    pool.call(plain, "u")  # type: ignore[arg-type]
    pool.call(generate, "u")  # type: ignore[arg-type]


async def run(pool: LoopPool) -> None:
    """`run`, and forgetting to await it."""
    await pool.run(fetch, 5)  # type: ignore[arg-type]
    await pool.run(fetch)  # type: ignore[call-arg]
    await pool.run(fetch, "u", retires=3)  # type: ignore[call-arg]
    await pool.run(fetch("u"))  # type: ignore[arg-type]
    await pool.run(plain, "u")  # type: ignore[arg-type]
    await pool.run(generate, "u")  # type: ignore[arg-type]
    pool.run(fetch, "u")  # type: ignore[unused-coroutine]  # nobody awaits it


def broadcast(pool: LoopPool) -> None:
    """`broadcast`."""
    pool.broadcast(fetch, 5).cancel()  # type: ignore[arg-type]
    pool.broadcast(fetch).cancel()  # type: ignore[call-arg]
    pool.broadcast(fetch, "u", retires=3).cancel()  # type: ignore[call-arg]
    pool.broadcast(fetch("u")).cancel()  # type: ignore[arg-type]
    pool.broadcast(plain, "u").cancel()  # type: ignore[arg-type]
    pool.broadcast(generate, "u").cancel()  # type: ignore[arg-type]


async def groups(pool: LoopPool) -> None:
    """`task_group`."""
    with pool.task_group():  # type: ignore[attr-defined]
        pass
    async with pool.task_group() as group:
        group.create_task(fetch, 5)  # type: ignore[arg-type]
        group.create_task(fetch)  # type: ignore[call-arg]
        group.create_task(fetch, "u", retires=3)  # type: ignore[call-arg]
        group.create_task(fetch, "u", name="u")  # type: ignore[call-arg]
        group.create_task(fetch("u"))  # type: ignore[arg-type]
        group.create_task(plain, "u")  # type: ignore[arg-type]
        group.create_task(generate, "u")  # type: ignore[arg-type]


def maps(pool: LoopPool, urls: list[str], numbers: list[int]) -> None:
    """`map`."""
    pool.map(fetch, numbers).stop()  # type: ignore[arg-type]
    pool.map(fetch).stop()  # type: ignore[call-overload]
    pool.map(fetch, urls, windwo=5).stop()  # type: ignore[call-overload]
    pool.map(fetch, urls, window="5").stop()  # type: ignore[call-overload]
    pool.map(fetch, urls, errors="ignore").stop()  # type: ignore[call-overload]
    pool.map(fetch, urls, key="host").stop()  # type: ignore[call-overload]
    pool.map(fetch, urls, key=abs).stop()  # type: ignore[arg-type]
    pool.map(fetch, urls, key=list).stop()  # type: ignore[arg-type]
    pool.map(fetch, urls, key=len, per_key="1").stop()  # type: ignore[call-overload]
    pool.map(add, numbers).stop()  # type: ignore[arg-type]
    pool.map(fetch("u"), urls).stop()  # type: ignore[call-overload]
    pool.map(plain, urls).stop()  # type: ignore[arg-type]
    pool.map(generate, urls).stop()  # type: ignore[arg-type]


def starmaps(pool: LoopPool, pairs: list[tuple[int, int]], wrong: list[tuple[str, int]]) -> None:
    """`starmap`."""
    pool.starmap(add, wrong).stop()  # type: ignore[arg-type]
    pool.starmap(add, [(1,)]).stop()  # type: ignore[arg-type]
    pool.starmap(add, [1, 2]).stop()  # type: ignore[list-item]
    pool.starmap(add).stop()  # type: ignore[call-overload]
    pool.starmap(add, pairs, key=plain).stop()  # type: ignore[arg-type]
    pool.starmap(add, pairs, windwo=5).stop()  # type: ignore[call-overload]
    pool.starmap(add, pairs, errors="ignore").stop()  # type: ignore[call-overload]
    pool.starmap(add(1, 2), pairs).stop()  # type: ignore[call-overload]
    pool.starmap(plain, [("u",)]).stop()  # type: ignore[arg-type]
    pool.starmap(generate, [("u",)]).stop()  # type: ignore[arg-type]


def options(pool: LoopPool) -> None:
    """`options` itself."""
    pool.options(timeout="1")  # type: ignore[arg-type]
    pool.options(1.5)  # type: ignore[call-arg]
    pool.options(timeuot=1)  # type: ignore[call-arg]
    pool.options(key=[])  # type: ignore[arg-type]
    pool.options(worker="0")  # type: ignore[arg-type]
    pool.options(worker=0.5)  # type: ignore[arg-type]
    pool.options(resubmits=1.5)  # type: ignore[arg-type]
    pool.options(name=5)  # type: ignore[arg-type]


async def views(pool: LoopPool, numbers: list[int]) -> None:
    """Calls through a view."""
    view = pool.options(timeout=1)
    view.submit(fetch, 5).cancel()  # type: ignore[arg-type]
    view.submit(fetch).cancel()  # type: ignore[call-arg]
    view.submit(fetch, "u", timeout=5).cancel()  # type: ignore[call-arg]
    view.submit(fetch("u")).cancel()  # type: ignore[arg-type]
    view.submit(plain, "u").cancel()  # type: ignore[arg-type]
    await view.run(fetch, 5)  # type: ignore[arg-type]
    await view.run(fetch, "u", retires=3)  # type: ignore[call-arg]
    view.run(fetch, "u")  # type: ignore[unused-coroutine]  # nobody awaits it
    view.call(fetch)  # type: ignore[call-arg]
    view.call(generate, "u")  # type: ignore[arg-type]
    view.map(fetch, numbers).stop()  # type: ignore[arg-type]
    view.map(fetch, ["u"], timeout=5).stop()  # type: ignore[call-overload]
    view.starmap(add, [(1,)]).stop()  # type: ignore[arg-type]
    view.broadcast(fetch, 5).cancel()  # type: ignore[arg-type]
    view.options(timeout=1)  # type: ignore[attr-defined]  # a view of a view is none
    view.close()  # type: ignore[attr-defined]  # nor is it a pool


async def group_views(pool: LoopPool) -> None:
    """Children through a view of their group."""
    async with pool.task_group() as group:
        group.options(timeout="1")  # type: ignore[arg-type]
        group.options(key=[])  # type: ignore[arg-type]
        group.options(timeout=1).create_task(fetch, 5).cancel()  # type: ignore[arg-type]
        group.options(timeout=1).create_task(fetch).cancel()  # type: ignore[call-arg]
        group.options(timeout=1).create_task(fetch, "u", retires=3).cancel()  # type: ignore[call-arg]
        group.options(timeout=1).create_task(fetch("u")).cancel()  # type: ignore[arg-type]
        group.options(timeout=1).create_task(plain, "u").cancel()  # type: ignore[arg-type]


def threadsafe(loop: asyncio.AbstractEventLoop) -> None:
    """`run_coroutine_threadsafe`."""
    polyloop.run_coroutine_threadsafe(fetch, loop).cancel()  # type: ignore[arg-type]
    polyloop.run_coroutine_threadsafe(fetch("u")).cancel()  # type: ignore[call-arg]
    polyloop.run_coroutine_threadsafe(plain("u"), loop).cancel()  # type: ignore[arg-type]
    polyloop.run_coroutine_threadsafe(generate("u"), loop).cancel()  # type: ignore[arg-type]


async def run_sync(pool: LoopPool) -> None:
    """`run_sync`, and forgetting to await it."""
    await pool.run_sync(plain, 5)  # type: ignore[arg-type]
    await pool.run_sync(plain)  # type: ignore[call-arg]
    await pool.run_sync(plain, "u", retires=3)  # type: ignore[call-arg]
    await pool.run_sync(fetch("u"))  # type: ignore[arg-type]
    pool.run_sync(plain, "u")  # type: ignore[unused-coroutine]  # nobody awaits it


def executors(pool: LoopPool) -> None:
    """`executor`."""
    pool.executor().submit(fetch, 5).cancel()  # type: ignore[call-overload]
    pool.executor().submit(fetch).cancel()  # type: ignore[call-overload]
    pool.executor().submit(plain, 5).cancel()  # type: ignore[call-overload]
    pool.executor().submit(plain, "u", retires=3).cancel()  # type: ignore[call-arg, arg-type]
    pool.executor().submit(fetch("u")).cancel()  # type: ignore[call-overload]


class Client:
    """A value."""


def close_by_name(name: str) -> None:
    pass


async def make_client() -> Client:
    return Client()


async def loop_locals(local: LoopLocal[int]) -> None:
    """`LoopLocal` and `share`."""
    LoopLocal(Client())  # type: ignore[call-overload]
    LoopLocal(make_client())  # type: ignore[call-overload]
    LoopLocal(fetch)  # type: ignore[arg-type]  # it needs arguments
    LoopLocal(make_client, close=close_by_name)  # type: ignore[misc]
    LoopLocal(Client, close="close")  # type: ignore[call-overload]
    LoopLocal(Client, lambda client: None)  # type: ignore[call-overload]  # by name only
    text: str = await local.get()  # type: ignore[assignment]
    local.get()  # type: ignore[unused-coroutine]  # nobody awaits it
    local.aclose()  # type: ignore[unused-coroutine]  # nobody awaits it
    polyloop.share(len(text), 3)  # type: ignore[call-arg]
    polyloop.share("40")  # type: ignore[arg-type]


def run_function() -> None:
    """`polyloop.run`."""
    polyloop.run(add, 1, "2")  # type: ignore[arg-type]
    polyloop.run(add, 1)  # type: ignore[arg-type]
    polyloop.run(add, 1, 2, lops=3)  # type: ignore[call-arg]
    polyloop.run(add(1, 2))  # type: ignore[arg-type]
    polyloop.run(plain, "u")  # type: ignore[arg-type]
    polyloop.run(generate, "u")  # type: ignore[arg-type]


def elsewhere() -> None:
    """What travels with calls is a variable or a name."""
    polyloop.LoopPool(carry=[5])  # type: ignore[list-item]
    polyloop.LoopPool(forward_logging="INFO")  # type: ignore[arg-type]
