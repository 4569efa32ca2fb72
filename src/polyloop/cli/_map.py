"""``polyloop map``: one coroutine function over every item of an input, on many loops.

It reads, calls and writes in a stream: never more than a window of items is in memory, however long the
input is. What an interrupt means is decided here; how one is noticed is not.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import sys
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from .. import LoopPool, PolyloopError, PoolClosed, TaskCancelled
from .._cluster import check_address
from ._backend import Backend
from ._cluster import check_there, cluster_loops, reach_cluster
from ._feed import Feed
from ._inputs import open_source
from ._interrupt import Interrupt
from ._item_call import ItemCall, NotBegun, begin_anew, begin_no_more, begin_no_more_here
from ._outputs import STANDARD_OUTPUT, Sink, empty_output, error_line, open_output, result_line
from ._own_modules import own_modules
from ._progress import keep_showing, show_progress
from ._tally import Tally
from ._target import load_target
from ._wrong_usage import WrongUsage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable
    from pathlib import Path

    from .. import Future, MapStream
    from ._backend import Place
    from ._inputs import Format, Item, Source
    from ._progress import Progress

__all__ = ["MapJob", "run_map"]

SOME_FAILED = 1
BROKEN_PIPE = 141  # what a shell reports of a program that SIGPIPE ended

# The same as the library's own: LoopPool's limit, and its least window.
DEFAULT_LIMIT = 1000
LEAST_WINDOW = 1000

# Once the grace is over and what still runs has been cancelled: the time its clean-up gets.
CLEAN_UP_SECONDS = 1.0

# After so many results the loop's timers get a turn, even if more results are there already.
RESULTS_IN_A_ROW = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class MapJob:
    """What was asked for; the attributes are the command's arguments."""

    target: str
    source: str
    output: str
    loops: int | None
    limit: int | None
    is_ordered: bool
    app_dir: Path
    format: Format | None
    spread: bool
    key: str | None
    per_key: int | None
    grace: float
    timeout: float | None
    backend: Backend
    resubmits: int
    address: str | None


def run_map(job: MapJob) -> int:
    """Do the job; returns the exit status.

    Raises:
        WrongUsage: It cannot be done, or its input or output has failed on the way.
    """
    if not math.isfinite(job.grace):
        raise WrongUsage(f"--grace {job.grace} is not a number of seconds")
    if job.timeout is not None and not (math.isfinite(job.timeout) and job.timeout > 0):
        raise WrongUsage(f"--timeout {job.timeout:g} is not a number of seconds above 0")
    if job.per_key is not None and job.key is None:
        raise WrongUsage("--per-key needs --key, the field whose values it counts by")
    if job.address is not None:
        if job.backend is not Backend.RAY:
            raise WrongUsage("--address needs --backend ray, whose cluster it names")
        try:
            check_address("--address", job.address)
        except ValueError as error:
            raise WrongUsage(str(error)) from None
    fn = load_target(job.target, job.app_dir)
    with closing(open_source(job.source, job.format, spread=job.spread, key=job.key)) as source:
        pool = _make_pool(job)
        descriptor = open_output(job.output, source.file.fileno())
        begin_anew()
        mapping = _Mapping(job, fn, source, pool)
        # A bar would be torn by results that are printed to the same terminal.
        wants_bar = descriptor != STANDARD_OUTPUT or not os.isatty(descriptor)
        with Interrupt() as interrupt:
            with show_progress(wants_bar=wants_bar) as progress:
                asyncio.run(mapping.main(descriptor, interrupt, progress))
            return _conclude(mapping, interrupt, job)


def _make_pool(job: MapJob) -> LoopPool:
    loops: int | None = job.loops
    place: Place = job.backend.value
    if job.backend is Backend.RAY:
        place = reach_cluster(job.address, own_modules(job.app_dir))
        loops = loops or cluster_loops()
    try:
        return LoopPool(loops, backend=place, limit=job.limit or DEFAULT_LIMIT, grace=CLEAN_UP_SECONDS)
    except (ValueError, RuntimeError) as error:
        raise WrongUsage(str(error)) from None


def _conclude(mapping: _Mapping, interrupt: Interrupt, job: MapJob) -> int:
    """Say how it went; returns the exit status."""
    if isinstance(mapping.write_error, BrokenPipeError):
        # Nobody reads any more, which is no error. What the function has printed would raise at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), STANDARD_OUTPUT)
        return BROKEN_PIPE
    summary = str(mapping.tally)
    if interrupt.signal is not None:
        summary = f"stopped by {interrupt.signal.name} after {summary}"
        summary += f", {mapping.tally.unfinished:,} given up unfinished"
    if job.output != "-":
        summary += f"; results are in {job.output}"
    print("polyloop:", summary, file=sys.stderr)
    if mapping.write_error is not None:
        target = "standard output" if job.output == "-" else job.output
        raise WrongUsage(f"cannot write to {target} any more: {mapping.write_error.strerror}")
    if mapping.read_error is not None:
        raise mapping.read_error
    return interrupt.status or (SOME_FAILED if mapping.tally.failed else 0)


def _collect(future: Future[list[None]]) -> None:
    """Look at an outcome that changes nothing: of a worker that is lost, its items tell."""
    if not future.cancelled():
        future.exception()


def _field_of(name: str) -> Callable[[Item], Hashable]:
    def field_of(item: Item) -> Hashable:
        if item.problem is not None:
            raise item.problem
        return cast("Hashable", item.value[name])

    return field_of


class _Mapping:
    """One run of a job; owned by the loop of its `main`."""

    def __init__(
        self, job: MapJob, fn: Callable[..., Awaitable[Any]], source: Source, pool: LoopPool
    ) -> None:
        self.tally = Tally()
        self.write_error: OSError | None = None
        self.read_error: WrongUsage | None = None
        self._job = job
        self._call = ItemCall(fn, job.target, spread=job.spread)
        self._source = source
        self._pool = pool
        self._stream: MapStream[Item, tuple[Item, Any]] | None = None
        self._is_stopping = False
        self._closing: asyncio.Task[None] | None = None

    async def main(self, descriptor: int, interrupt: Interrupt, progress: Progress) -> None:
        """Run it to its end, or to the end that an interrupt or a failing output brings."""
        with interrupt.waking(asyncio.get_running_loop()):
            await self._run(descriptor, interrupt, progress)

    async def _run(self, descriptor: int, interrupt: Interrupt, progress: Progress) -> None:
        loop = asyncio.get_running_loop()
        interrupt.on_first = lambda: loop.call_soon_threadsafe(self._ask_to_stop, progress)
        if interrupt.signal is not None:  # it came before it could be heard
            self._ask_to_stop(progress)
        sink = Sink(descriptor, loop, on_error=self._cut_off)
        async with self._pool:
            await self._begin(descriptor)
            showing = loop.create_task(keep_showing(progress, self.tally, self._estimate))
            try:
                await self._deliver(self._make_stream(), sink)
            except WrongUsage as error:
                self.read_error = error
            except OSError as error:
                self.read_error = WrongUsage(f"cannot read {self._source.name} any further: {error.strerror}")
            finally:
                showing.cancel()
                sink.flush()
                self.write_error = sink.error
            interrupt.on_first = lambda: None  # the loop is about to be closed
            self._estimate()
            progress.finish(self.tally)
            if descriptor != STANDARD_OUTPUT:
                os.close(descriptor)

    async def _begin(self, descriptor: int) -> None:
        """Empty the output: not before it is known that there are loops, and that they have the function."""
        if self._job.backend is Backend.RAY:
            await check_there(self._pool, self._call, self._job.target)
        empty_output(descriptor)

    def _make_stream(self) -> MapStream[Item, tuple[Item, Any]]:
        source = self._source
        # Wide enough that one slow item does not hold up the others, and that every loop can be full.
        # Items that wait in it for their turn are not begun any more after an interrupt.
        places = (self._job.limit or 0) * len(self._pool.statistics().workers)
        window = max(LEAST_WINDOW, places)
        if self._job.timeout is not None:
            # An item's time begins when it is taken from the input: then it must find a free place.
            window = places or LEAST_WINDOW
        calls = self._pool.options(timeout=self._job.timeout, resubmits=self._job.resubmits)
        stream = calls.map(
            self._call,
            Feed(source) if source.can_block else source,
            ordered=self._job.is_ordered,
            window=window,
            key=None if self._job.key is None else _field_of(self._job.key),
            per_key=self._job.per_key,
            errors="return",
        ).pairs()
        if self._is_stopping:
            stream.stop()
        self._stream = stream
        return stream

    async def _deliver(self, stream: MapStream[Item, tuple[Item, Any]], sink: Sink) -> None:
        count = 0
        async for item, outcome in stream:
            line = self._line(item, outcome)
            if line is not None:
                sink.write(line)
            count += 1
            if count % RESULTS_IN_A_ROW == 0:
                await asyncio.sleep(0)

    def _line(self, item: Item, outcome: Any) -> str | None:
        """Count one outcome; returns its line, or None for an item that did not come to its end."""
        if not isinstance(outcome, BaseException):
            try:
                line = result_line(item, outcome)
                self.tally.succeeded += 1
                return line
            except (TypeError, ValueError, RecursionError) as error:
                outcome = error
        if isinstance(outcome, NotBegun):
            return None
        if self._closing is not None and isinstance(outcome, TaskCancelled | PoolClosed):
            self.tally.unfinished += 1
            return None
        self.tally.failed += 1
        return error_line(item, outcome)

    def _ask_to_stop(self, progress: Progress) -> None:
        """Begin no more items, and let those that run finish within the grace."""
        if self._is_stopping:
            return
        self._is_stopping = True
        begin_no_more()
        with suppress(PolyloopError):  # it is closed by now
            self._pool.broadcast(begin_no_more_here).add_done_callback(_collect)
        if self._stream is not None:
            self._stream.stop()
        progress.say(
            f"no more items are taken; those that run have {self._job.grace:g} s to finish "
            "(Ctrl-C again ends at once)"
        )
        asyncio.get_running_loop().call_later(self._job.grace, self._cut_off)

    def _cut_off(self) -> None:
        """Cancel what still runs; every item that was taken comes out of the stream then."""
        if self._closing is not None:
            return
        self._is_stopping = True
        if self._stream is not None:
            self._stream.stop()
        # The pool would name each call that it gives up; the summary says how many there were.
        logging.getLogger("polyloop").setLevel(logging.CRITICAL)
        self._closing = asyncio.get_running_loop().create_task(self._pool.aclose(drain=0))

    def _estimate(self) -> None:
        """How many items there will be, by the bytes that those so far have taken."""
        source = self._source
        if source.size is not None and source.bytes_read:
            self.tally.total = source.items_read * max(1.0, source.size / source.bytes_read)
