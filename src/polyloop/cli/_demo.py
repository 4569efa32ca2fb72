"""``polyloop demo``: the 2019 experiment, and then a real job.

What it runs is in `_crawl`, what it crawls in `_pages`; this tells the story.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from rich.console import Console
from rich.table import Table

from .. import LoopPool, current_worker
from ._backend import Backend
from ._inputs import Item
from ._json import encode
from ._outputs import error_line, result_line
from ._progress import keep_showing, show_progress
from ._server import pages_server
from ._tally import Tally
from ._timeline import Bar, timeline_page
from ._wrong_usage import WrongUsage

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from .. import PoolStatistics
    from ._crawl import Visit

__all__ = ["run_demo"]

Outcomes: TypeAlias = "list[tuple[str, Visit | BaseException]]"
"""What came of each URL."""

CALLS = 9
AT_A_TIME = 40
"""Requests under way on each loop."""


def run_demo(folder: Path, *, pages: int, loops: int, backend: Backend = Backend.THREAD) -> None:
    """Show both parts, and write what the second brought.

    Args:
        folder: Where the results and the timeline are written; made if it is not there.
        pages: How many pages to crawl.
        loops: How many loops do it.
        backend: Where they live.

    Raises:
        WrongUsage: aiohttp is not installed, or the folder cannot be written to.
    """
    if importlib.util.find_spec("aiohttp") is None:
        raise WrongUsage("the demo needs aiohttp, which is not installed; pip install 'polyloop[demo]'")
    try:
        pool = LoopPool(loops, backend=backend.value)
    except (ValueError, RuntimeError) as error:
        raise WrongUsage(str(error)) from None
    console = Console(highlight=False)
    with _writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
    _show_experiment(console, pool, loops)
    console.print()
    outcomes, statistics, seconds = _show_crawl(console, pages, loops, backend)
    visits = [visit for _, outcome in outcomes if (visit := _visit_of(outcome)) is not None]
    alone = sum(visit.end - visit.begin for visit in visits)
    console.print(_table(statistics))
    console.print(
        f"   {pages:,} pages in {seconds:.1f} s; one after another they would have taken {alone:,.0f} s"
    )
    results, timeline = folder / "results.jsonl", folder / "timeline.html"
    with _writing_to(folder):
        results.write_text("".join(_lines(outcomes)), encoding="utf-8")
        timeline.write_text(_picture(visits, loops), encoding="utf-8")
    console.print(f"   results:  {results}\n   timeline: {timeline}", soft_wrap=True, markup=False)


@contextmanager
def _writing_to(folder: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise WrongUsage(f"cannot write to {folder}: {error.strerror}") from None


def _show_experiment(console: Console, pool: LoopPool, loops: int) -> None:
    console.print(f"[bold]1. {CALLS} calls of one second each, on {loops} loops[/]")
    with pool:
        begin = time.perf_counter()
        futures = [pool.submit(_one_second) for _ in range(CALLS)]
        for number, future in enumerate(futures, 1):
            where = future.result(timeout=5)
            console.print(f"   call {number} was answered by {where}")
        seconds = time.perf_counter() - begin
    console.print(f"   all {CALLS} in {seconds:.2f} s; one after another they take {CALLS} s")


async def _one_second() -> str:
    await asyncio.sleep(1)
    worker = current_worker()
    if worker.backend == "thread":
        return f"the thread {threading.current_thread().name}"
    if worker.backend == "interpreter":
        return f"the interpreter of {worker.name}"
    return f"the process {os.getpid()}, {worker.name}"


def _show_crawl(
    console: Console, pages: int, loops: int, backend: Backend
) -> tuple[Outcomes, PoolStatistics, float]:
    console.print(
        f"[bold]2. A crawl of {pages:,} pages that take 20 to 200 ms each, with aiohttp on {loops} loops[/]"
    )
    with pages_server() as address, show_progress(wants_bar=True) as progress:
        tally = Tally(total=pages)
        urls = [f"{address}/page/{number}" for number in range(1, pages + 1)]

        async def crawl() -> tuple[Outcomes, PoolStatistics]:
            showing = asyncio.create_task(keep_showing(progress, tally, lambda: None))
            try:
                return await _crawl(urls, loops, backend, tally)
            finally:
                showing.cancel()

        outcomes, statistics = asyncio.run(crawl())
        progress.finish(tally)
        return outcomes, statistics, tally.seconds


async def _crawl(
    urls: Sequence[str], loops: int, backend: Backend, tally: Tally
) -> tuple[Outcomes, PoolStatistics]:
    # Imported here, where it is known that aiohttp is there.
    from ._crawl import one_session_per_loop, visit  # noqa: PLC0415

    outcomes: Outcomes = []
    async with LoopPool(loops, backend=backend.value, limit=AT_A_TIME, lifespan=one_session_per_loop) as pool:
        async for url, outcome in pool.map(visit, urls, errors="return").pairs():
            outcomes.append((url, outcome))
            if isinstance(outcome, BaseException):
                tally.failed += 1
            else:
                tally.succeeded += 1
    # Read when the pool is closed: a result is there a moment before its call has been counted.
    return outcomes, pool.statistics()


def _visit_of(outcome: Visit | BaseException) -> Visit | None:
    """The request behind an outcome; None if it got no answer."""
    return getattr(outcome, "visit", None) if isinstance(outcome, BaseException) else outcome


def _table(statistics: PoolStatistics) -> Table:
    table = Table("loop", *("calls", "failures", "longest lag"))
    for column in table.columns[1:]:
        column.justify = "right"
    for worker in statistics.workers:
        table.add_row(
            str(worker.index), f"{worker.ended:,}", f"{worker.failed:,}", f"{worker.lag * 1000:.1f} ms"
        )
    table.add_section()
    longest = max(worker.lag for worker in statistics.workers)
    table.add_row("total", f"{statistics.ended:,}", f"{statistics.failed:,}", f"{longest * 1000:.1f} ms")
    return table


def _lines(outcomes: Outcomes) -> list[str]:
    lines: list[str] = []
    for index, (url, outcome) in enumerate(outcomes):
        item = Item(url, encode(url))
        item.index = index
        if isinstance(outcome, BaseException):
            lines.append(error_line(item, outcome))
        else:
            seconds = round(outcome.end - outcome.begin, 4)
            result = {"loop": outcome.worker, "bytes": outcome.length, "seconds": seconds}
            lines.append(result_line(item, result))
    return lines


def _picture(visits: Sequence[Visit], loops: int) -> str:
    bars = [
        Bar(visit.worker, visit.begin, visit.end, f"{visit.url} {visit.status}", visit.status != 200)  # noqa: PLR2004 - OK
        for visit in visits
    ]
    lanes = [f"loop {index}" for index in range(loops)]
    return timeline_page(f"{len(visits):,} pages on {loops} loops", lanes, bars)
