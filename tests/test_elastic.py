"""Places that are given up: which calls they still get, and when their workers can leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from polyloop._elastic import ElasticRoster, News
from polyloop._seat import Seat
from tests._idle_calls import make_call

if TYPE_CHECKING:
    from polyloop._messages import Call


class Office:
    """A roster with two open seats, of one call each, and what it has told."""

    def __init__(self) -> None:
        self.told: list[tuple[News, int]] = []
        self.roster = ElasticRoster(1, None, lambda news, seat: self.told.append((news, seat.index)))
        self.seats = [Seat(0), Seat(1)]
        for seat in self.seats:
            self.roster.open(seat)

    def admit(self, pin: int | None = None) -> Call:
        """Hand in a call."""
        call = make_call(pin=pin)
        self.roster.admit(call)
        return call

    def end_one(self, index: int) -> list[Call]:
        """A task on this seat has ended; returns what it gets now."""
        seat = self.seats[index]
        seat.tally.ended += 1
        assert seat.is_wanted, "the worker would not have said so"
        return self.roster.refill(seat)


@pytest.fixture
def office() -> Office:
    """One of them."""
    return Office()


def test_an_idle_place_is_given_up_at_once(office: Office) -> None:
    """Its worker can leave, and gets nothing any more."""
    office.roster.give_notice(1)

    assert office.told == [(News.DRAINED, 1)]
    assert office.roster.seats == office.seats[:1]
    assert not office.seats[1].is_open
    assert office.roster.give_up(1)


def test_a_place_on_notice_gets_what_is_pinned_there(office: Office) -> None:
    """In order and within its limit, and nothing else; when that has ended it is given up."""
    first, second = office.admit(pin=1), office.admit(pin=1)
    office.admit(pin=0)
    anywhere = office.admit()
    office.roster.give_notice(1)
    before = list(office.told)

    assert office.end_one(1) == [second]
    assert office.told == before == []
    assert office.end_one(1) == []
    assert office.told == [(News.DRAINED, 1)]
    assert first.seat is office.seats[1]
    assert anywhere.seat is None
    assert office.end_one(0) == [anywhere]


def test_a_place_on_notice_that_works_is_not_idle(office: Office) -> None:
    """Who drains the pool waits for it too."""
    office.admit(pin=1)
    office.roster.give_notice(1)

    at_work = office.roster.is_idle
    office.end_one(1)

    assert (at_work, office.roster.is_idle) == (False, True)


def test_a_place_can_be_kept_after_all(office: Office) -> None:
    """What waits may go there then, whoever it is for."""
    office.admit(pin=1)
    office.admit(pin=0)
    waiting = office.admit()
    office.roster.give_notice(1)

    assert office.roster.take_back(1) is office.seats[1]
    assert office.end_one(1) == [waiting]
    assert not office.told


def test_nobody_is_there_to_be_kept(office: Office) -> None:
    """In a place that was given up, or never had anyone."""
    office.roster.give_notice(1)
    for index in (1, 2):
        with pytest.raises(KeyError):
            office.roster.take_back(index)


def test_a_lost_worker_is_missed_if_something_is_pinned_there(office: Office) -> None:
    """Otherwise its place is given up; with it, when its successor has done that."""
    office.admit(pin=1)
    waiting = office.admit(pin=1)
    office.roster.give_notice(1)
    office.roster.close(office.seats[1])
    assert not office.roster.give_up(1)

    office.seats[1] = successor = Seat(1)
    assert office.roster.open(successor) == [waiting]
    assert office.end_one(1) == []
    assert office.told == [(News.DRAINED, 1)]


def test_a_lost_worker_is_not_missed(office: Office) -> None:
    """If nothing is pinned there. Who comes up for it nevertheless gets nothing."""
    office.admit(pin=1)
    office.roster.give_notice(1)
    office.roster.close(office.seats[1])

    assert office.roster.give_up(1)
    assert office.roster.open(Seat(1)) == []
    assert office.roster.seats == office.seats[:1]


def test_a_place_that_has_a_worker_is_not_given_up(office: Office) -> None:
    """Nor is one without notice, whatever becomes of its worker."""
    office.admit(pin=1)
    office.roster.give_notice(1)
    office.roster.close(office.seats[0])

    assert not office.roster.give_up(0)
    assert not office.roster.give_up(1)


def test_a_call_that_comes_late_has_a_worker_once_more(office: Office) -> None:
    """It was pinned to a place before that was given up."""
    office.roster.give_notice(1)
    late = office.admit(pin=1)
    again = office.admit(pin=1)
    assert office.told == [(News.DRAINED, 1), (News.NEEDED, 1)]
    assert not office.roster.give_up(1)

    office.seats[1] = successor = Seat(1)
    assert office.roster.open(successor) == [late]
    assert office.end_one(1) == [again]
    assert office.end_one(1) == []
    assert office.told[2:] == [(News.DRAINED, 1)]


def test_a_place_has_a_worker_again(office: Office) -> None:
    """One that is renewed is like any other."""
    office.roster.give_notice(1)
    office.roster.renew(1)
    office.admit(pin=0)
    waiting = office.admit()

    assert office.roster.open(Seat(1)) == [waiting]
    assert [seat.index for seat in office.roster.seats] == [0, 1]


def test_a_suspect_runs_before_its_place_is_given_up(office: Office) -> None:
    """Alone, on the worker that came up for it; a place is not given up under it."""
    suspect = office.admit(pin=1)
    office.roster.give_notice(1)
    office.roster.close(office.seats[1])
    suspect.losses = 2
    assert office.roster.readmit(suspect) is None
    assert not office.roster.give_up(1)

    office.seats[1] = successor = Seat(1)
    assert office.roster.open(successor) == [suspect]
    assert office.end_one(1) == []
    assert office.told == [(News.DRAINED, 1)]
