"""Runs the real code in real threads, one step at a time, in every order up to a bound on preemptions.

Stress does not find races that are one in a million; this tries each order once. Threads take turns:
the running one is stopped before each step and may have to hand over to another. A step is a
bytecode that can touch what threads share (see `steps`); the running thread goes on through all others.
Calls into C are indivisible, as the docstrings of the code under test assume of them.

An order is a tuple of deviations ``(step, thread)`` from "go on with the thread that runs, else with
the first that can": short, and replayed exactly. The search is depth first; all orders with at most
so many preemptions are tried (Musuvathi and Qadeer, "Iterative context bounding", 2007). A switch is
a preemption only if the thread that is left could have gone on.
"""

from __future__ import annotations

import functools
import gc
import importlib
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from tests.model.steps import PACKAGE, codes_of, steps_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from types import CodeType, FrameType

__all__ = ["Found", "Model", "Order", "Scheduler", "Stopped"]

Order = tuple[tuple[int, int], ...]

# Far more than any model takes: beyond it, an order goes round in circles and a search never ends.
MOST_STEPS = 20_000
MOST_ORDERS = 200_000
# One of the numbers of sys.monitoring that nobody has by default.
TOOL = 4


class Stopped(BaseException):
    """Ends a thread that waits for what will never come."""


class Model(Protocol):
    """One instance of what is explored; making it is not part of the exploration."""

    @property
    def threads(self) -> Sequence[Callable[[], object]]:
        """What the threads do."""

    def check(self) -> None:
        """Assert what must hold when all threads have ended."""


@dataclass
class Found:
    """What a search came to: how many orders it tried, and the first one that failed, if any."""

    interleavings: int = 0
    order: Order | None = None
    reason: str = ""


@dataclass(eq=False)
class _Thread:
    """One thread of a model; it runs one job in each order, whenever it is let."""

    index: int
    gate: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    job: Callable[[], object] | None = None
    # What it waits for; None when it can go on. One that is at rest need not go on at all.
    condition: Callable[[], object] | None = None
    is_at_rest: bool = False
    is_stopped: bool = False
    is_done: bool = True


class Scheduler:
    """Tries the orders of one model.

    Args:
        files: Names of the package's modules whose steps are told apart; others run in one go.
        private: Attributes that only one thread ever uses, though several objects or threads have them.
    """

    def __init__(self, *files: str, private: Collection[str] = ()) -> None:
        self._modules = [importlib.import_module(f"polyloop.{file.removesuffix('.py')}") for file in files]
        self._files = frozenset(str(PACKAGE / file) for file in files)
        self._steps_of = functools.cache(functools.partial(steps_of, private=frozenset(private)))
        self._threads: list[_Thread] = []
        self._real: list[threading.Thread] = []
        self._all_done = threading.Semaphore(0)
        self._running: _Thread | None = None
        self._errors: list[BaseException] = []
        self._order: dict[int, int] = {}
        self._step = self._last = 0
        # The other ways to go on that the present order has: step, thread, preemptions.
        self._others: list[tuple[int, int, int]] = []

    def explore(self, setup: Callable[[], Model], preemptions: int = 2) -> Found:
        """Try all orders with at most so many preemptions, or all up to the first that fails."""
        found = Found()
        pending: list[tuple[Order, int]] = [((), 0)]
        # A collection would run finalisers in the middle of whatever step comes next.
        gc.collect()
        gc.disable()
        self._watch()
        try:
            while pending and found.order is None:
                order, used = pending.pop()
                found.interleavings += 1
                found.reason = self._run(setup(), order)
                if found.reason:
                    found.order = order
                others = [other for other in self._others if used + other[-1] <= preemptions]
                pending += [((*order, (step, thread)), used + cost) for step, thread, cost in others]
                if found.interleavings > MOST_ORDERS:
                    raise RuntimeError(f"more than {MOST_ORDERS} orders: make the model smaller")
        finally:
            gc.enable()
            self._unwatch()
            self._end_threads()
        return found

    def replay(self, setup: Callable[[], Model], order: Order) -> str:
        """Run one order; returns what was wrong with it, or nothing."""
        self._watch()
        try:
            return self._run(setup(), order)
        finally:
            self._unwatch()
            self._end_threads()

    def wait(self, condition: Callable[[], object], *, is_rest: bool = False) -> bool:
        """The running thread of the model waits until `condition` holds; returns whether it does.

        Args:
            condition: Looked at between steps.
            is_rest: Whether it may be that this never comes: then it returns False when no thread can go on.
        """
        thread = self._running
        if condition() or thread is None:
            return True
        thread.condition, thread.is_at_rest = condition, is_rest
        self._hand_over(thread)
        thread.condition = None
        if thread.is_stopped:
            raise Stopped
        return bool(condition())

    @property
    def current(self) -> int | None:
        """Which thread of the model is running; None outside all of them."""
        return self._running.index if self._running is not None else None

    # -- one order ---------------------------------------------------------------------------

    def _run(self, model: Model, order: Order) -> str:
        self._begin(model.threads, order)
        self._hand_over(None)
        self._all_done.acquire()
        self._running = None
        if self._last > self._step:
            raise RuntimeError("the order could not be replayed: something in the model is not deterministic")
        try:
            for error in self._errors:
                raise error
            model.check()
        except Exception as error:  # noqa: BLE001 - whatever is wrong is the finding
            return f"{type(error).__name__}: {error}"
        return ""

    def _begin(self, jobs: Sequence[Callable[[], object]], order: Order) -> None:
        while len(self._threads) < len(jobs):
            thread = _Thread(len(self._threads))
            self._threads.append(thread)
            # Kept for all orders: starting threads, and starting to trace, is what costs most.
            self._real.append(threading.Thread(target=self._main, args=(thread,), daemon=True))
            self._real[-1].start()
        for thread, job in zip(self._threads, jobs, strict=True):
            thread.job, thread.condition, thread.is_stopped, thread.is_done = job, None, False, False
        self._order = dict(order)
        self._last = order[-1][0] if order else 0
        self._step = 0
        self._others, self._errors = [], []

    def _end_threads(self) -> None:
        for thread in self._threads:
            thread.gate.release()
        for real in self._real:
            real.join()
        self._threads, self._real = [], []

    def _main(self, thread: _Thread) -> None:
        if sys.version_info < (3, 12):
            sys.settrace(self._trace)
        while True:
            thread.gate.acquire()
            if thread.job is None:
                return
            try:
                thread.job()
            except Stopped:
                pass
            except BaseException as error:  # noqa: BLE001 - a finding
                self._errors.append(error)
            thread.job, thread.is_done = None, True
            self._hand_over(thread)

    # -- where the steps are ----------------------------------------------------------------

    if sys.version_info >= (3, 12):
        # There a trace function hears of the bytecodes of a function only when it is called again.

        def _watch(self) -> None:
            monitoring = sys.monitoring
            monitoring.use_tool_id(TOOL, "polyloop's model checks")
            monitoring.register_callback(TOOL, monitoring.events.INSTRUCTION, self._on_instruction)
            self._codes = [code for module in self._modules for code in codes_of(module)]
            for code in self._codes:
                monitoring.set_local_events(TOOL, code, monitoring.events.INSTRUCTION)
            monitoring.restart_events()

        def _unwatch(self) -> None:
            for code in self._codes:
                sys.monitoring.set_local_events(TOOL, code, 0)
            sys.monitoring.register_callback(TOOL, sys.monitoring.events.INSTRUCTION, None)
            sys.monitoring.free_tool_id(TOOL)

        def _on_instruction(self, code: CodeType, offset: int) -> object:
            if offset not in self._steps_of(code):
                return sys.monitoring.DISABLE
            if self._running is not None:
                self._before_step()
            return None

    else:

        def _watch(self) -> None:
            """Each thread traces itself."""

        def _unwatch(self) -> None:
            """The threads end."""

        def _trace(self, frame: FrameType, _event: str, _argument: object) -> Any:
            if frame.f_code.co_filename not in self._files:
                return None
            frame.f_trace_lines = False
            frame.f_trace_opcodes = True
            return self._trace_steps

        def _trace_steps(self, frame: FrameType, event: str, _argument: object) -> Any:
            if event == "opcode" and frame.f_lasti in self._steps_of(frame.f_code):
                self._before_step()
            return self._trace_steps

    def _before_step(self) -> None:
        if self._step > MOST_STEPS:
            raise RuntimeError(f"an order takes more than {MOST_STEPS} steps: it goes round in circles")
        self._hand_over(self._running)

    def _hand_over(self, current: _Thread | None) -> None:
        """A step is about to be taken, by `current` or, if the order says so, by another thread."""
        self._step += 1
        ready = [thread for thread in self._threads if _is_ready(thread)]
        if not ready:
            self._conclude(current)
            return
        default = current if current in ready else ready[0]
        if self._step > self._last:
            cost = int(default is current)
            self._others += [(self._step, thread.index, cost) for thread in ready if thread is not default]
            self._switch(current, default)
        else:
            index = self._order.get(self._step)
            self._switch(current, default if index is None else self._threads[index])

    def _conclude(self, current: _Thread | None) -> None:
        """No thread can go on: those at rest end, and others that wait wait for ever."""
        waiting = [thread for thread in self._threads if not thread.is_done]
        if not waiting:
            self._all_done.release()
            return
        resting = [thread for thread in waiting if thread.is_at_rest]
        if not resting:
            self._errors.append(RuntimeError(f"deadlock of {[thread.index for thread in waiting]}"))
            waiting[0].is_stopped = True
        self._switch(current, (resting or waiting)[0])

    def _switch(self, current: _Thread | None, chosen: _Thread | None) -> None:
        if chosen is None or chosen is current:
            return
        # Looked at before anybody else runs: a thread that has ended may get its next job at once.
        goes_on = current is not None and not current.is_done
        self._running = chosen
        chosen.gate.release()
        if current is not None and goes_on:
            current.gate.acquire()


def _is_ready(thread: _Thread) -> bool:
    return not thread.is_done and (thread.condition is None or bool(thread.condition()))
