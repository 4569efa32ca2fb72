"""Runs the real code in real threads, one step at a time, in every order up to a bound on preemptions.

Stress does not find races that are one in a million; this tries each order once. Threads take turns:
a trace function stops the running one before each step and may hand over to another. A step is a
bytecode that can touch what threads share. These cannot, so the running thread goes on through them:
locals, constants, jumps, and loads of attributes that the package stores in constructors only. Calls
are steps, and calls into C are indivisible, as the docstrings of the code under test assume of them.

An order is a tuple of deviations ``(step, thread)`` from "go on with the thread that runs, else with
the first that can": short, and replayed exactly. The search is depth first; all orders with at most
so many preemptions are tried (Musuvathi and Qadeer, "Iterative context bounding", 2007). A switch is
a preemption only if the thread that is left could have gone on.
"""

from __future__ import annotations

import dis
import functools
import gc
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

import polyloop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Found", "Scheduler", "Stopped"]

Switches = tuple[tuple[int, int], ...]

PACKAGE = Path(polyloop.__file__).parent
# An order that takes more steps than this goes round in circles.
MOST_STEPS = 20_000
MOST_ORDERS = 200_000

# Bytecodes that touch nothing that is shared, by the beginning of their names. Any that is not listed
# is a step: a new Python at worst makes the search longer.
_LOCAL = (
    "LOAD_FAST", "STORE_FAST", "DELETE_FAST", "LOAD_CONST", "LOAD_SMALL_INT", "LOAD_COMMON", "LOAD_GLOBAL",
    "LOAD_DEREF", "LOAD_CLOSURE", "LOAD_BUILD", "LOAD_ASSERT", "LOAD_SPECIAL", "COPY", "SWAP", "NOP", "NOT_TAKEN",
    "CACHE", "RESUME", "RETURN", "PUSH", "PRECALL", "KW_NAMES", "MAKE", "BUILD", "IS_OP", "COMPARE_OP", "EXTENDED",
    "CHECK", "RERAISE", "END", "JUMP_FORWARD", "JUMP_BACKWARD", "UNPACK", "FORMAT", "CONVERT", "GEN", "YIELD", "SEND",
    "GET_AWAITABLE", "GET_YIELD", "GET_ITER", "CLEANUP", "SETUP_ANNOTATIONS", "LIST_APPEND", "UNARY_NEG",
)  # fmt: skip
_COMPARES = ("COMPARE_OP", "IS_OP", "CONTAINS_OP", "TO_BOOL", "UNARY_NOT")


class Stopped(BaseException):
    """Ends a thread of an order that cannot go on."""


@dataclass
class Found:
    """What a search came to: how many orders it tried, and the first one that failed, if any."""

    interleavings: int = 0
    order: Switches | None = None
    reason: str = ""


@dataclass(eq=False)
class _Thread:
    """One thread of the model: runs one job in each order, whenever it is let."""

    index: int
    gate: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    job: Callable[[], object] | None = None
    # What it waits for; None when it can go on. One that is at rest need not go on at all.
    condition: Callable[[], object] | None = None
    is_at_rest: bool = False
    is_done: bool = True


class Scheduler:
    """Explores the orders of one model; stands in for `threading` where the code under test uses that.

    Args:
        files: Names of the package's modules whose steps are told apart; others run in one go.
    """

    def __init__(self, *files: str) -> None:
        self._files = frozenset(str(PACKAGE / name) for name in files)
        self._threads: list[_Thread] = []
        self._real: list[threading.Thread] = []
        self._all_done = threading.Semaphore(0)
        self._running: _Thread | None = None
        self._switches: dict[int, int] = {}
        self._errors: list[BaseException] = []
        self._step = self._last = 0
        self._found: list[tuple[int, int, int]] = []
        self._is_over = False

    # -- the search --------------------------------------------------------------------------

    def explore(
        self, setup: Callable[[], tuple[Sequence[Callable[[], object]], Callable[[], object]]], preemptions: int
    ) -> Found:
        """Try all orders, or all up to the first that fails.

        Args:
            setup: Makes one instance of the model: what its threads do, and what must hold in the end.
            preemptions: Most preemptions in an order.
        """
        found = Found()
        # A collection would run finalisers in the middle of whatever step comes next.
        gc.collect()
        gc.disable()
        try:
            pending: list[tuple[Switches, int]] = [((), 0)]
            while pending and found.order is None:
                order, used = pending.pop()
                found.reason = self.replay(setup, order)
                found.interleavings += 1
                if found.reason:
                    found.order = order
                elif found.interleavings > MOST_ORDERS:
                    raise RuntimeError(f"more than {MOST_ORDERS} orders: make the model smaller")
                pending += [
                    ((*order, (step, thread)), used + cost)
                    for step, thread, cost in self._found
                    if used + cost <= preemptions
                ]
        finally:
            gc.enable()
            self._end_threads()
        return found

    def replay(
        self,
        setup: Callable[[], tuple[Sequence[Callable[[], object]], Callable[[], object]]],
        order: Switches,
    ) -> str:
        """Run one order; returns what was wrong with it, or nothing."""
        self._running = None
        jobs, check = setup()
        self._begin(jobs, order)
        self._hand_over(None)
        self._all_done.acquire()
        self._running = None
        if self._last > self._step:
            raise RuntimeError("the order could not be replayed: something in the model is not deterministic")
        try:
            for error in self._errors:
                raise error  # noqa: TRY301 - the first error, as if the check had found it
            check()
        except Exception as error:  # noqa: BLE001 - whatever is wrong is the finding
            return f"{type(error).__name__}: {error}"
        return ""

    def _begin(self, jobs: Sequence[Callable[[], object]], order: Switches) -> None:
        while len(self._threads) < len(jobs):
            thread = _Thread(len(self._threads))
            self._threads.append(thread)
            # Kept for all orders: starting threads, and tracing in them, is what costs most.
            self._real.append(threading.Thread(target=self._main, args=(thread,), daemon=True))
            self._real[-1].start()
        for thread, job in zip(self._threads, jobs, strict=True):
            thread.job, thread.condition, thread.is_done = job, None, False
        self._switches = dict(order)
        self._last = order[-1][0] if order else 0
        self._step = 0
        self._found = []
        self._errors = []
        self._is_over = False

    def _end_threads(self) -> None:
        for thread in self._threads:
            thread.job = None
            thread.gate.release()
        for real in self._real:
            real.join()
        self._threads, self._real = [], []

    # -- the threads -------------------------------------------------------------------------

    def _main(self, thread: _Thread) -> None:
        while True:
            thread.gate.acquire()
            if thread.job is None:
                return
            sys.settrace(self._trace)
            try:
                thread.job()
            except Stopped:
                pass
            except BaseException as error:  # noqa: BLE001 - a finding
                self._errors.append(error)
            finally:
                sys.settrace(None)
            thread.job = None
            thread.is_done = True
            self._hand_over(None)

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename not in self._files:
            return None
        frame.f_trace_lines = False
        frame.f_trace_opcodes = True
        return self._trace_steps

    def _trace_steps(self, frame: FrameType, event: str, _: object) -> Any:
        if event == "opcode" and frame.f_lasti in _steps_of(frame.f_code):
            self._hand_over(self._running)
        return self._trace_steps

    def _hand_over(self, current: _Thread | None) -> None:
        """A step is about to be taken: by `current`, or by another thread if the order says so."""
        self._step += 1
        if self._is_over or self._step > MOST_STEPS:
            self._is_over = True
            self._errors.append(RuntimeError("endless"))
            raise Stopped
        ready = [thread for thread in self._threads if self._is_ready(thread)]
        if not ready:
            self._finish()
            return
        default = current if current is not None and current in ready else ready[0]
        index = self._switches.get(self._step)
        chosen = default if index is None else self._threads[index]
        if self._step > self._last:
            cost = int(default is current)
            self._found += [(self._step, thread.index, cost) for thread in ready if thread is not default]
        if chosen is not current:
            self._switch(current, chosen)
