"""Clients of HTTP that a loop has one of, and a count of them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from polyloop import LoopLocal, share
from tests._shared import PATIENCE, Tally

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Clients"]


class Clients:
    """Makes one kind of client, counts those that were made, and fetches with the loop's own."""

    def __init__(self, kind: str) -> None:
        self.made = Tally()
        self.closed = Tally()
        self.local: LoopLocal[Any] = LoopLocal(self._make)
        self.kind = kind

    @contextlib.asynccontextmanager
    async def _make(self) -> AsyncIterator[Any]:
        limit = share(30)
        client: Any
        if self.kind == "aiohttp":
            import aiohttp  # noqa: PLC0415 - each takes a worker's process its time

            client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=limit))
        else:
            import httpx  # noqa: PLC0415 - as above

            client = httpx.AsyncClient(limits=httpx.Limits(max_connections=limit), timeout=PATIENCE)
        self.made.add()
        async with client:
            yield client
        assert client.closed if self.kind == "aiohttp" else client.is_closed
        self.closed.add()

    async def fetch(self, url: str) -> str:
        """Fetch a page."""
        client = await self.local.get()
        if self.kind == "aiohttp":
            async with client.get(url) as response:
                return str(await response.text())
        return str((await client.get(url)).text)
