"""Whether a worker still answers, in a time that passes when the test says so."""

from __future__ import annotations

from typing import Any

import pytest

from polyloop import _pulse
from polyloop._codec import Decoder, Kind
from polyloop._link import Parting
from polyloop._pulse import Pulse

LIMIT = 8.0


class Clock:
    """The time, in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """As ``time.monotonic``."""
        return self.now


class Asked:
    """An outbox that counts the questions."""

    def __init__(self) -> None:
        self.count = 0

    def put(self, frame: Any) -> None:
        """Take a question."""
        [question] = Decoder().feed(b"".join(frame))
        assert question.kind is Kind.PING
        self.count += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replaces ``time.monotonic`` there."""
    clock = Clock()
    monkeypatch.setattr(_pulse, "monotonic", clock)
    return clock


def make(limit: float | None = LIMIT) -> tuple[Pulse, Asked]:
    """A pulse, and what it asks."""
    asked: Any = Asked()
    return Pulse(limit, asked), asked


def test_without_a_limit_nobody_is_asked(clock: Clock) -> None:
    """And nobody waits."""
    pulse, asked = make(None)

    assert pulse.feel(is_busy=True) is None
    clock.now += 1e6
    assert pulse.feel(is_busy=True) is None
    assert pulse.answered() == 0.0
    assert asked.count == 0


def test_an_idle_worker_is_not_asked(clock: Clock) -> None:
    """Nobody needs to know, and nothing wakes up for it."""
    pulse, asked = make()

    assert pulse.feel(is_busy=False) is None
    assert asked.count == 0


def test_a_busy_worker_is_asked_once_and_waited_for(clock: Clock) -> None:
    """To the end of the limit, to the millisecond, however often one wakes up meanwhile."""
    pulse, asked = make()

    waits = [pulse.feel(is_busy=True)]
    clock.now += 3.0
    waits.append(pulse.feel(is_busy=True))
    clock.now += 4.9995
    waits.append(pulse.feel(is_busy=True))

    assert waits == [8001, 5001, 1]
    assert asked.count == 1


def test_one_that_answers_is_asked_again_after_a_quarter_of_the_limit(clock: Clock) -> None:
    """Not at once, and not before it has something to do."""
    pulse, asked = make()
    pulse.feel(is_busy=True)
    clock.now += 0.5

    assert pulse.answered() == 0.5
    assert pulse.feel(is_busy=False) is None
    assert pulse.feel(is_busy=True) == 2001
    clock.now += 1.999
    assert pulse.feel(is_busy=True) in (1, 2)
    assert asked.count == 1
    clock.now += 0.002
    assert pulse.feel(is_busy=True) == 8001
    assert asked.count == 2


def test_one_that_does_not_answer_parts(clock: Clock) -> None:
    """In words that name the limit."""
    pulse, _ = make()
    pulse.feel(is_busy=True)
    clock.now += LIMIT
    assert pulse.feel(is_busy=True) == 1
    clock.now += 0.001

    with pytest.raises(Parting, match=r"did not answer for 8 s, as long as stall_limit= allows"):
        pulse.feel(is_busy=True)


def test_a_question_is_waited_for_when_there_is_nothing_to_do_any_more(clock: Clock) -> None:
    """A worker that hangs after its last call is of no use for the next one."""
    pulse, _ = make()
    pulse.feel(is_busy=True)

    assert pulse.feel(is_busy=False) == 8001
    clock.now += LIMIT + 0.001
    with pytest.raises(Parting):
        pulse.feel(is_busy=False)


def test_nobody_is_blamed_by_one_who_was_away(clock: Clock) -> None:
    """After Ctrl-Z and fg the answer is there, and nobody has read it: the worker gets the limit again."""
    pulse, asked = make()
    pulse.feel(is_busy=True)
    clock.now += 3600.0

    assert pulse.feel(is_busy=True) == 8001
    assert asked.count == 1  # the question is under way still
    clock.now += LIMIT + 0.001
    with pytest.raises(Parting):
        pulse.feel(is_busy=True)


def test_an_answer_to_no_question_says_nothing(clock: Clock) -> None:
    """One that was given twice."""
    pulse, asked = make()
    pulse.feel(is_busy=True)
    pulse.answered()

    assert pulse.answered() == 0.0
    assert pulse.feel(is_busy=True) == 2001
    assert asked.count == 1
