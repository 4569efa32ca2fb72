"""A crawler: hundreds of pages over three loops, with one HTTP client per loop.

An aiohttp session belongs to the loop that it was opened on. The pool's `lifespan` opens one on every loop
and closes it there; `fetch` takes that of the loop it runs on.

Run as it is, it crawls a site that it starts itself. Its `fetch` can also be given to the command line:

    polyloop map crawl:fetch urls.txt --app-dir examples
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web

import polyloop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PAGES = 300
LOOPS = 3


@asynccontextmanager
async def http_client() -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP client for the running loop."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield session


async def fetch(url: str) -> dict[str, Any]:
    """Get one page, and say what came."""
    session = polyloop.current_worker().state
    if session is not None:
        return await fetch_with(session, url)
    # Under `polyloop map` nobody can name a lifespan: a client for each page is dearer, and closed as well.
    async with http_client() as session:
        return await fetch_with(session, url)


async def fetch_with(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    """Get one page by this client."""
    async with session.get(url) as response:
        response.raise_for_status()
        body = await response.read()
        return {
            "url": url,
            "status": response.status,
            "bytes": len(body),
            "worker": polyloop.current_worker().name,
        }


async def crawl(urls: list[str]) -> None:
    """Fetch all pages and print what came."""
    begin = perf_counter()
    calls: Counter[str] = Counter()
    failures = size = 0
    async with (
        polyloop.LoopPool(LOOPS, lifespan=http_client, name="crawler") as pool,
        pool.map(fetch, urls, ordered=False, errors="return") as pages,
    ):
        async for page in pages:
            if isinstance(page, BaseException):
                failures += 1
                print(f"failed: {page}")
            else:
                calls[page["worker"]] += 1
                size += page["bytes"]
    print(f"{len(urls)} pages, {size} bytes, {failures} failed, in {perf_counter() - begin:.1f} s")
    for worker, count in sorted(calls.items()):
        print(f"{worker}: {count} pages")


# -- a site to crawl -----------------------------------------------------------------------


async def page(request: web.Request) -> web.Response:
    """Answer after 20 to 80 ms, as far-away servers do."""
    number = int(request.match_info["number"])
    await asyncio.sleep(0.02 + number % 7 * 0.01)
    return web.Response(text=f"<title>Page {number}</title>" + "text " * number, content_type="text/html")


@asynccontextmanager
async def site() -> AsyncIterator[str]:
    """Serve the pages from the running loop for as long as the block lasts; yields the address."""
    app = web.Application()
    app.add_routes([web.get("/{number}", page)])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def address() -> str:
    """Where the site is that this loop serves."""
    return str(polyloop.current_worker().state)


def main() -> None:
    """Serve a site from a loop of its own, and crawl it over three others."""
    with polyloop.LoopPool(1, lifespan=site, name="site") as server:
        root = server.call(address)
        asyncio.run(crawl([f"{root}/{number}" for number in range(PAGES)]))


if __name__ == "__main__":
    main()
