"""What becomes of the calls that had started on a lost worker, and of the pool: the decisions alone."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyloop._options import options_of
from polyloop._patience import FIRST_DELAY, MAX_FRUITLESS, Patience
from polyloop._suspicion import is_suspect, judge
from tests._idle_calls import make_call

if TYPE_CHECKING:
    from polyloop._messages import Call


def make_started(resubmits: int = 0, losses: int = 0, *, is_cancelling: bool = False) -> Call:
    """A call that had started on the worker which is lost."""
    call = make_call()
    # As the pool has it: options that say nothing are none.
    call.options = options_of(None, None, resubmits, None) if resubmits else None
    call.losses = losses
    call.is_cancelling = is_cancelling
    return call


def fate(call: Call, *, beside: int, goes_on: bool = True) -> str:
    """What becomes of a call that was lost with so many others beside it."""
    verdict = judge([call, *(make_started(5) for _ in range(beside))], goes_on=goes_on)
    [name] = [
        name for name in ("lost", "poison", "again") if any(each is call for each in getattr(verdict, name))
    ]
    return name


@pytest.mark.parametrize(
    ("resubmits", "losses", "beside", "expected"),
    [
        (0, 0, 0, "lost"),  # no call runs twice that may not
        (0, 0, 3, "lost"),
        (1, 0, 0, "again"),  # the first loss says nothing, alone or not
        (1, 0, 3, "again"),
        (1, 1, 3, "lost"),
        (1, 1, 0, "poison"),  # it cannot be tried alone any more, and was alone
        (2, 1, 0, "again"),  # it can: it is tried alone before it is convicted
        (2, 1, 3, "again"),
        (2, 2, 3, "lost"),
        (2, 2, 0, "poison"),
        (9, 2, 0, "poison"),  # whatever it has left
        (9, 2, 3, "again"),  # a suspect that had a nested call beside it
        (9, 8, 3, "again"),
        (9, 9, 3, "lost"),
    ],
)
def test_the_fate_of_a_call_is_decided_by_its_losses_and_its_company(
    resubmits: int, losses: int, beside: int, expected: str
) -> None:
    """It fails, is convicted or runs again: so many resubmits, so many losses before, so many beside it."""
    call = make_started(resubmits, losses)

    assert fate(call, beside=beside) == expected


@pytest.mark.parametrize(("losses", "expected"), [(0, False), (1, False), (2, True), (3, True)])
def test_a_call_that_was_lost_twice_runs_alone(losses: int, expected: bool) -> None:
    """Of the calls that run again, those run alone that were lost for the second time or more."""
    assert is_suspect(make_started(9, losses)) is expected


@pytest.mark.parametrize("losses", [0, 1, 2])
def test_a_call_that_was_asked_to_stop_is_neither_repeated_nor_convicted(losses: int) -> None:
    """Who asked it to stop hears that the worker died meanwhile (P3)."""
    assert fate(make_started(9, losses, is_cancelling=True), beside=0) == "lost"


@pytest.mark.parametrize(("losses", "expected"), [(0, "lost"), (1, "lost"), (2, "poison")])
def test_nothing_runs_again_in_a_pool_that_ends(losses: int, expected: str) -> None:
    """What would have run again is lost; what is convicted is convicted all the same."""
    assert fate(make_started(9, losses), beside=0, goes_on=False) == expected


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.booleans()), max_size=6),
    st.booleans(),
)
def test_each_call_has_one_fate(calls: list[tuple[int, int, bool]], goes_on: bool) -> None:
    """All are decided on, in their order; none is convicted beside others, or runs more often than it may."""
    started = [
        make_started(resubmits, min(losses, resubmits), is_cancelling=is_cancelling)
        for resubmits, losses, is_cancelling in calls
    ]

    verdict = judge(started, goes_on=goes_on)

    places = {call: place for place, call in enumerate(started)}
    fates = [[places[call] for call in calls] for calls in (verdict.lost, verdict.poison, verdict.again)]
    assert all(each == sorted(each) for each in fates)
    assert sorted(chain(*fates)) == list(range(len(started)))
    assert not verdict.poison or len(started) == 1
    for call in verdict.again:
        assert call.options is not None
        assert call.losses < call.options.resubmits


# -- how long to go on --------------------------------------------------------------------------


def lose(
    patience: Patience, *, there: int = 0, ended: int = 0, had: bool = True, culprit: bool = False
) -> None:
    """A worker is lost."""
    patience.lost(ended_there=there, ended=ended, had_started=had, has_culprit=culprit)


def test_each_fruitless_loss_doubles_the_delay() -> None:
    """Until there were too many of them in a row."""
    patience = Patience()
    delays: list[float] = []
    for _ in range(MAX_FRUITLESS):
        lose(patience)
        delays.append(patience.delay)

    assert delays == [FIRST_DELAY * 2**times for times in range(MAX_FRUITLESS)]
    assert not patience.is_over
    lose(patience)
    assert patience.is_over


def test_a_replacement_that_does_not_come_up_counts_too() -> None:
    """It is a replacement that finished no call."""
    patience = Patience()
    lose(patience)
    for _ in range(MAX_FRUITLESS):
        patience.failed()

    assert patience.is_over


@pytest.mark.parametrize("there", [0, 1])
def test_a_task_that_ended_anywhere_since_is_progress(there: int) -> None:
    """On the worker itself, or on another one while tasks kill this one."""
    patience = Patience()
    for _ in range(MAX_FRUITLESS):
        lose(patience, ended=7)

    lose(patience, ended=8, there=there)

    assert patience.delay == FIRST_DELAY


def test_what_ended_before_the_last_loss_is_no_progress() -> None:
    """The pool's total is compared with what it was."""
    patience = Patience()
    for _ in range(MAX_FRUITLESS + 1):
        lose(patience, ended=7)

    assert patience.is_over


def test_workers_that_die_with_nothing_to_do_are_no_good() -> None:
    """Whatever the others do: calls may wait for this very one."""
    patience = Patience()
    for ended in range(MAX_FRUITLESS + 1):
        lose(patience, ended=ended, had=False)

    assert patience.is_over


def test_a_convicted_task_is_not_held_against_the_workers() -> None:
    """So many poison tasks there may be: each of them ends with the loss that convicts it."""
    patience = Patience()
    lose(patience)
    lose(patience)
    delay = patience.delay
    for _ in range(10 * MAX_FRUITLESS):
        lose(patience, culprit=True)

    assert patience.delay == delay
    assert not patience.is_over
