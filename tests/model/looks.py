"""The places where CPython looks for signals: there, and nowhere else, handlers run and Ctrl-C lands.

It looks when a function begins, before it jumps back, and after a call of something that is not written in
Python. So nothing can come between such a call's return and, say, an assignment - unless the look after that
call does, which is why a lock that was taken by one is not safe yet.
"""

from __future__ import annotations

import itertools
import sys
from contextlib import suppress
from dis import opname
from typing import TYPE_CHECKING, Any, Self, TypeVar

from tests.model.watch import TOOL

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from types import CodeType, FrameType

__all__ = ["Looks", "interrupt", "interrupted_at_each_look"]

T = TypeVar("T")

# PRECALL comes before CALL, and often does all of it.
_CALLS = frozenset({"PRECALL", "CALL", "CALL_FUNCTION_EX"})


class Looks:
    """Calls handlers in the running thread, as signal handlers are, while its block runs.

    Args:
        codes: The code in which looks are counted.
        handlers: What to call, by the number of the look, from 1. They are not interrupted themselves; on
            3.11 one that raises is the last one.
    """

    def __init__(self, codes: Collection[CodeType], handlers: Mapping[int, Callable[[], object]]) -> None:
        self.seen = 0
        """How many looks there were."""
        self._codes = frozenset(codes)
        self._handlers = handlers

    def _look(self) -> None:
        self.seen += 1
        handle = self._handlers.get(self.seen)
        if handle is not None:
            handle()

    if sys.version_info >= (3, 12):

        def __enter__(self) -> Self:
            monitoring, events = sys.monitoring, sys.monitoring.events
            monitoring.use_tool_id(TOOL, "polyloop's model checks")
            for event, callback in (
                (events.PY_START, self._on_any),
                (events.INSTRUCTION, self._on_instruction),
                (events.CALL, None),  # without it there are no returns
                (events.C_RETURN, self._on_any),
            ):
                monitoring.register_callback(TOOL, event, callback)
            for code in self._codes:
                monitoring.set_local_events(TOOL, code, events.PY_START | events.INSTRUCTION | events.CALL)
            return self

        def __exit__(self, *exc_info: object) -> None:
            for code in self._codes:
                sys.monitoring.set_local_events(TOOL, code, 0)
            events = sys.monitoring.events
            for event in (events.PY_START, events.INSTRUCTION, events.C_RETURN):
                sys.monitoring.register_callback(TOOL, event, None)
            sys.monitoring.free_tool_id(TOOL)

        def _on_any(self, *_: object) -> None:
            self._look()

        def _on_instruction(self, code: CodeType, offset: int) -> None:
            if "JUMP_BACKWARD" in opname[code.co_code[offset]]:
                self._look()

    else:
        # A trace function does not hear of such returns. So this goes by what runs next, which is where the
        # look belongs to: on 3.11 no lock is taken by the last of the bytecodes in front of a `try`.

        def __enter__(self) -> Self:
            self._last: tuple[FrameType, str] | None = None
            self._tracing_before = sys.gettrace()
            sys.settrace(self._trace)
            return self

        def __exit__(self, *exc_info: object) -> None:
            sys.settrace(self._tracing_before)
            self._last = None

        def _trace(self, frame: FrameType, event: str, _: object) -> Any:
            if frame.f_code not in self._codes:
                return None
            frame.f_trace_opcodes = True
            if event == "opcode":
                self._before(frame, opname[frame.f_code.co_code[frame.f_lasti]])
            elif event == "call":
                self._look()
            return self._trace

        def _before(self, frame: FrameType, name: str) -> None:
            last, self._last = self._last, (frame, name)
            # The one before it in the same frame was a call, and no function of these codes ran since.
            is_after_call = last is not None and last[0] is frame and last[1] in _CALLS and name != "CALL"
            if is_after_call or "JUMP_BACKWARD" in name:
                self._look()


def interrupt() -> None:
    """Ctrl-C."""
    raise KeyboardInterrupt


def interrupted_at_each_look(
    codes: Collection[CodeType], make: Callable[[], T], act: Callable[[T], object]
) -> Iterator[tuple[int, T]]:
    """Make something and act on it with Ctrl-C at the first look, then another one at the second, and so on.

    Yields:
        The number of the look, and what was acted on. The last one saw no Ctrl-C: there are fewer looks.
    """
    for at in itertools.count(1):
        thing = make()
        with suppress(KeyboardInterrupt), Looks(codes, {at: interrupt}) as looks:
            act(thing)
        yield at, thing
        if looks.seen < at:
            return
