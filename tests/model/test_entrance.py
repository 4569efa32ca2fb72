"""Handing a coroutine in for a foreign loop, and cancelling it, while that loop ends."""

from __future__ import annotations

from contextvars import Context
from typing import TYPE_CHECKING, Any, cast

import pytest

from polyloop import LoopClosed, _entrance
from polyloop._entrance import Entrance
from polyloop._submission import Submission
from tests._idle_calls import CountingSink
from tests._scorecard import report
from tests.model.doubles import ModelLoop, ModelTask, ModelWaker, broken, explores_mailbox

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine

    from polyloop import Future
    from tests.model.explorer import Scheduler


class ForeignLoop(ModelLoop):
    """A loop as its entrance sees it."""

    def is_running(self) -> bool:
        """See asyncio."""
        return not self._is_closed

    def is_closed(self) -> bool:
        """See asyncio."""
        return self._is_closed

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: Any) -> None:
        """See asyncio."""
        self.call_soon(callback, *args)

    def create_task(self, coroutine: Coroutine[Any, Any, Any], *, context: object = None) -> ForeignTask:
        """See asyncio."""
        return ForeignTask(self, coroutine)


class ForeignTask(ModelTask):
    """A task as its entrance sees it."""

    def add_done_callback(self, callback: Callable[..., object]) -> None:
        """No need: its coroutine is always entered."""


class ModelForeignWaker(ModelWaker):
    """Stands in for a `ForeignWaker`; that its loop is closed is told by the model."""

    def __init__(self, loop: ModelLoop, answer: Callable[[], object], lost: Callable[[], object]) -> None:
        super().__init__(loop, answer)

    def move_in(self) -> None:
        """Nothing to do."""


@pytest.fixture
def entrances(monkeypatch: pytest.MonkeyPatch) -> Scheduler:
    """Explores entrances, with all that they are made of."""
    monkeypatch.setattr(_entrance, "ForeignWaker", ModelForeignWaker)
    return explores_mailbox(monkeypatch, "_entrance.py", "_submission.py", "_live.py")


class SubmitAgainstEnd:
    """A coroutine is handed in, and cancelled, while the loop takes some turns and is closed."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.loop = ForeignLoop(scheduler)
        self.entrance = Entrance(cast("asyncio.AbstractEventLoop", self.loop))
        self.sink = CountingSink()
        self.runs = 0
        self.is_refused = False
        self.submission = Submission(self.entrance.reference, self.work(), Context())
        self.submission.belongs_to(cast("Future[Any]", self.sink))
        self.threads: list[Callable[[], object]] = [self.submit, self.live_and_end]

    async def work(self) -> None:
        """What is handed in."""
        self.runs += 1

    def submit(self) -> None:
        """Hand it in, and cancel it."""
        try:
            self.entrance.accept(self.submission)
        except LoopClosed:
            self.submission.withdraw()
            self.is_refused = True
            return
        self.submission.cancel_task()

    def live_and_end(self) -> None:
        """Turns enough for the task to start and to end, should it come in time; then the end."""
        for _ in range(3):
            self.loop.turn()
        self.loop.close()
        self.entrance._lose()

    def check(self) -> None:
        """There is one answer, and it is a value if the coroutine ran."""
        answers = [*self.sink.outcomes, *(["refused"] if self.is_refused else [])]
        assert len(answers) == 1, f"answers {answers}"
        assert (answers == ["value"]) == (self.runs == 1), f"{answers}, and it ran {self.runs} times"


def test_a_coroutine_has_one_outcome(entrances: Scheduler) -> None:
    """It runs and is settled with its value, or is refused, cancelled or told of the end, and never ran."""
    found = entrances.explore(lambda: SubmitAgainstEnd(entrances))

    assert found.order is None, found
    report(12, f"submit against a foreign loop's end: {found.interleavings} interleavings, 0 violations")


def test_taking_without_a_claim_is_found(entrances: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeded bug: a coroutine that two threads can take is started by one and cancelled by the other."""
    careless = broken(
        Submission.take, ("        del self._coroutine  # one thread only gets past this\n", "")
    )
    monkeypatch.setattr(Submission, "take", careless)

    found = entrances.explore(lambda: SubmitAgainstEnd(entrances))

    assert found.order is not None
    report(12, f"seeded bug, no claim in take(): found in interleaving {found.interleavings}")
