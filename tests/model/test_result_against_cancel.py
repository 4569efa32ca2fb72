"""One outcome and many who are after it: settled once, by one; heard of once, by everybody who asked."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest

from polyloop import _callbacks, _concurrent
from polyloop._callbacks import CallbackFuture
from polyloop._concurrent import FINISHED, PENDING, RUNNING, ConcurrentFuture
from polyloop._future import Future
from polyloop._local import Worker
from polyloop._messages import Cancel
from polyloop._runner import Runner
from polyloop._seat import Tally
from tests._idle_calls import CountingSink, make_call
from tests._scorecard import report
from tests.model.doubles import ModelCondition, ModelLoop, broken
from tests.model.explorer import Scheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from polyloop._mailbox import Mailbox
    from polyloop._messages import Call


@pytest.fixture
def futures(monkeypatch: pytest.MonkeyPatch) -> Scheduler:
    """Explores futures."""
    return explores_futures(monkeypatch)


def explores_futures(monkeypatch: pytest.MonkeyPatch) -> Scheduler:
    """A scheduler for futures, outside any loop."""
    files = ("_future.py", "_outcome.py", "_callbacks.py", "_concurrent.py")
    scheduler = Scheduler(*files, private={"is_child", "notify_all"})
    monkeypatch.setattr(_concurrent, "make_condition", partial(ModelCondition, scheduler))
    monkeypatch.setattr(_callbacks, "_get_running_loop", lambda: None)
    return scheduler


# -- those who wait in threads ------------------------------------------------------------------


class Waiter:
    """Installs itself in a future as ``concurrent.futures.wait`` does, and waits to be told."""

    def __init__(self, scheduler: Scheduler, future: Future[int]) -> None:
        self._scheduler = scheduler
        self._future = future
        self.told = 0

    def wait(self) -> None:
        """Return when the future is done."""
        with self._future._condition:
            if self._future._state in _concurrent.DONE:
                self.told += 1
                return
            cast("list[Any]", self._future._waiters).append(self)
        self._scheduler.wait(lambda: self.told)

    def add_result(self, _future: object) -> None:
        """It has a value."""
        self.told += 1

    def add_cancelled(self, _future: object) -> None:
        """It was cancelled."""
        self.told += 1


class ValueForBlockers:
    """A task returns while one thread blocks and another waits as ``concurrent.futures`` does."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.future = Future[int]()
        self.waiter = Waiter(scheduler, self.future)
        self.results: list[object] = []
        self.threads = [lambda: self.future.settle_value(1), self.waiter.wait, self.block]

    def block(self) -> None:
        """The one who blocks."""
        self.results.append(self.future.result())

    def check(self) -> None:
        """Both know."""
        assert self.results == [1], f"result() gave {self.results}"
        assert self.waiter.told == 1, f"the waiter was told {self.waiter.told} times"


class CancellationForWaiter:
    """A task starts and is cancelled while a thread waits as ``concurrent.futures`` does."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.future = Future[int]()
        self.waiter = Waiter(scheduler, self.future)
        self.threads = [self.start_and_end, self.waiter.wait]

    def start_and_end(self) -> None:
        """The worker."""
        self.future.started()
        self.future.settle_cancelled()

    def check(self) -> None:
        """The waiter knows, and what it sees is what there is."""
        assert self.waiter.told == 1, f"the waiter was told {self.waiter.told} times"
        assert self.future._state == self.future._phase, f"concurrent.futures sees {self.future._state}"


def test_everybody_who_blocks_is_woken(futures: Scheduler) -> None:
    """Threads that wait, by us or by concurrent.futures, hear of the outcome once, whenever they came."""
    value = futures.explore(lambda: ValueForBlockers(futures))
    cancellation = futures.explore(lambda: CancellationForWaiter(futures))

    assert value.order is None, value
    assert cancellation.order is None, cancellation
    count = value.interleavings + cancellation.interleavings
    report(12, f"settle against blocking waits: {count} interleavings, 0 violations")


def test_publishing_before_the_condition_is_there_is_found(
    futures: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A condition that is made without a look at the phase after it leaves its maker waiting for ever."""
    condition = cast("property", ConcurrentFuture.__dict__["_condition"])
    hasty = broken(cast("Any", condition.fget), ("        self._publish()\n", ""))
    monkeypatch.setattr(ConcurrentFuture, "_condition", hasty)

    found = futures.explore(lambda: ValueForBlockers(futures))

    assert "deadlock" in found.reason
    report(12, f"seeded bug, no look after the condition: found in interleaving {found.interleavings}")


# -- callbacks ----------------------------------------------------------------------------------


class Callbacks:
    """Two threads add callbacks while the task ends; one of them may take its own out again."""

    def __init__(self, *, removes: bool) -> None:
        self.future = Future[int]()
        self.called: list[str] = []
        self.removed = 0
        self.removes = removes
        self.threads = [
            self.add_and_remove,
            lambda: self.future.add_done_callback(self.two),
            lambda: self.future.settle_value(1),
        ]

    def one(self, _: object) -> None:
        """The callback that may be removed."""
        self.called.append("one")

    def two(self, _: object) -> None:
        """The other callback."""
        self.called.append("two")

    def add_and_remove(self) -> None:
        """The thread that may remove its callback."""
        self.future.add_done_callback(self.one)
        if self.removes:
            self.removed = self.future.remove_done_callback(self.one)

    def check(self) -> None:
        """Each was called or removed, once."""
        answers = sorted([*self.called, *(["one"] * self.removed)])
        assert answers == ["one", "two"], f"called {self.called}, removed {self.removed}"


@pytest.mark.parametrize("removes", [False, True])
def test_a_callback_is_called_or_removed_once(futures: Scheduler, removes: bool) -> None:
    """Whenever it was added, a callback without a loop is called once, unless it was removed before."""
    found = futures.explore(lambda: Callbacks(removes=removes))

    assert found.order is None, found
    report(12, f"settle against callbacks: {found.interleavings} interleavings, 0 violations")


class ReplyBox:
    """As much of a reply mailbox as a future uses."""

    def __init__(self, loop: ModelLoop) -> None:
        self._loop = loop

    def put(self, letter: Future[int]) -> None:
        """Have the letter arrive on the loop."""
        self._loop.call_soon(lambda: letter.arrive(cast("Mailbox[Any]", self)))


class LoopCallbacks:
    """Two loops add callbacks while the task ends elsewhere, or one does and somebody takes it out again.

    Args:
        scheduler: The one to use.
        monkeypatch: The one to use.
        remover: The thread that does: 0 is the loop that added it, 1 is the other; None is nobody.
    """

    def __init__(self, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch, remover: int | None) -> None:
        self.scheduler = scheduler
        self.remover = remover
        self.future = Future[int]()
        self.called: list[int] = []
        self.removed = 0
        self.loops = [ModelLoop(scheduler), ModelLoop(scheduler)]
        self.callbacks = [self.callback(0), self.callback(1)]
        boxes = [ReplyBox(loop) for loop in self.loops]
        monkeypatch.setattr(_callbacks, "_get_running_loop", self.running_loop)
        monkeypatch.setattr(_callbacks, "replies", lambda loop: boxes[self.loops.index(loop)])
        self.threads = [
            lambda: self.live(0),
            lambda: self.live(1),
            lambda: self.future.settle_value(1),
        ]

    def running_loop(self) -> ModelLoop | None:
        """The first two threads have a loop."""
        return self.loops[self.scheduler.current] if self.scheduler.current in {0, 1} else None

    def callback(self, index: int) -> Callable[[object], None]:
        """The callback of one loop."""

        def call(_: object) -> None:
            assert self.scheduler.current == index, f"loop {index}'s ran on {self.scheduler.current}"
            self.called.append(index)

        return call

    def live(self, index: int) -> None:
        """What a loop's thread does."""
        if self.remover is None or index == 0:
            self.future.add_done_callback(self.callbacks[index])
        if self.remover == index:
            self.removed = self.future.remove_done_callback(self.callbacks[0])
        self.loops[index].run()

    def check(self) -> None:
        """Each was called or removed, once."""
        answers = sorted([*self.called, *([0] * self.removed)])
        expected = [0, 1] if self.remover is None else [0]
        assert answers == expected, f"called {self.called}, removed {self.removed}"


@pytest.mark.parametrize("remover", [None, 0, 1])
def test_a_callback_of_a_loop_is_called_there_once(
    futures: Scheduler, monkeypatch: pytest.MonkeyPatch, remover: int | None
) -> None:
    """A callback that was added under a loop is called once on that loop, unless it was removed before."""
    found = futures.explore(lambda: LoopCallbacks(futures, monkeypatch, remover))

    assert found.order is None, found
    report(12, f"settle against callbacks of loops: {found.interleavings} interleavings, 0 violations")


def test_looking_at_the_phase_before_adding_is_found(
    futures: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A callback that is stored after the look at the phase is never called."""
    add, look = "        self._add((None, context, fn))\n", "        if self._phase in DONE:\n"
    early = f"        is_done = self._phase in DONE\n{add}        if is_done:\n"
    hasty = broken(CallbackFuture.add_done_callback, (add + look, early))
    monkeypatch.setattr(CallbackFuture, "add_done_callback", hasty)

    found = futures.explore(lambda: Callbacks(removes=False))

    assert "called ['one']" in found.reason or "called ['two']" in found.reason
    report(12, f"seeded bug, look before the callback is there: found in interleaving {found.interleavings}")


# -- the start ----------------------------------------------------------------------------------


class Start:
    """A task starts while the pool gives its worker up, and settles the future; somebody looks on."""

    def __init__(self) -> None:
        self.future = Future[int]()
        self.threads = [
            self.future.started,
            lambda: self.future.settle_error(RuntimeError("given up")),
            self.look,
        ]

    def look(self) -> None:
        """Whoever waits through concurrent.futures makes the condition, and reads the state under it."""
        with self.future._condition:
            assert self.future._state in {PENDING, RUNNING, FINISHED}

    def check(self) -> None:
        """Having started does not undo the outcome."""
        assert (self.future.done(), self.future.running(), self.future._state) == (True, False, FINISHED)


def test_a_start_does_not_undo_the_outcome(futures: Scheduler) -> None:
    """A call that starts in the moment in which its worker is given up stays settled."""
    found = futures.explore(Start)

    assert found.order is None, found
    report(12, f"start against giving up: {found.interleavings} interleavings, 0 violations")


# -- the claim ----------------------------------------------------------------------------------


class RecordingReports:
    """What a runner reports, as far as it matters here."""

    is_wanted = False

    def __init__(self) -> None:
        self.tally = Tally()

    def stuck(self, calls: Sequence[Call]) -> None:
        """Settle them, as the pool does."""
        give_up(calls)


def give_up(calls: Sequence[Call]) -> None:
    """Settle what a worker had, as the pool does with one that it gives up."""
    for call in calls:
        call.sink.settle_error(RuntimeError("given up"))


class Claims:
    """A loop runs two calls, one of which may be cancelled, while the pool gives the worker up."""

    def __init__(self, scheduler: Scheduler, *, is_cancelled: bool) -> None:
        loop = ModelLoop(scheduler)
        worker = Worker(0, 0, name="model", backend="model", loops=1, home=None)
        self.runner = Runner(cast("Any", loop), worker, cast("Any", RecordingReports()), None)
        self.sinks = [CountingSink(), CountingSink()]
        calls = [make_call(sink) for sink in self.sinks]
        for call in calls:
            loop.call_soon(self.runner.handle, call)
        if is_cancelled:
            loop.call_soon(self.runner.handle, Cancel(calls[0]))
        self.threads = [loop.run, self.abandon]

    def abandon(self) -> None:
        """The pool gives the worker up; what it starts from now on it gives back by itself."""
        give_up(self.runner.abandon())

    def check(self) -> None:
        """Each call was settled once."""
        outcomes = [sink.outcomes for sink in self.sinks]
        assert [len(each) for each in outcomes] == [1, 1], f"settled with {outcomes}"


@pytest.mark.parametrize("is_cancelled", [False, True], ids=["value", "cancelled"])
def test_a_task_is_settled_once(is_cancelled: bool) -> None:
    """Its own end, its cancellation and the loss of its worker settle a task once between them."""
    scheduler = Scheduler("_runner.py")

    found = scheduler.explore(lambda: Claims(scheduler, is_cancelled=is_cancelled))

    assert found.order is None, found
    report(12, f"result against cancel and loss: {found.interleavings} interleavings, 0 violations")


@pytest.mark.parametrize("name", ["_guard", "_settle_cancelled"])
def test_settling_without_the_claim_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeded bug 3: who settles a task without having taken it out of the unsettled settles it again."""
    scheduler = Scheduler("_runner.py")
    claimless = broken(
        getattr(Runner, name), ("self._unsettled.pop(call, False)", "self._unsettled.get(call)")
    )
    monkeypatch.setattr(Runner, name, claimless)

    found = scheduler.explore(lambda: Claims(scheduler, is_cancelled=name == "_settle_cancelled"))

    # Twice to the same sink, or once more when the sink was let go.
    assert "settled with" in found.reason or "no attribute 'sink'" in found.reason
    report(12, f"seeded bug, settle without the claim: found in interleaving {found.interleavings}")
