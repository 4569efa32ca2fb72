"""Signal handlers and finalisers that come in between any two bytecodes of the pool's entrance."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dis import opname
from typing import TYPE_CHECKING, Any, Self

import pytest

from polyloop import LoopPool, _admission, _desks, _dispatch, _elastic, _placement, _turns
from polyloop.testing import FakeBackend
from tests._stage import nothing
from tests.model.steps import codes_of
from tests.model.watch import TOOL

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

    from polyloop import Future


# With placement it takes a minute.
ENTRANCE = [_dispatch, _desks, _admission, _turns]
MODULES = [*ENTRANCE, _placement, _elastic] if os.environ.get("POLYLOOP_NIGHTLY") else ENTRANCE
CODES = {code for module in MODULES for code in codes_of(module)}


class Handler:
    """Is called in the running thread before the given bytecodes of the entrance, as signal handlers are.

    Args:
        at: Before which of the bytecodes that run.
        handle: What is called; it is not interrupted itself.
        opcodes: Only bytecodes of these names count; None is all.
    """

    def __init__(
        self, at: set[int], handle: Callable[[], object], opcodes: frozenset[str] | None = None
    ) -> None:
        self.seen = 0
        self._at = at
        self._opcodes = opcodes
        self._handle = handle

    if sys.version_info >= (3, 12):
        # There a trace function hears of the bytecodes of a function only when it is called again.

        def __enter__(self) -> Self:
            monitoring = sys.monitoring
            monitoring.use_tool_id(TOOL, "polyloop's model checks")
            monitoring.register_callback(TOOL, monitoring.events.INSTRUCTION, self._before)
            for code in CODES:
                monitoring.set_local_events(TOOL, code, monitoring.events.INSTRUCTION)
            return self

        def __exit__(self, *exc_info: object) -> None:
            for code in CODES:
                sys.monitoring.set_local_events(TOOL, code, 0)
            sys.monitoring.register_callback(TOOL, sys.monitoring.events.INSTRUCTION, None)
            sys.monitoring.free_tool_id(TOOL)

    else:

        def __enter__(self) -> Self:
            self._tracing_before = sys.gettrace()
            sys.settrace(self._trace)
            return self

        def __exit__(self, *exc_info: object) -> None:
            sys.settrace(self._tracing_before)

        def _trace(self, frame: FrameType, event: str, _: object) -> Any:
            if frame.f_code not in CODES:
                return None
            frame.f_trace_opcodes = True
            if event == "opcode":
                self._before(frame.f_code, frame.f_lasti)
            return self._trace

    def _before(self, code: CodeType, offset: int) -> None:
        # Without what counts for jumps and what only the interpreter sees, a bytecode is a pair of bytes.
        if self._opcodes is None or opname[code.co_code[offset]] in self._opcodes:
            self.seen += 1
            if self.seen in self._at:
                self._handle()


# Where CPython looks for signals. It does not anywhere else, and so no error can come from there: between
# `flag = True` and the `try` below it, for one.
LOOKS = frozenset({"RESUME", "PRECALL", "CALL", "CALL_KW", "CALL_FUNCTION_EX", "JUMP_BACKWARD"})


def play(first: int, second: int, limit: int, *, is_ctrl_c: bool) -> int:
    """Submit, with two handlers in the middle of it; how many bytecodes that took.

    Args:
        first: Before which bytecode the first one comes; it submits too.
        second: How many bytecodes later the second one comes.
        limit: The pool's.
        is_ctrl_c: Whether the second one raises KeyboardInterrupt, or submits.
    """
    backend = FakeBackend()
    handlers = 0

    def handle() -> None:
        nonlocal handlers
        handlers += 1
        if handlers == 2 and is_ctrl_c:
            raise KeyboardInterrupt
        futures.append(pool.submit(nothing))

    handler = Handler({first, first + second}, handle, LOOKS if is_ctrl_c else None)
    with suppress(KeyboardInterrupt), LoopPool(1, backend=backend, limit=limit, grace=0.0) as pool:
        futures: list[Future[None]] = [pool.submit(nothing)]
        with handler:
            futures.append(pool.submit(nothing))
        [link] = backend.links
        while link.sent or link.running:
            link.deliver()
            for call in list(link.running):
                link.finish(call, None)
        assert pool.statistics().in_flight == 0, f"a place lost with handlers at {first} and +{second}"
    # Ctrl-C has left the block, which cancels what was left.
    assert all(future.done() for future in futures), f"lost with handlers at {first} and +{second}"
    assert pool.statistics().backlog == 0
    return handler.seen


@pytest.mark.parametrize("is_ctrl_c", [False, True], ids=["submits", "raises KeyboardInterrupt"])
@pytest.mark.parametrize("limit", [1, 10])
def test_handlers_before_any_two_bytecodes_of_a_submit(limit: int, is_ctrl_c: bool) -> None:
    """However two handlers fall into a submit, each call that was taken in ends, and gives its place back."""
    first = length = 1
    while first <= length:
        second = 1
        while first + second <= (length := play(first, second, limit, is_ctrl_c=is_ctrl_c)):
            second += 1
        first += 1
    assert first > 3
