"""``polyloop demo``: the 2019 experiment, and then a real job.

What it runs is in `_crawl`, what it crawls in `_pages`; this tells the story.
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.util
import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from .. import LoopPool, current_worker
from ._backend import Backend
from ._cluster import reach_cluster
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
    from ..ray import Cluster
    from ._backend import Place
    from ._crawl import Outcomes, Visit

__all__ = ["run_demo"]

CALLS = 9


def run_demo(folder: Path, *, pages: int, loops: int, backend: Backend = Backend.THREAD) -> None:
    """Show both parts, and write what the second brought.

    Args:
        folder: Where the results and the timeline are written; made if it is not there.
        pages: How many pages to crawl.
        loops: How many loops do it.
        backend: Where they live.

    Raises:
        WrongUsage: aiohttp, or Ray, is not installed, or the folder cannot be written to.
    """
    if importlib.util.find_spec("aiohttp") is None:
        raise WrongUsage("the demo needs aiohttp, which is not installed; pip install 'polyloop[demo]'")
    place = _demo_cluster() if backend is Backend.RAY else backend.value
    try:
        pool = LoopPool(loops, backend=place)
    except (ValueError, RuntimeError) as error:
        raise WrongUsage(str(error)) from None
    console = Console(highlight=False)
    with _writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
    _show_experiment(console, pool, loops)
    console.print()
    outcomes, statistics, seconds = _show_crawl(console, pages, loops, place)
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


def _demo_cluster() -> Cluster:
    # The pages are on this machine's loopback, and so is the cluster. The loops do nothing but wait: with a
    # CPU for each, a small machine would have no room for them.
    return dataclasses.replace(reach_cluster("local"), num_cpus=0)


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
    console: Console, pages: int, loops: int, place: Place
) -> tuple[Outcomes, PoolStatistics, float]:
    console.print(
        f"[bold]2. A crawl of {pages:,} pages that take 20 to 200 ms each, with aiohttp on {loops} loops[/]"
    )
    # Imported here, where it is known that aiohttp is there.
    from ._crawl import crawl  # noqa: PLC0415

    with pages_server() as address, show_progress(wants_bar=True) as progress:
        tally = Tally(total=pages)
        urls = [f"{address}/page/{number}" for number in range(1, pages + 1)]

        async def show() -> tuple[Outcomes, PoolStatistics]:
            showing = asyncio.create_task(keep_showing(progress, tally, lambda: None))
            try:
                return await crawl(urls, loops, place, tally)
            finally:
                showing.cancel()

        outcomes, statistics = asyncio.run(show())
        progress.finish(tally)
        return outcomes, statistics, tally.seconds


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
