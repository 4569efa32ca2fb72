"""One trace over several processes, with OpenTelemetry.

OpenTelemetry keeps the current span in a context variable of its own, and the span in it holds locks: neither
can be pickled. What crosses instead is what crosses between services, the headers of the W3C's Trace Context.

A variable of this program's own carries them. Its value is pickled with each call, in the caller's context,
and that writes the headers of the span that is current there. It is made again in the context of the task,
and that makes the span current there. So no call site and no function has to know of it.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from opentelemetry import context, propagate, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from polyloop import LoopPool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from opentelemetry.trace import SpanContext

# -- what it takes -------------------------------------------------------------------------


class CurrentTrace:
    """The trace that is current where this is pickled; where it is made again, it goes on."""

    def __reduce__(self) -> tuple[Callable[[dict[str, str]], CurrentTrace], tuple[dict[str, str]]]:
        headers: dict[str, str] = {}
        propagate.inject(headers)
        return go_on, (headers,)


def go_on(headers: dict[str, str]) -> CurrentTrace:
    """Make the span that the headers name the current one."""
    context.attach(propagate.extract(headers))  # for the task whose context this is, so never detached
    return CurrentTrace()


current_trace: ContextVar[CurrentTrace] = ContextVar("current_trace")


def export_spans() -> TracerProvider:
    """Send the spans of this process to where they are collected, which is the terminal here."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=line_of)))
    trace.set_tracer_provider(provider)
    return provider


@asynccontextmanager
async def exporting() -> AsyncIterator[None]:
    """As `export_spans`, for the time of a worker's life."""
    provider = export_spans()
    yield
    provider.shutdown()


def line_of(span: ReadableSpan) -> str:
    """A span as a line."""
    found = span.get_span_context()
    trace_id = found.trace_id if found is not None else 0
    return f"process {os.getpid()}  trace {trace_id:032x}  {span.name}\n"


# -- the program, which is what it was -----------------------------------------------------

tracer = trace.get_tracer("shop")


async def price(article: str) -> tuple[int, int | None]:
    """Ask for a price; returns the trace that this is part of, and the span that asked."""
    with tracer.start_as_current_span(f"price of {article}") as span:
        await asyncio.sleep(0.01)
        return origin(span)


def weigh(article: str) -> tuple[int, int | None]:
    """As `price`, in a thread."""
    with tracer.start_as_current_span(f"weight of {article}") as span:
        return origin(span)


def origin(span: trace.Span) -> tuple[int, int | None]:
    """The trace of a span, and its parent."""
    parent: SpanContext | None = getattr(span, "parent", None)
    return span.get_span_context().trace_id, parent.span_id if parent is not None else None


async def main() -> None:
    """Handle two requests, each with a trace of its own."""
    current_trace.set(CurrentTrace())  # once: what is started from here has it
    provider = export_spans()
    async with LoopPool(2, backend="process", carry=[current_trace], lifespan=exporting) as pool:
        for request in ("basket", "order"):
            with tracer.start_as_current_span(request) as span:
                origins = [
                    *await pool.map(price, ["tea", "milk", "bread"]),
                    await pool.run(price, "salt"),
                    await pool.run_sync(weigh, "tea"),
                ]
            own = span.get_span_context()
            assert origins == [(own.trace_id, own.span_id)] * 5
    provider.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
