"""The web server that `polyloop demo` crawls: pages that take their time to answer.

A program of its own, run as a process of its own, so that the crawl has a real server in front of it and
not its own loops. It knows nothing of polyloop. It prints its address, and ends when its standard input
is closed, which the end of whoever started it does too.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import threading

from aiohttp import web

FASTEST = 0.020
SLOWEST = 0.200
MISSING = 404
"""This page is not there: a crawl has failures."""


async def _answer(request: web.Request) -> web.Response:
    number = int(request.match_info["number"])
    # The same page takes the same time in every run.
    await asyncio.sleep(random.Random(number).uniform(FASTEST, SLOWEST))  # noqa: S311 - no secret
    if number == MISSING:
        raise web.HTTPNotFound
    body = f"<title>Page {number}</title><p>" + "A page has to have some text. " * (number % 50)
    return web.Response(text=body, content_type="text/html")


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    closed = asyncio.Event()

    def watch_input() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(closed.set)

    app = web.Application()
    app.router.add_get(r"/page/{number:\d+}", _answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print("http://{}:{}".format(*runner.addresses[0]), flush=True)
        threading.Thread(target=watch_input, daemon=True).start()
        await closed.wait()
    finally:
        await runner.cleanup()


def main() -> None:
    """Serve until standard input is closed."""
    # Ctrl-C is for who started this, who will close standard input then.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(_serve())


if __name__ == "__main__":
    main()
