"""The service that the shops of the how-to guide ask for prices."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Prices"]

PRICES = {"tea": 3, "milk": 2, "bread": 4}


class Prices:
    """A lifespan that serves ``/prices/{article}``; the price of "nothing" is never told.

    Attributes:
        url: Where, once it has begun.
        visitors: The connections it was asked over; exact when nobody asks.
    """

    def __init__(self) -> None:
        self.url = ""
        self.visitors: set[asyncio.BaseTransport | None] = set()

    @contextlib.asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Serve on the running loop."""
        app = web.Application()
        app.add_routes([web.get("/prices/{article}", self._price)])
        # Whoever waits for the price of nothing has gone, or is to go.
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        self.url = f"http://{host}:{port}"
        try:
            yield
        finally:
            await runner.cleanup()

    async def _price(self, request: web.Request) -> web.Response:
        self.visitors.add(request.transport)
        article = request.match_info["article"]
        if article == "nothing":
            await asyncio.Event().wait()
        if article not in PRICES:
            raise web.HTTPNotFound
        return web.Response(text=str(PRICES[article]))
