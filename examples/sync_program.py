"""A program without asyncio, which uses a library that has nothing else.

The library is aiohttp. The program is plain functions: it calls, it loops, it blocks. The few coroutine
functions say what to do with the library; nobody here awaits them, makes a loop or starts a thread.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web

from polyloop import LoopPool, current_worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

STATIONS = {"Bergen": 8.5, "Lisbon": 19.0, "Nairobi": 21.5, "Oslo": 2.5, "Quito": 14.0}


# -- what to do with the library -----------------------------------------------------------


@asynccontextmanager
async def http_client() -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP client for the running loop."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


async def get(url: str) -> Any:
    """The JSON document at `url`."""
    session: aiohttp.ClientSession = current_worker().state
    async with session.get(url) as response:
        response.raise_for_status()
        return await response.json()


# -- the program ---------------------------------------------------------------------------


def report(root: str) -> None:
    """Ask a weather service for its stations and for the temperature at each."""
    with LoopPool(2, lifespan=http_client) as pool:
        names = pool.call(get, f"{root}/stations")  # one call, waited for

        futures = {name: pool.submit(get, f"{root}/stations/{name}") for name in names}  # all at once
        for name, future in futures.items():
            print(f"{name:10} {future.result(timeout=10)['celsius']:5.1f} C")

        # As many as there may be: a map holds only a window of them.
        documents = pool.map(get, (f"{root}/stations/{name}" for name in names))
        print(f"{'mean':10} {sum(document['celsius'] for document in documents) / len(names):5.1f} C")

        try:
            pool.call(get, f"{root}/stations/Atlantis")
        except aiohttp.ClientResponseError as error:  # the library's own error, as it is
            print(f"Atlantis   {error.status} {error.message}")


def main() -> None:
    """Start a weather service, on a loop of its own, and report."""
    with LoopPool(1, lifespan=weather_service, name="service") as service:
        report(service.call(address))


# -- the service it talks to ---------------------------------------------------------------


async def list_stations(_: web.Request) -> web.Response:
    """All names."""
    return web.json_response(list(STATIONS))


async def show_station(request: web.Request) -> web.Response:
    """The temperature at one."""
    name = request.match_info["name"]
    if name not in STATIONS:
        raise web.HTTPNotFound
    return web.json_response({"name": name, "celsius": STATIONS[name]})


@asynccontextmanager
async def weather_service() -> AsyncIterator[str]:
    """Serve from the running loop for as long as the block lasts; yields the address."""
    app = web.Application()
    app.add_routes([web.get("/stations", list_stations), web.get("/stations/{name}", show_station)])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def address() -> str:
    """Where the service is that this loop runs."""
    return str(current_worker().state)


if __name__ == "__main__":
    main()
