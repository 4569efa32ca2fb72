"""What a map with keys has under way and set aside, with workers that settle when the test says so."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from polyloop._errors import PoolClosed
from polyloop._keyed_window import CappedWindow
from polyloop._window import ERROR

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from polyloop._messages import Call
    from polyloop._window import Item


class Workers:
    """Take calls and keep them; what becomes of each is up to the test."""

    slots = 2

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.cancelled: list[Call] = []
        self.raises: type[BaseException] | None = None

    def accept_all(self, calls: Sequence[Call]) -> None:
        """See `Dispatch`."""
        if self.raises is not None:
            raise self.raises("the pool takes nothing")
        assert all(call.pin is not None for call in calls)
        self.calls.extend(calls)

    def cancel(self, call: Call) -> None:
        """See `Dispatch`."""
        self.cancelled.append(call)


async def nothing(_: object) -> None:
    """Is never run."""


def make_window(
    workers: Workers,
    *,
    size: int = 10,
    per_key: int = 1,
    is_ordered: bool = True,
    ends_with_errors: bool = True,
) -> CappedWindow:
    """A window over items that are tuples with their key in front."""
    return CappedWindow(
        cast("Any", workers),
        nothing,
        size=size,
        is_ordered=is_ordered,
        unpacks=False,
        key=lambda item: item[0],
        per_key=per_key,
        ends_with_errors=ends_with_errors,
    )


def sent(workers: Workers) -> list[Any]:
    """The items whose calls the pool was given."""
    return [call.args[0] for call in workers.calls]


def test_the_first_of_those_that_wait_gets_the_place_that_comes_free() -> None:
    """In order, a place belongs to who waited for it, and not to an item behind that one."""
    workers = Workers()
    window = make_window(workers, size=2)
    window.submit([("a", 1), ("a", 2), ("b", 3)])
    workers.calls[0].sink.settle_value(None)

    taken = window.take()

    assert taken is not None
    assert sent(workers) == [("a", 1), ("b", 3), ("a", 2)]
    assert window.free == 0


def test_a_key_at_its_cap_takes_no_place_from_others() -> None:
    """What is set aside leaves its place to other keys, until as much is set aside as has places."""
    window = make_window(Workers(), size=3)

    window.submit([("a", 1), ("a", 2), ("a", 3)])
    with_two_aside = window.free
    window.submit([("b", 4)])
    with_two_sent = window.free
    window.submit([("a", 5)])

    assert (with_two_aside, with_two_sent, window.free) == (1, 1, 0)


@pytest.mark.parametrize("is_ordered", [True, False])
def test_behind_an_error_that_ends_the_stream_nothing_begins(is_ordered: bool) -> None:
    """What was set aside in front of it still goes, in order; as results come, there is nothing in front."""
    workers = Workers()
    window = make_window(workers, is_ordered=is_ordered)
    window.submit([("a", 1), ("a", 2), ("b", 3), ("b", 4)])
    a, b = (call.sink for call in workers.calls)
    b.settle_error(LookupError())
    a.settle_value(None)

    window.take()

    assert sent(workers) == [("a", 1), ("b", 3)] + ([("a", 2)] if is_ordered else [])


def test_what_a_closed_pool_refuses_comes_out_so() -> None:
    """Each item that was set aside has the refusal as its error, and those after it too."""
    workers = Workers()
    window = make_window(workers, ends_with_errors=False)
    window.submit([("a", number) for number in range(4)])
    workers.raises = PoolClosed
    workers.calls[0].sink.settle_value(None)

    items = [window.take() for _ in range(4)]

    assert [item.kind for item in items if item is not None][1:] == [ERROR] * 3
    assert len({id(item.outcome) for item in items if item is not None}) == 4


@pytest.mark.parametrize(
    "step",
    [lambda window: window.submit([("c", 1), ("c", 2)]), lambda window: window.take()],
    ids=["submit", "take"],
)
def test_after_ctrl_c_in_the_middle_everything_ends(step: Callable[[CappedWindow], object]) -> None:
    """Nothing is left of which nobody knows whether it was sent: leaving the map would wait for it."""
    workers = Workers()
    window = make_window(workers)
    window.submit([("a", 1), ("a", 2), ("a", 3), ("b", 4)])
    workers.raises = KeyboardInterrupt
    workers.calls[0].sink.settle_value(None)

    with pytest.raises(KeyboardInterrupt):
        step(window)
    workers.calls[1].sink.settle_cancelled()

    assert workers.cancelled == [workers.calls[1]]
    assert window.is_settled


def test_nothing_starts_after_the_end_was_asked_for() -> None:
    """What a source still yields then, and what was set aside, is cancelled without having started."""
    workers = Workers()
    window = make_window(workers)
    window.submit([("a", 1), ("a", 2)])

    window.cancel_all()
    window.submit([("a", 3), ("b", 4)])
    workers.calls[0].sink.settle_cancelled()
    window.take()

    assert sent(workers) == [("a", 1)]
    assert window.is_settled


@pytest.mark.parametrize("is_ordered", [True, False])
def test_an_item_that_settles_while_it_is_set_aside(is_ordered: bool) -> None:
    """As one whose deadline passes: it is delivered, is never sent, and holds up nobody."""
    workers = Workers()
    window = make_window(workers, size=2, is_ordered=is_ordered, ends_with_errors=False)
    window.submit([("a", 1), ("a", 2)])
    [aside] = window._unsent
    aside.settle_error(TimeoutError())
    workers.calls[0].sink.settle_value(None)

    taken = [window.take(), window.take()]
    window.submit([("a", 3), ("b", 4)])

    assert sorted(item.value[1] for item in taken if item is not None) == [1, 2]
    assert sent(workers) == [("a", 1), ("a", 3), ("b", 4)]
    assert len(window) == 2


class WindowMachine(RuleBasedStateMachine):
    """A consumer and its workers, in any order: keys are capped, items come once, nothing gets stuck."""

    @initialize(size=st.integers(1, 4), per_key=st.integers(1, 2), is_ordered=st.booleans())
    def make(self, size: int, per_key: int, is_ordered: bool) -> None:
        """An empty window."""
        self.size, self.per_key, self.is_ordered = size, per_key, is_ordered
        self.workers = Workers()
        self.window = make_window(
            self.workers, size=size, per_key=per_key, is_ordered=is_ordered, ends_with_errors=False
        )
        self.pulled = 0
        self.settled = 0
        self.taken: list[int] = []
        self.begun = 0
        self.last: defaultdict[int, int] = defaultdict(int)

    @precondition(lambda self: self.window.free > 0)
    @rule(keys=st.lists(st.integers(0, 2), min_size=1, max_size=4))
    def submit(self, keys: list[int]) -> None:
        """As much as there is room for is pulled."""
        batch = [(key, self.pulled + at) for at, key in enumerate(keys[: self.window.free])]
        self.pulled += len(batch)
        self.window.submit(batch)

    @precondition(lambda self: self.under_way())
    @rule(data=st.data(), is_well=st.booleans())
    def settle(self, data: st.DataObject, is_well: bool) -> None:
        """A worker ends a call."""
        call = data.draw(st.sampled_from(self.under_way()))
        if is_well:
            call.sink.settle_value(None)
        else:
            call.sink.settle_error(LookupError())

    @rule()
    def take(self) -> None:
        """The consumer looks for a result."""
        item = self.window.take()
        if item is not None:
            self.taken.append(item.value[1])

    def under_way(self) -> list[Call]:
        """The calls that were sent and have not ended."""
        return [call for call in self.workers.calls if not cast("Item", call.sink).kind]

    @invariant()
    def keys_are_capped_and_in_order(self) -> None:
        """Of each key so many at most are with the workers, and they got there in order."""
        for key in range(3):
            assert sum(call.args[0][0] == key for call in self.under_way()) <= self.per_key
        for call in self.workers.calls[self.begun :]:
            key, number = call.args[0]
            assert number >= self.last[key]
            self.last[key] = number
        self.begun = len(self.workers.calls)

    @invariant()
    def it_is_bounded(self) -> None:
        """At most the window was sent and not delivered, and as much again set aside."""
        assert self.pulled - len(self.taken) == len(self.window)
        assert len(self.workers.calls) - len(self.taken) <= self.size
        assert self.pulled - len(self.workers.calls) <= self.size

    def teardown(self) -> None:
        """Every item comes out, once: in order if that was asked for."""
        while len(self.window):
            for call in self.under_way():
                call.sink.settle_value(None)
            before = len(self.taken), len(self.workers.calls)
            self.take()
            assert (len(self.taken), len(self.workers.calls)) != before, "nothing moves any more"
        assert (self.taken if self.is_ordered else sorted(self.taken)) == list(range(self.pulled))


TestWindowMachine = WindowMachine.TestCase
TestWindowMachine.settings = settings(
    max_examples=50, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
