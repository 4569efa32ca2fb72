"""Which items may go where each key may have so many under way: the bookkeeping alone."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from polyloop._lanes import Lanes, Place


def enter(lanes: Lanes[str], *names: str) -> list[Place[str]]:
    """Enter items that are named by their key and something more; returns their places."""
    places = [Place(number, name, name[0]) for number, name in enumerate(names)]
    for place in places:
        lanes.enter(place)
    return places


def test_so_many_of_one_key_may_go_at_once() -> None:
    """What is above the width of its lane waits; other keys are not held up by it."""
    lanes: Lanes[str] = Lanes(2)
    places = enter(lanes, "a1", "a2", "a3", "b1", "a4")

    assert [place.item for place in places if place.is_under_way] == ["a1", "a2", "b1"]
    assert len(lanes) == 2


def test_who_waits_goes_when_one_of_its_key_has_ended() -> None:
    """The first that waits in its lane goes, and nobody goes for an end in another lane."""
    lanes: Lanes[str] = Lanes(1)
    first, _, _, other = enter(lanes, "a1", "a2", "a3", "b1")

    lanes.end(other)
    for_nothing = lanes.release(10)
    lanes.end(first)

    assert for_nothing == []
    assert lanes.release(10) == ["a2"]
    assert lanes.release(10) == []
    assert len(lanes) == 1


def test_the_first_of_all_lanes_goes_first() -> None:
    """Where there is room for fewer than may go, those with the lowest numbers go, whatever their keys."""
    lanes: Lanes[str] = Lanes(1)
    a, b, *_ = enter(lanes, "a1", "b1", "b2", "a2", "b3")
    lanes.end(a)
    lanes.end(b)

    assert lanes.release(0) == []
    assert lanes.release(1) == ["b2"]
    assert lanes.release(1) == ["a2"]


def test_only_those_before_a_number_go() -> None:
    """What is behind it waits on, though it might go."""
    lanes: Lanes[str] = Lanes(1)
    a, b, *_ = enter(lanes, "a1", "b1", "a2", "b2")
    lanes.end(a)
    lanes.end(b)

    assert lanes.release(10, before=3) == ["a2"]
    assert len(lanes) == 1


def test_an_end_counts_once() -> None:
    """Told twice of an end, a lane lets nobody more go."""
    lanes: Lanes[str] = Lanes(1)
    first, *_ = enter(lanes, "a1", "a2", "a3")
    lanes.end(first)
    lanes.end(first)

    assert lanes.release(10) == ["a2"]
    lanes.end(first)
    assert lanes.release(10) == []


def test_who_ends_while_it_waits_never_goes() -> None:
    """Those behind it go in its place."""
    lanes: Lanes[str] = Lanes(1)
    first, second, _ = enter(lanes, "a1", "a2", "a3")
    lanes.end(first)
    lanes.end(second)

    assert len(lanes) == 1
    assert lanes.release(10) == ["a3"]


def test_keys_that_have_ended_are_forgotten() -> None:
    """Of a key without items nothing is kept, however many keys there were."""
    lanes: Lanes[str] = Lanes(1)
    a, b = enter(lanes, "a1", "b1")
    lanes.end(a)
    lanes.end(b)

    assert lanes.keys == 0


class Fickle:
    """A key whose hash can change."""

    def __init__(self) -> None:
        self.hash = 1

    def __hash__(self) -> int:
        return self.hash


def test_a_key_whose_hash_changes_harms_nobody() -> None:
    """Its own items go in order still, and those of other keys do not get into its lane."""
    lanes: Lanes[str] = Lanes(1)
    key = Fickle()
    first, second = Place(1, "first", key), Place(2, "second", key)
    lanes.enter(first)
    lanes.enter(second)
    key.hash = 2
    lanes.end(first)

    assert lanes.release(10) == ["second"]
    lanes.end(second)
    assert lanes.release(10) == []


def test_a_key_that_cannot_be_hashed() -> None:
    """It is refused, and nothing was taken."""
    lanes: Lanes[str] = Lanes(1)
    key: Any = []

    with pytest.raises(TypeError, match="unhashable"):
        lanes.enter(Place(1, "first", key))
    assert len(lanes) == lanes.keys == 0


class LanesMachine(RuleBasedStateMachine):
    """Items come and end in any order; per key they go in theirs, so many at a time, none is forgotten."""

    @initialize(width=st.integers(1, 3))
    def make(self, width: int) -> None:
        """Empty lanes."""
        self.width = width
        self.lanes: Lanes[int] = Lanes(width)
        self.places: list[Place[int]] = []
        self.under_way: list[int] = []
        self.waiting: list[int] = []
        self.gone: defaultdict[int, list[int]] = defaultdict(list)

    @rule(key=st.integers(0, 3))
    def enter(self, key: int) -> None:
        """An item comes."""
        number = len(self.places)
        place = Place(number, number, key)
        self.places.append(place)
        self.lanes.enter(place)
        if place.is_under_way:
            self.go(number)
        else:
            self.waiting.append(number)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        """One ends."""
        number = data.draw(st.sampled_from(self.under_way))
        self.under_way.remove(number)
        self.lanes.end(self.places[number])

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """One that waits ends without having gone."""
        number = data.draw(st.sampled_from(self.waiting))
        self.waiting.remove(number)
        self.lanes.end(self.places[number])

    @rule(most=st.integers(0, 4), slack=st.one_of(st.none(), st.integers(-10, 0)))
    def release(self, most: int, slack: int | None) -> None:
        """Some who may go are let go: the first of them."""
        before = None if slack is None else len(self.places) + slack
        expected = [number for number in self.may_go() if before is None or number < before][:most]
        released = self.lanes.release(most, before=before)
        assert released == expected
        for number in released:
            self.waiting.remove(number)
            self.go(number)

    def go(self, number: int) -> None:
        """One goes."""
        self.under_way.append(number)
        self.gone[self.key_of(number)].append(number)

    def key_of(self, number: int) -> Any:
        """Whose lane it is in."""
        return self.places[number].key

    def may_go(self) -> list[int]:
        """Who may go, the first first: of each lane as many as it has room for."""
        room = {key: self.width - sum(self.key_of(n) == key for n in self.under_way) for key in range(4)}
        able = []
        for number in self.waiting:
            room[self.key_of(number)] -= 1
            if room[self.key_of(number)] >= 0:
                able.append(number)
        return able

    @invariant()
    def nothing_is_forgotten(self) -> None:
        """All are accounted for, in order, within the width; who has ended leaves nothing behind."""
        assert len(self.lanes) == len(self.waiting)
        assert self.lanes.keys == len({self.key_of(n) for n in self.waiting + self.under_way})
        for key, numbers in self.gone.items():
            assert numbers == sorted(numbers)
            assert sum(self.key_of(n) == key for n in self.under_way) <= self.width


TestLanesMachine = LanesMachine.TestCase
TestLanesMachine.settings = settings(
    max_examples=50, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
