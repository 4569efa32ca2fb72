"""OpenTelemetry's traces go on from loop to loop, with its real SDK and an exporter in memory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import polyloop
from polyloop import LoopLocal, current_pool
from tests._gate import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext

    from polyloop import LoopPool
    from tests._open_pool import OpenPool

pytestmark = pytest.mark.backends("thread", why="no context, and no trace, goes to another process")


class Tracing:
    """A tracer, and what it has recorded."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("tests")

    async def work(self, name: object = "work") -> int:
        """A call with a span of its own; returns the id of the trace it is part of."""
        with self.tracer.start_as_current_span(str(name)) as span:
            await asyncio.sleep(0)
            return span.get_span_context().trace_id

    def plain_work(self) -> int:
        """As `work`, in a thread."""
        with self.tracer.start_as_current_span("plain") as span:
            return span.get_span_context().trace_id

    def parents(self) -> dict[str, str | None]:
        """The names of the spans that have ended, and of their parents; all must be of one trace."""
        spans = self._exporter.get_finished_spans()
        names = {_context_of(span).span_id: span.name for span in spans}
        assert len({_context_of(span).trace_id for span in spans}) == 1
        return {span.name: span.parent and names[span.parent.span_id] for span in spans}


def _context_of(span: ReadableSpan) -> SpanContext:
    found = span.get_span_context()
    assert found is not None
    return found


@pytest.fixture
def tracing() -> Iterator[Tracing]:
    """A tracer of the test's own: OpenTelemetry's global one can be set only once."""
    tracing = Tracing()
    yield tracing
    tracing.provider.shutdown()


async def every_way(pool: LoopPool, tracing: Tracing) -> list[int]:
    """The trace that calls are part of, handed in from a loop in every way there is."""
    async with pool.task_group() as group:
        child = group.create_task(tracing.work, "group")
    loop = await pool.run(_loop)
    return [
        await pool.run(tracing.work, "run"),
        await pool.submit(tracing.work, "submit"),
        *await pool.map(tracing.work, ["map 0", "map 1"]),
        *await pool.broadcast(tracing.work, "broadcast"),
        child.result(),
        await pool.run_sync(tracing.plain_work),
        await polyloop.run_coroutine_threadsafe(tracing.work("threadsafe"), loop),
    ]


async def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def test_spans_on_other_loops_are_children_of_the_callers(open_pool: OpenPool, tracing: Tracing) -> None:
    """Whichever way a call is handed in, its span has the caller's as its parent and is part of its trace."""

    async def main(pool: LoopPool) -> list[int]:
        with tracing.tracer.start_as_current_span("request"):
            return await every_way(pool, tracing)

    with open_pool(3) as pool:
        traces = asyncio.run(main(pool))

    assert len(set(traces)) == 1
    children = ["run", "submit", "map 0", "map 1", "broadcast", "group", "plain", "threadsafe"]
    assert tracing.parents() == {"request": None, **dict.fromkeys(children, "request")}


def test_a_trace_goes_on_from_code_without_a_loop(open_pool: OpenPool, tracing: Tracing) -> None:
    """A view that is not async hands its trace on by call, submit, map and an executor."""
    view = tracing.tracer.start_as_current_span("view")
    with open_pool(2) as pool, pool.executor() as executor, view as span:
        traces = [
            pool.call(tracing.work),
            pool.submit(tracing.work).result(PATIENCE),
            *pool.map(tracing.work, range(3)),
            executor.submit(tracing.work).result(PATIENCE),
            executor.submit(tracing.plain_work).result(PATIENCE),
        ]

    assert set(traces) == {span.get_span_context().trace_id}


def test_spans_nest_from_loop_to_loop(open_pool: OpenPool, tracing: Tracing) -> None:
    """A call that a call makes has that one's span as its parent, and its grandparent's trace."""

    async def outer() -> None:
        with tracing.tracer.start_as_current_span("outer"):
            await current_pool().run(tracing.work, "inner")

    with open_pool(2) as pool, tracing.tracer.start_as_current_span("root"):
        pool.call(outer)

    assert tracing.parents() == {"inner": "outer", "outer": "root", "root": None}


def test_a_hundred_requests_keep_their_traces_apart(open_pool: OpenPool, tracing: Tracing) -> None:
    """Requests that run at the same time on the same loops do not see each other's spans."""

    async def request(pool: LoopPool) -> None:
        with tracing.tracer.start_as_current_span("request") as span:
            traces = await pool.map(tracing.work, range(5))
        assert set(traces) == {span.get_span_context().trace_id}

    async def main(pool: LoopPool) -> None:
        await asyncio.gather(*[request(pool) for _ in range(100)])

    with open_pool(3) as pool:
        asyncio.run(main(pool))


def test_what_a_call_leaves_current_is_not_its_callers(open_pool: OpenPool, tracing: Tracing) -> None:
    """A span or baggage that a call attaches and never detaches is seen by nobody else."""

    async def careless() -> None:
        span = tracing.tracer.start_span("careless")
        context.attach(trace.set_span_in_context(span, baggage.set_baggage("user", "ada")))
        span.end()

    async def look() -> tuple[bool, object]:
        return trace.get_current_span().get_span_context().is_valid, baggage.get_baggage("user")

    with open_pool(1) as pool:
        pool.call(careless)

        assert pool.call(look) == (False, None)
        assert not trace.get_current_span().get_span_context().is_valid


def test_what_a_loop_keeps_has_no_trace(open_pool: OpenPool, tracing: Tracing) -> None:
    """A client that the first request opens is not part of that request's trace."""
    local = LoopLocal(tracing.work)

    with open_pool(1) as pool:
        first_request = tracing.tracer.start_as_current_span("first request")
        with first_request as span:
            opened_in = pool.call(local.get)

    assert opened_in != span.get_span_context().trace_id
