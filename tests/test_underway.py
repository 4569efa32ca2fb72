"""The calls that are on their way to a worker in another process: each is settled by one thread."""

from __future__ import annotations

import threading
from contextlib import suppress
from contextvars import Context
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyloop import _underway
from polyloop._codec import BrokenFrame
from polyloop._messages import Call
from polyloop._underway import CREDIT_BYTES, Underway
from tests._gate import PATIENCE
from tests._stage import nothing
from tests.model.looks import Looks
from tests.model.steps import codes_of

if TYPE_CHECKING:
    from collections.abc import Callable

HOME: Any = None


def call(size: int = 10) -> Call:
    """A call that is packed into so many bytes."""
    call = Call(HOME, nothing, (), {}, Context())
    call.packed = (0, (), size)
    return call


def added(underway: Underway, *sizes: int) -> list[Call]:
    """So many calls, that have been added."""
    calls = [call(size) for size in sizes]
    for one in calls:
        underway.add(one)
    return calls


def test_numbers_grow_and_take_each_call_out_once() -> None:
    """From 1; None is the number of a call that has none."""
    underway = Underway()
    first, second = added(underway, 1, 1)

    assert (first.number, second.number) == (1, 2)
    assert underway
    assert underway.take(2) is second
    assert underway.take(2) is None
    assert underway.take(None) is None
    assert underway.take(1) is first
    assert not underway


def test_of_many_threads_one_takes_a_call() -> None:
    """That is the whole of "exactly once"."""
    underway = Underway()
    calls = added(underway, *[1] * 500)
    barrier = threading.Barrier(4)
    taken: list[list[Call]] = [[], [], [], []]

    def take(into: list[Call], way: Callable[[], list[Call]]) -> None:
        barrier.wait(PATIENCE)
        into += way()

    def one_by_one() -> list[Call]:
        return [one for number in range(1, 501) if (one := underway.take(number)) is not None]

    def all_at_once() -> list[Call]:
        leftovers = underway.take_all()
        return [*leftovers.started, *leftovers.unstarted]

    threads = [
        threading.Thread(target=take, args=(into, way))
        for into, way in zip(taken, [one_by_one, one_by_one, all_at_once, all_at_once], strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert sorted(id(one) for calls_of_one in taken for one in calls_of_one) == sorted(map(id, calls))


def test_what_is_left_is_told_apart_by_whether_it_has_started() -> None:
    """What has not may move to another worker, where it gets another number."""
    underway = Underway()
    first, second, third = added(underway, 1, 1, 1)
    assert underway.begin(2) == [first, second]
    underway.take(1)

    leftovers = underway.take_all()

    assert leftovers.started == [second]
    assert leftovers.unstarted == [third]
    assert (second.number, third.number) == (None, None)
    assert not underway


def test_each_call_starts_once() -> None:
    """Whether that is said of one or of many, or said again."""
    underway = Underway()
    calls = added(underway, 1, 1, 1, 1)

    begun = [underway.begin(last) for last in (1, 3, 3, 1, 4)]

    assert begun == [calls[:1], calls[1:3], [], [], calls[3:]]
    assert all(one.is_taken for one in calls)


@pytest.mark.parametrize("last", [3, 2**64 - 1])
def test_a_call_that_was_never_sent_cannot_have_started(last: int) -> None:
    """A worker that says so is broken; nobody counts to 2**64 for it."""
    underway = Underway()
    added(underway, 1, 1)

    with pytest.raises(BrokenFrame, match=f"call {last} is said to have started, and the last one sent is 2"):
        underway.begin(last)


def test_bytes_that_are_not_read_choke() -> None:
    """Until the worker has begun so many of the calls that the rest is little."""
    underway = Underway()
    added(underway, CREDIT_BYTES)
    assert not underway.is_too_much()
    added(underway, 1)
    assert underway.is_too_much()

    assert len(underway.begin(1)) == 1

    assert not underway.is_too_much()


@pytest.mark.parametrize("is_said", [False, True], ids=["before", "after"])
def test_a_call_that_is_called_off_chokes_nobody(is_said: bool) -> None:
    """Nobody reads it, or its bytes are counted when somebody does; either way they do not count for ever."""
    underway = Underway()
    large, small = added(underway, CREDIT_BYTES + 100, 1)
    if is_said:
        underway.begin(1)

    assert underway.call_off(1) is large
    assert underway.call_off(1) is None

    assert not underway.is_too_much()
    assert underway.begin(2) == [small]
    added(underway, CREDIT_BYTES)
    assert not underway.is_too_much()
    added(underway, 1)
    assert underway.is_too_much()


@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "begin", "call off", "take"]), st.integers(0, 20)), max_size=40
    )
)
def test_bytes_on_their_way_are_those_of_calls_that_have_not_begun(steps: list[tuple[str, int]]) -> None:
    """Whatever happens in whatever order: what a model that remembers everything counts."""
    underway = Underway()
    sizes: dict[int, int] = {}
    begun = last = 0

    for step, number in steps:
        match step:
            case "add":
                last = underway.add(call(number))
                sizes[last] = number
            case "begin" if number <= last:
                underway.begin(number)
                begun = max(begun, number)
            case "call off" if underway.call_off(number) is not None and number > begun:
                del sizes[number]
            case "take" if number <= begun:
                underway.take(number)
            case _:
                pass

    on_their_way = sum(size for number, size in sizes.items() if number > begun)
    assert underway._sent_bytes - underway._read_bytes == on_their_way


def test_ctrl_c_at_every_look_of_an_add() -> None:
    """A call that has a number is underway, one that has none is not, and its bytes count accordingly."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    at = 0
    is_interrupted = True
    while is_interrupted:
        at += 1
        underway = Underway()
        one = call(CREDIT_BYTES + 1)
        with suppress(KeyboardInterrupt), Looks(set(codes_of(_underway)), {at: interrupt}) as looks:
            underway.add(one)

        assert bool(underway) is (one.number is not None) is underway.is_too_much()
        is_interrupted = looks.seen >= at
    assert at > 1
