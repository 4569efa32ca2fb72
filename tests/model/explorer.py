"""Runs the real code in real threads, one step at a time, in every order up to a bound on preemptions.

Stress does not find races that are one in a million; this tries each order once. Threads take turns:
the running one is stopped before each step and may have to hand over to another. A step is a
bytecode that can touch what threads share (see `steps`); the running thread goes on through all others.
Calls into C are indivisible, as the docstrings of the code under test assume of them.

An order is a tuple of deviations ``(step, thread)`` from "go on with the thread that runs, else with
the first that can": short, and replayed exactly. The search is depth first; all orders with at most
so many preemptions are tried (Musuvathi and Qadeer, "Iterative context bounding", 2007). A switch is
a preemption only if the thread that is left could have gone on.

Of orders that differ only in which of two steps comes first that have nothing to do with each other, one is
enough: a thread that was preempted sleeps until another has taken a step that conflicts with its own next
one, for if it went on before that, it might as well have been preempted after it (the sleep sets of
Godefroid, 1996). That takes no more preemptions, so it holds with the bound. It would not for threads that
were passed over without running, and these do not sleep.
"""

from __future__ import annotations

import gc
import importlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tests.model.one_cpu import on_one_cpu
from tests.model.steps import ANYTHING, MODEL, Touch, is_conflict
from tests.model.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

__all__ = ["Found", "Model", "Order", "Scheduler", "Stopped"]

Order = tuple[tuple[int, int], ...]

# Far more than any model takes: beyond it, an order goes round in circles and a search never ends.
MOST_STEPS = 20_000
MOST_ORDERS = 200_000


class Stopped(BaseException):
    """Ends a thread that waits for what will never come."""


class Model(Protocol):
    """One instance of what is explored; making it is not part of the exploration.

    Its own code runs in one go with the step before it, and touches only what is the model's until it calls
    what is explored; where it does anything else, it calls `Scheduler.touch` first.
    """

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
    # Released to let it go on; it has been taken at any other time.
    gate: threading.Lock = field(default_factory=threading.Lock)
    job: Callable[[], object] | None = None
    # What it waits for; None when it can go on. One that is at rest need not go on at all.
    condition: Callable[[], object] | None = None
    is_at_rest: bool = False
    # What its next step touches, if it was preempted and nobody has interfered with that yet.
    asleep: Touch | None = None
    is_stopped: bool = False
    is_done: bool = True

    def __post_init__(self) -> None:
        self.gate.acquire()

    @property
    def is_ready(self) -> bool:
        return not self.is_done and (self.condition is None or bool(self.condition()))


class Scheduler:
    """Tries the orders of one model.

    Args:
        files: Names of the package's modules whose steps are told apart; others run in one go.
        private: Attributes that need not be looked at: only one thread ever uses them, though several objects
            or threads have them, or they are methods of doubles that touch nothing of the package's.
    """

    def __init__(self, *files: str, private: Collection[str] = ()) -> None:
        modules = [importlib.import_module(f"polyloop.{file.removesuffix('.py')}") for file in files]
        self._watch = Watch(modules, private, self._before_step)
        self._threads: list[_Thread] = []
        self._real: list[threading.Thread] = []
        self._all_done = threading.Lock()
        self._all_done.acquire()
        self._running: _Thread | None = None
        self._errors: list[BaseException] = []
        self._order: dict[int, int] = {}
        self._step = self._last = 0
        # Whether the present order may have one more preemption, and whether it has anything new to show.
        self._may_preempt = self._may_differ = True
        # The other ways to go on that the present order has: step, thread, preemptions.
        self._others: list[tuple[int, int, int]] = []

    @on_one_cpu()
    def explore(self, setup: Callable[[], Model], preemptions: int = 2) -> Found:
        """Try all orders with at most so many preemptions, or all up to the first that fails."""
        found = Found()
        pending: list[tuple[Order, int]] = [((), 0)]
        # A collection would run finalisers in the middle of whatever step comes next.
        gc.collect()
        gc.disable()
        self._watch.begin()
        try:
            while pending and found.order is None:
                order, used = pending.pop()
                found.interleavings += 1
                self._may_preempt = used < preemptions
                found.reason = self._run(setup(), order)
                if found.reason:
                    found.order = order
                pending += [((*order, (step, thread)), used + cost) for step, thread, cost in self._others]
                if found.interleavings > MOST_ORDERS:
                    raise RuntimeError(f"more than {MOST_ORDERS} orders: make the model smaller")
        finally:
            gc.enable()
            self._watch.end()
            self._end_threads()
        return found

    def replay(self, setup: Callable[[], Model], order: Order) -> str:
        """Run one order; returns what was wrong with it, or nothing."""
        self._watch.begin()
        try:
            return self._run(setup(), order)
        finally:
            self._watch.end()
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
        self._go_on_elsewhere(thread)
        self._wake_sleepers(MODEL)
        thread.condition = None
        if thread.is_stopped:
            raise Stopped
        return bool(condition())

    def touch(self) -> None:
        """The running thread of the model is about to run code that is neither the model's nor told apart."""
        self._wake_sleepers(ANYTHING)

    @property
    def current(self) -> int | None:
        """Which thread of the model is running; None outside all."""
        return self._running.index if self._running is not None else None

    # -- one order ---------------------------------------------------------------------------

    def _run(self, model: Model, order: Order) -> str:
        self._begin(model.threads, order)
        self._go_on_elsewhere(None)
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
            thread.job, thread.condition, thread.asleep = job, None, None
            thread.is_stopped = thread.is_done = False
        self._order = dict(order)
        self._last = order[-1][0] if order else 0
        self._step = 0
        self._may_differ = True
        self._others, self._errors = [], []

    def _end_threads(self) -> None:
        for thread in self._threads:
            thread.gate.release()
        for real in self._real:
            real.join()
        self._threads, self._real = [], []

    def _main(self, thread: _Thread) -> None:
        self._watch.begin_in_thread()
        while True:
            thread.gate.acquire()
            if thread.job is None:
                return
            self._wake_sleepers(MODEL)
            try:
                thread.job()
            except Stopped:
                pass
            except BaseException as error:  # noqa: BLE001 - a finding
                self._errors.append(error)
            thread.job, thread.is_done = None, True
            self._go_on_elsewhere(thread)

    # -- who goes on ------------------------------------------------------------------------

    def _before_step(self, touch: Touch) -> None:
        """The running thread is about to take a step, unless the order says that it is preempted."""
        current = self._running
        if current is None:
            return  # the model is made, or checked
        self._step += 1
        if self._step > MOST_STEPS:
            raise RuntimeError(f"an order takes more than {MOST_STEPS} steps: it goes round in circles")
        if self._step > self._last:
            if self._may_preempt and self._may_differ:
                ready = [thread for thread in self._threads if thread is not current and thread.is_ready]
                self._others += [(self._step, thread.index, 1) for thread in ready if thread.asleep is None]
        elif (index := self._order.get(self._step)) is not None:
            current.asleep = touch
            self._switch(current, self._threads[index])
            current.asleep = None
        self._wake_sleepers(touch)

    def _wake_sleepers(self, touch: Touch) -> None:
        """A step is taken."""
        for thread in self._threads:
            if thread.asleep is not None and is_conflict(thread.asleep, touch):
                thread.asleep = None

    def _go_on_elsewhere(self, current: _Thread | None) -> None:
        """`current`, if any, cannot go on."""
        self._step += 1
        ready = [thread for thread in self._threads if thread.is_ready]
        if not ready:
            self._conclude(current)
            return
        awake = [thread for thread in ready if thread.asleep is None]
        if not awake:
            # This order has been tried, with the next step of the sleeper in another place.
            self._may_differ = False
        default, *others = awake or ready
        index = self._order.get(self._step)
        if self._step > self._last and self._may_differ:
            self._others += [(self._step, thread.index, 0) for thread in others]
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

    def _switch(self, current: _Thread | None, chosen: _Thread) -> None:
        if chosen is current:
            return
        # Looked at before anybody else runs: a thread that has ended may get its next job at once.
        goes_on = current is not None and not current.is_done
        self._running = chosen
        chosen.gate.release()
        if current is not None and goes_on:
            current.gate.acquire()
