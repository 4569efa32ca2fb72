"""Tells of each step of some modules' code, in the thread that is about to take it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from tests.model.steps import ANYTHING, RETURN, Steps, Touch, codes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from types import CodeType, FrameType, ModuleType

__all__ = ["TOOL", "Watch"]

# One of the numbers of sys.monitoring that nobody has by default.
TOOL = 4


class Watch:
    """Calls `before_step` with what the step may touch, before each.

    Args:
        modules: See `Steps`.
        private: See `Steps`.
        before_step: Called in the thread that takes the step, which waits.
    """

    def __init__(
        self, modules: Sequence[ModuleType], private: Collection[str], before_step: Callable[[Touch], object]
    ) -> None:
        self._modules = modules
        self._files = frozenset(module.__file__ for module in modules)
        self._private = private
        self._before_step = before_step
        self._steps: dict[CodeType, dict[int, Touch]] = {}

    if sys.version_info >= (3, 12):
        # There a trace function hears of the bytecodes of a function only when it is called again.

        def begin(self) -> None:
            """Look for the steps of the code that the modules have now."""
            monitoring = sys.monitoring
            monitoring.use_tool_id(TOOL, "polyloop's model checks")
            monitoring.register_callback(TOOL, monitoring.events.INSTRUCTION, self._on_instruction)
            steps = Steps(self._modules, self._private)
            self._steps = {code: steps.of(code) for module in self._modules for code in codes_of(module)}
            for code in self._steps:
                monitoring.set_local_events(TOOL, code, monitoring.events.INSTRUCTION)
            monitoring.restart_events()

        def begin_in_thread(self) -> None:
            """Each thread of a model calls this."""

        def end(self) -> None:
            """Tell of no more steps."""
            for code in self._steps:
                sys.monitoring.set_local_events(TOOL, code, 0)
            sys.monitoring.register_callback(TOOL, sys.monitoring.events.INSTRUCTION, None)
            sys.monitoring.free_tool_id(TOOL)

        def _on_instruction(self, code: CodeType, offset: int) -> object:
            touch = self._steps[code].get(offset)
            if touch is None:
                return sys.monitoring.DISABLE
            self._at_step(touch, sys._getframe(1))
            return None

    else:

        def begin(self) -> None:
            """Look for the steps of the code that the modules have now."""
            steps = Steps(self._modules, self._private)
            self._steps = {code: steps.of(code) for module in self._modules for code in codes_of(module)}

        def begin_in_thread(self) -> None:
            """Each thread of a model calls this."""
            traces = {code: self._trace_of(steps) for code, steps in self._steps.items()}

            def trace(frame: FrameType, _event: str, _argument: object) -> Any:
                trace_steps = traces.get(frame.f_code)
                if trace_steps is not None:
                    frame.f_trace_lines = False
                    frame.f_trace_opcodes = True
                return trace_steps

            sys.settrace(trace)

        def end(self) -> None:
            """The threads that are looked at have ended."""

        def _trace_of(self, steps: dict[int, Touch]) -> Any:
            def trace(frame: FrameType, event: str, _: object) -> Any:
                if event == "opcode" and (touch := steps.get(frame.f_lasti)) is not None:
                    self._at_step(touch, frame)
                return trace

            return trace

    def _at_step(self, touch: Touch, frame: FrameType) -> None:
        if touch is RETURN:
            caller = frame.f_back
            if caller is not None and caller.f_code.co_filename in self._files:
                return
            touch = ANYTHING
        self._before_step(touch)
