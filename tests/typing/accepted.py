"""What both type checkers must accept, with the types they must find.

Checked by ``make types``, never run: so there is no test in here.
"""

# ruff: noqa: D102, D103 - what they would do, they never do
# mypy: disable-error-code="unused-awaitable"
# Nothing is awaited here but where that is the matter.

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
from typing import TYPE_CHECKING, Any, assert_type

import aiohttp
import httpx

import polyloop
from polyloop import Future, LoopExecutor, LoopLocal, LoopPool, MapStream, PoolView, TaskGroup

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterator
    from contextvars import ContextVar


async def fetch(url: str, *, retries: int = 3) -> bytes:
    return url.encode() * retries


async def add(one: int, other: int = 0) -> float:
    return one + other


def plain(key: str, *, times: int = 1) -> int:
    return len(key) * times


def plain_that_returns_an_awaitable(key: str) -> Awaitable[str]:
    return asyncio.sleep(0, key)


class Client:
    """Methods of all kinds, one of them typed as redis types its own."""

    async def get(self, key: str) -> bytes:
        return key.encode()

    def get_later(self, key: str) -> Awaitable[bytes]:
        return self.get(key)

    @classmethod
    async def make(cls, size: int) -> Client:
        return cls()

    async def __call__(self, key: str) -> bytes:
        return key.encode()

    async def aclose(self) -> None:
        pass


async def stream_urls() -> AsyncIterator[str]:
    yield "http://..."


async def stream_pairs() -> AsyncIterator[tuple[int, int]]:
    yield 1, 2


def submit(pool: LoopPool, client: Client) -> None:
    """`submit` and `call`."""
    assert_type(pool.submit(fetch, "u"), Future[bytes])
    assert_type(pool.submit(fetch, "u", retries=3), Future[bytes])
    assert_type(pool.submit(add, 1, other=2).result(), float)
    assert_type(pool.submit(add, 1).result(timeout=2.5), float)
    assert_type(pool.submit(add, 1).exception(), BaseException | None)
    assert_type(pool.submit(client.get, "key"), Future[bytes])
    assert_type(pool.submit(client.get_later, "key"), Future[bytes])
    assert_type(pool.submit(client, "key"), Future[bytes])
    assert_type(pool.submit(Client.make, 5), Future[Client])
    assert_type(pool.submit(plain_that_returns_an_awaitable, "key"), Future[str])
    assert_type(pool.submit(lambda: fetch("u")), Future[bytes])
    assert_type(pool.submit(functools.partial(fetch, "u")).result(), bytes)
    assert_type(pool.call(fetch, "u", retries=3), bytes)
    assert_type(pool.call(client.get_later, "key"), bytes)


async def run(pool: LoopPool, client: Client) -> None:
    """`run`, and awaiting what `submit` gives."""
    assert_type(await pool.run(fetch, "u", retries=3), bytes)
    assert_type(await pool.run(client.get_later, "key"), bytes)
    assert_type(await pool.submit(fetch, "u"), bytes)
    async with asyncio.TaskGroup() as group:
        assert_type(group.create_task(pool.run(fetch, "u")), asyncio.Task[bytes])


async def asyncio_takes_it(pool: LoopPool) -> None:
    """What asyncio offers for its own futures."""
    one, other = pool.submit(fetch, "u"), pool.submit(add, 1)
    assert_type(await asyncio.gather(one, other), tuple[bytes, float])
    assert_type(
        await asyncio.gather(one, other, return_exceptions=True),
        tuple[bytes | BaseException, float | BaseException],
    )
    assert_type(await asyncio.wait_for(one, 1.5), bytes)
    assert_type(await asyncio.shield(one), bytes)
    assert_type(await one.cancel_and_wait(), bool)
    for awaitable in asyncio.as_completed([one]):
        assert_type(await awaitable, bytes)


def concurrent_futures_takes_it(pool: LoopPool) -> None:
    """What concurrent.futures offers for its own futures."""
    futures = [pool.submit(fetch, "u")]
    done, pending = concurrent.futures.wait(futures, return_when=concurrent.futures.FIRST_COMPLETED)
    for future in done | pending:
        assert_type(future.result(), bytes)
    for future in concurrent.futures.as_completed(futures):
        assert_type(future.result(), bytes)
    standard: concurrent.futures.Future[bytes] = futures[0]
    standard.add_done_callback(lambda f: f.result().upper())


def maps(pool: LoopPool, client: Client, urls: list[str], pairs: list[tuple[int, int]]) -> None:
    """`map` and `starmap`, from sync sources."""
    assert_type(pool.map(fetch, urls), MapStream[str, bytes])
    assert_type(pool.map(client.get_later, urls, ordered=False, window=10), MapStream[str, bytes])
    assert_type(pool.map(fetch, urls, errors="return"), MapStream[str, bytes | BaseException])
    assert_type(pool.map(fetch, (url for url in urls)), MapStream[str, bytes])
    assert_type(pool.map(fetch, urls).pairs(), MapStream[str, tuple[str, bytes]])
    assert_type(iter(pool.map(fetch, urls)), Iterator[bytes])
    for body in pool.map(fetch, urls):
        assert_type(body, bytes)
    with pool.map(add, [1, 2]).pairs() as stream:
        for item, result in stream:
            assert_type(item, int)
            assert_type(result, float)
    assert_type(pool.starmap(add, pairs), MapStream[tuple[int, int], float])
    assert_type(pool.starmap(add, zip([1], [2], strict=True)), MapStream[tuple[int, int], float])
    assert_type(pool.starmap(add, pairs, errors="return"), MapStream[tuple[int, int], float | BaseException])
    assert_type(pool.map(fetch, urls, key=len), MapStream[str, bytes])
    assert_type(pool.map(fetch, urls, key=lambda url: url.encode()), MapStream[str, bytes])
    assert_type(
        pool.map(fetch, urls, key=str.lower, per_key=2, errors="return"),
        MapStream[str, bytes | BaseException],
    )
    assert_type(pool.starmap(add, pairs, key=lambda pair: pair[0]), MapStream[tuple[int, int], float])
    one_each: list[tuple[int]] = [(1,), (2,)]
    for number in pool.starmap(add, one_each):  # the other argument has a default
        assert_type(number, float)
    for first_and_second, result in pool.starmap(add, pairs, window=5).pairs():
        assert_type(first_and_second, tuple[int, int])
        assert_type(result, float)


async def async_maps(pool: LoopPool, urls: list[str]) -> None:
    """`map` and `starmap`, from async sources and for consumers that await."""
    assert_type(await pool.map(fetch, stream_urls()), list[bytes])
    assert_type([body async for body in pool.map(fetch, urls)], list[bytes])
    assert_type(await pool.starmap(add, stream_pairs()), list[float])
    async with pool.map(fetch, stream_urls(), errors="return") as stream:
        async for body in stream:
            assert_type(body, bytes | BaseException)


async def broadcasts(pool: LoopPool) -> None:
    """`broadcast`."""
    assert_type(pool.broadcast(fetch, "u", retries=3), Future[list[bytes]])
    assert_type(await pool.broadcast(add, 1), list[float])


async def groups(pool: LoopPool, client: Client) -> None:
    """`task_group`."""
    assert_type(pool.task_group(), TaskGroup)
    async with pool.task_group() as group:
        assert_type(group, TaskGroup)
        assert_type(group.create_task(fetch, "u", retries=3), Future[bytes])
        assert_type(group.create_task(add, 1).result(), float)
        assert_type(group.create_task(client.get_later, "key"), Future[bytes])
        assert_type(group.create_task(functools.partial(fetch, "u")), Future[bytes])
        assert_type(await group.create_task(fetch, "u"), bytes)


async def options(pool: LoopPool, client: Client, urls: list[str], pairs: list[tuple[int, int]]) -> None:
    """`options`, of a pool and of a group."""
    assert_type(pool.options(), PoolView)
    assert_type(pool.options(timeout=1), PoolView)
    view = pool.options(timeout=2.5, key=("user", 5), resubmits=1, name="fetching")
    assert_type(pool.options(timeout=None, key=None, worker=0, name=None), PoolView)
    assert_type(view.submit(fetch, "u", retries=3), Future[bytes])
    assert_type(view.submit(client.get_later, "key"), Future[bytes])
    assert_type(await view.run(fetch, "u"), bytes)
    assert_type(view.call(add, 1, other=2), float)
    assert_type(view.map(fetch, urls), MapStream[str, bytes])
    assert_type(view.map(fetch, urls, errors="return"), MapStream[str, bytes | BaseException])
    assert_type(view.starmap(add, pairs), MapStream[tuple[int, int], float])
    assert_type(view.broadcast(add, 1), Future[list[float]])
    async with pool.task_group() as group:
        child = group.options(timeout=1.5, worker=0, name="child")
        assert_type(child.create_task(fetch, "u", retries=3), Future[bytes])
        assert_type(child.create_task(client.get_later, "key"), Future[bytes])
        assert_type(group.options(key="u").create_task(add, 1).result(), float)


def threadsafe(client: Client, loop: asyncio.AbstractEventLoop) -> None:
    """`run_coroutine_threadsafe`."""
    assert_type(polyloop.run_coroutine_threadsafe(fetch("u", retries=3), loop), Future[bytes])
    assert_type(polyloop.run_coroutine_threadsafe(add(1), loop).result(timeout=2), float)
    assert_type(polyloop.run_coroutine_threadsafe(coro=client.get("key"), loop=loop), Future[bytes])


async def run_sync(pool: LoopPool) -> None:
    """`run_sync`."""
    assert_type(await pool.run_sync(plain, "k", times=2), int)
    assert_type(await pool.run_sync(pow, 2, 3), int)
    async with asyncio.TaskGroup() as group:
        assert_type(group.create_task(pool.run_sync(plain, "k")), asyncio.Task[int])
    polyloop.check_cancelled()


async def executors(pool: LoopPool, urls: list[str]) -> None:
    """`executor`: both kinds of functions, and as concurrent.futures and asyncio have it."""
    with pool.executor() as executor:
        assert_type(executor, LoopExecutor)
        assert_type(executor.submit(fetch, "u", retries=3), Future[bytes])
        assert_type(executor.submit(plain, "k", times=2), Future[int])
        assert_type(await executor.submit(plain, "k"), int)
        assert_type(list(executor.map(fetch, urls, timeout=2.5)), list[bytes])
        assert_type(list(executor.map(plain, urls, chunksize=10)), list[int])
    standard: concurrent.futures.Future[int] = pool.executor().submit(plain, "k")
    assert_type(standard.result(), int)
    assert_type(await asyncio.get_running_loop().run_in_executor(executor, plain, "k"), int)


def run_function() -> None:
    """`polyloop.run`, `current_pool` and `current_worker`."""
    assert_type(polyloop.run(add, 1, 2), float)
    assert_type(polyloop.run(add, 1, loops=3, limit=10), float)
    assert_type(polyloop.run(fetch, "u", loops=3), bytes)
    assert_type(polyloop.current_pool(), LoopPool)
    assert_type(polyloop.current_worker().index, int)
    assert_type(polyloop.current_worker().state, Any)


@contextlib.asynccontextmanager
async def open_client(size: int = 1) -> AsyncGenerator[Client]:
    yield Client()


async def loop_locals() -> None:
    """A `LoopLocal` of what its factory's context manager, awaitable or value is."""
    assert_type(LoopLocal(open_client), LoopLocal[Client])
    assert_type(LoopLocal(functools.partial(open_client, 5)), LoopLocal[Client])
    assert_type(LoopLocal(aiohttp.ClientSession), LoopLocal[aiohttp.ClientSession])
    assert_type(LoopLocal(lambda: httpx.AsyncClient(timeout=5)), LoopLocal[httpx.AsyncClient])
    assert_type(LoopLocal(make_client, close=Client.aclose), LoopLocal[Client])
    assert_type(LoopLocal(lambda: Client.make(5), close=print), LoopLocal[Client])
    assert_type(LoopLocal(Client, close=lambda client: client.aclose()), LoopLocal[Client])
    assert_type(LoopLocal(lambda: 5), LoopLocal[int])
    assert_type(LoopLocal(asyncio.Queue[int]), LoopLocal[asyncio.Queue[int]])
    local = LoopLocal(make_client)
    assert_type(await local.get(), Client)
    assert_type(await local.aclose(), None)
    await closes(local)
    assert_type(polyloop.share(40), int)


def loop_locals_in_calls(pool: LoopPool, local: LoopLocal[Client]) -> None:
    """`get` is a call as any other."""
    assert_type(pool.submit(local.get), Future[Client])
    assert_type(pool.broadcast(local.get), Future[list[Client]])


async def closes(local: LoopLocal[object]) -> None:
    """One of clients is one of objects."""
    await local.aclose()


async def make_client() -> Client:
    return Client()


async def open_and_close() -> None:
    """Both kinds of blocks give the pool itself."""
    with LoopPool() as pool:
        assert_type(pool, LoopPool)
    async with LoopPool(3, limit=10, backlog=None, grace=1, name="crawler") as other:
        assert_type(other, LoopPool)


def elsewhere(user: ContextVar[str], users: list[ContextVar[str]]) -> None:
    """Variables are named by themselves, by names, or both."""
    LoopPool(2, backend="process", carry=[user, "app.context:tenant"], forward_logging=True)
    LoopPool(2, backend="interpreter", carry=users)
