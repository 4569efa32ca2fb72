"""A real HTTP server on loopback, in a thread of its own, for clients that tests run on many loops."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING

from aiohttp import web

from polyloop import LoopPool, current_worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests._gate import Gate

__all__ = ["Visitors", "http_site"]


class Visitors:
    """Who is connected, as the server sees it."""

    def __init__(self) -> None:
        self.now: set[asyncio.Transport] = set()
        self.all = 0
        self.requests = 0


@contextlib.contextmanager
def http_site(gate: Gate) -> Iterator[tuple[str, Visitors]]:
    """Serve two pages: ``fast``, and ``slow``, which passes through the gate.

    Yields:
        The address, which ends with a slash, and who visits.
    """
    visitors = Visitors()

    @contextlib.asynccontextmanager
    async def serve() -> AsyncIterator[str]:
        async def page(request: web.Request) -> web.Response:
            visitors.requests += 1
            transport = request.transport
            assert isinstance(transport, asyncio.Transport)
            if transport not in visitors.now:
                visitors.now.add(transport)
                visitors.all += 1
            if request.path == "/slow":
                await gate.passage()
            return web.Response(text=threading.current_thread().name)

        app = web.Application()
        app.add_routes([web.get("/{name}", page)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield "http://{}:{}/".format(*runner.addresses[0])
        await runner.cleanup()

    async def address() -> str:
        return str(current_worker().state)

    with LoopPool(1, lifespan=serve, name="site") as pool:
        yield pool.call(address), visitors
