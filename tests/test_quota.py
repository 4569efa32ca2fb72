"""Who gets calls when a worker may be given only so many: the bookkeeping alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from polyloop._elastic import News
from polyloop._quota import EARLY, QuotaRoster
from polyloop._seat import Seat
from polyloop._suspicion import SUSPICIOUS
from tests._idle_calls import make_call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyloop._messages import Call


class Gazette:
    """Remembers what is told of seats, each thing once, as whoever hears it takes it."""

    def __init__(self) -> None:
        self.told: list[tuple[News, Seat]] = []

    def tell(self, news: News, seat: Seat) -> None:
        """Remember it."""
        if (news, seat) not in self.told:
            self.told.append((news, seat))


def make_roster(
    seats: int = 1, *, quota: int, limit: int = 10, backlog: int | None = None
) -> tuple[QuotaRoster, list[Seat], Gazette]:
    """A roster with so many open seats."""
    gazette = Gazette()
    roster = QuotaRoster(limit, backlog, quota, gazette.tell)
    opened = [Seat(index) for index in range(seats)]
    for seat in opened:
        roster.open(seat)
    return roster, opened, gazette


def end(seat: Seat, *calls: Call) -> None:
    """These tasks of a seat have ended."""
    seat.tally.ended += len(calls)
    seat.tally.pinned += sum(call.pin is not None for call in calls)


def make_suspect() -> Call:
    """A call that has to run alone."""
    call = make_call()
    call.losses = SUSPICIOUS
    return call


# -- the quota ----------------------------------------------------------------------------------


def test_a_worker_gets_so_many_calls_and_no_more() -> None:
    """What comes after the last one waits, though the limit has room."""
    roster, [seat], gazette = make_roster(quota=2)
    calls = [make_call() for _ in range(3)]

    seats = [roster.admit(call) for call in calls]

    assert seats == [seat, seat, None]
    assert seat.is_spent
    assert gazette.told == [(News.DUE, seat)]
    assert roster.is_waiting(calls[2])


def test_a_batch_is_cut_at_the_quota() -> None:
    """Of several calls that come at once each worker gets what is left of its quota; the others wait."""
    roster, [one, other], _ = make_roster(2, quota=3)
    calls = [make_call() for _ in range(10)]

    shares = dict(roster.admit_all(calls))

    assert {seat.index: len(share) for seat, share in shares.items()} == {0: 3, 1: 3}
    assert (one.given, other.given) == (3, 3)
    assert roster.backlog == 4


def test_the_replacement_goes_on_with_what_waits() -> None:
    """It gets as many as its own quota, in order."""
    roster, [_seat], gazette = make_roster(quota=2)
    calls = [make_call() for _ in range(5)]
    for call in calls:
        roster.admit(call)
    heir = Seat(0)

    assert roster.open(heir) == calls[2:4]

    assert (News.DUE, heir) in gazette.told
    assert roster.withdraw_all() == calls[4:]


def test_the_next_one_is_due_before_the_last_calls_are_given() -> None:
    """So that it may be up by then; meanwhile the others go where they went."""
    roster, [seat], gazette = make_roster(quota=2 * EARLY, limit=100)
    for _ in range(2 * EARLY - 3):
        roster.admit(make_call())

    before = list(gazette.told)
    roster.admit(make_call())
    then = list(gazette.told)
    last = [roster.admit(make_call()) for _ in range(3)]

    assert before == []
    assert then == [(News.DUE, seat)]
    assert last == [seat, seat, None]


def test_who_comes_up_early_takes_over_at_once() -> None:
    """The one before gets nothing more, and leaves when all that it was given has ended."""
    roster, [seat], gazette = make_roster(quota=EARLY, limit=100)
    calls = [make_call() for _ in range(EARLY - 1)]
    for call in calls:
        roster.admit(call)
    heir = Seat(0)

    roster.open(heir)

    assert roster.admit(make_call()) is heir
    assert roster.seats == [heir]
    assert roster.vacant == []
    end(seat, *calls)
    roster.refill(seat)
    assert gazette.told == [(News.DUE, seat), (News.DRAINED, seat)]


def test_others_take_what_a_spent_worker_does_not() -> None:
    """A worker that has had its calls is not waited for."""
    roster, [one, other], _ = make_roster(2, quota=2)
    for call in (make_call(pin=0), make_call(pin=0)):
        roster.admit(call)

    assert roster.admit(make_call()) is other
    assert roster.seats == [other]
    assert one.is_spent


def test_a_worker_is_let_go_when_all_its_tasks_have_ended() -> None:
    """Not before, and once."""
    roster, [seat], gazette = make_roster(quota=2)
    calls = [make_call(), make_call()]
    for call in calls:
        roster.admit(call)

    end(seat, calls[0])
    roster.refill(seat)
    before = list(gazette.told)
    end(seat, calls[1])
    roster.refill(seat)

    assert before == [(News.DUE, seat)]
    assert gazette.told == [(News.DUE, seat), (News.DRAINED, seat)]


def test_a_pool_with_tasks_on_a_leaving_worker_is_not_idle() -> None:
    """Closing waits for what it was given."""
    roster, [seat], _ = make_roster(quota=1)
    call = make_call()
    roster.admit(call)
    roster.open(Seat(0))

    busy = roster.is_idle
    end(seat, call)
    roster.refill(seat)

    assert (busy, roster.is_idle) == (False, True)


def test_what_it_has_ended_is_always_told() -> None:
    """A worker that leaves is asked to say what has ended, whether something waits or not."""
    roster, [seat], _ = make_roster(quota=1)
    roster.admit(make_call())

    roster.want(False)

    assert seat.is_wanted


# -- the limit ----------------------------------------------------------------------------------


def test_the_limit_holds_for_a_worker_and_its_replacement_together() -> None:
    """A replacement has the room that the tasks of the leaving one do not take up."""
    roster, [seat], _ = make_roster(quota=3, limit=3)
    firsts = [make_call() for _ in range(3)]
    others = [make_call() for _ in range(3)]
    for call in [*firsts, *others]:
        roster.admit(call)
    heir = Seat(0)

    at_first = roster.open(heir)
    end(seat, firsts[0])
    then = roster.refill(seat)

    assert at_first == []
    assert then == [others[0]]
    assert others[0].seat is heir


def test_a_new_call_waits_when_the_leaving_worker_takes_up_the_limit() -> None:
    """Also when the replacement itself has nothing to do."""
    roster, [_seat], _ = make_roster(quota=1, limit=1)
    roster.admit(make_call())
    roster.open(Seat(0))

    assert roster.admit(make_call()) is None


def test_a_place_that_is_taken_up_keeps_no_other_from_work() -> None:
    """A call goes to whom there is room with, though its neighbour would have been chosen."""
    roster, [_one, other], _ = make_roster(2, quota=2, limit=2)
    for call in (make_call(pin=0), make_call(pin=0)):
        roster.admit(call)
    heir = Seat(0)
    roster.open(heir)

    assert [roster.admit(make_call()), roster.admit(make_call())] == [other, other]


def test_a_full_backlog_counts_what_leaves() -> None:
    """There is no room where a leaving worker takes up the limit."""
    roster, [_seat], _ = make_roster(quota=1, limit=1, backlog=0)
    roster.admit(make_call())
    roster.open(Seat(0))

    assert roster.is_full_for(make_call())


# -- keys ---------------------------------------------------------------------------------------


def test_keyed_calls_wait_for_those_that_still_run_on_the_leaving_worker() -> None:
    """Nothing pinned runs on the replacement before what is pinned has ended on the one before it."""
    roster, [seat], _ = make_roster(quota=2)
    running = [make_call(pin=0), make_call(pin=0)]
    waiting = [make_call(pin=0), make_call(pin=0)]
    for call in [*running, *waiting]:
        roster.admit(call)
    heir = Seat(0)

    at_first = roster.open(heir)
    late = roster.admit(make_call(pin=0))
    end(seat, running[1])
    half = roster.refill(seat)
    end(seat, running[0])
    then = roster.refill(seat)

    assert (at_first, late, half) == ([], None, [])
    assert then == waiting


def test_what_has_no_key_does_not_wait_for_what_has() -> None:
    """It passes those that wait for the leaving worker."""
    roster, [_seat], _ = make_roster(quota=1)
    roster.admit(make_call(pin=0))
    roster.admit(make_call(pin=0))
    free = make_call()
    roster.admit(free)

    assert roster.open(Seat(0)) == [free]


def test_a_keyed_call_does_not_wait_for_one_without_a_key() -> None:
    """What has no key may run for hours on the leaving worker."""
    roster, [_seat], _ = make_roster(quota=1)
    roster.admit(make_call())
    keyed = make_call(pin=0)
    roster.admit(keyed)

    assert roster.open(Seat(0)) == [keyed]


def test_calls_of_a_leaving_worker_that_is_lost_come_before_later_ones() -> None:
    """What moves is first in line, and the line begins to go when it is there."""
    roster, [seat], _ = make_roster(quota=2)
    first, second, third = (make_call(pin=0) for _ in range(3))
    for call in (first, second, third):
        roster.admit(call)
    heir = Seat(0)
    roster.open(heir)

    roster.close(seat)
    too_early = roster.refill(heir)
    for call in (second, first):
        assert roster.readmit(call) is None
    roster.release(seat)

    assert too_early == []
    assert roster.refill(seat) == [first, second]
    assert roster.withdraw_all() == [third]


# -- what else there is -------------------------------------------------------------------------


def test_places_whose_next_worker_is_not_up_are_known() -> None:
    """Until it is: a broadcast is for it too."""
    roster, [_, one], _ = make_roster(2, quota=1)

    roster.admit(make_call(pin=1))
    vacant = roster.vacant
    roster.open(Seat(1))

    assert one.is_spent
    assert (vacant, roster.vacant) == ([1], [])


def test_a_lost_worker_is_not_one_that_is_due() -> None:
    """Its place is not among those that are known to be filled soon."""
    roster, [seat], gazette = make_roster(quota=2)

    roster.close(seat)

    assert roster.vacant == []
    assert gazette.told == []


def test_a_suspect_uses_up_a_quota_like_any_call() -> None:
    """With a quota of one each suspect has a worker of its own."""
    roster, [seat], gazette = make_roster(quota=1)
    roster.close(seat)
    suspects = [make_suspect(), make_suspect()]
    for call in reversed(suspects):
        roster.readmit(call)
    second, third = Seat(0), Seat(0)

    assert roster.open(second) == [suspects[0]]
    assert (News.DUE, second) in gazette.told
    assert roster.open(third) == [suspects[1]]


def test_a_seat_can_be_spent_before_its_time() -> None:
    """Nothing more is given to it, and one without tasks is let go at once."""
    roster, [seat], gazette = make_roster(quota=9)

    roster.retire(0)

    assert gazette.told == [(News.DUE, seat), (News.DRAINED, seat)]
    assert roster.admit(make_call()) is None


def test_a_seat_is_not_due_twice() -> None:
    """Nor is it when it is spent before its time."""
    roster, [seat], gazette = make_roster(quota=EARLY, limit=100)
    for _ in range(EARLY - 1):
        roster.admit(make_call())

    roster.retire(0)

    assert gazette.told == [(News.DUE, seat)]


def test_a_seat_that_an_interruption_left_open_gets_nothing_more() -> None:
    """Ctrl-C can land between the last call and the end of the quota; the next look sees to it."""
    roster, [seat], gazette = make_roster(quota=2)
    seat.given = 2

    assert roster.admit(make_call()) is None
    assert (News.DUE, seat) in gazette.told


class Recycling(RuleBasedStateMachine):
    """Calls come and end, workers are spent, come up, are lost: who runs what, in which order."""

    def __init__(self) -> None:
        super().__init__()
        # Whose next worker is not up yet.
        self.due: list[Seat] = []
        self.places: dict[int, Seat] = {}
        self.running: dict[Seat, list[Call]] = {}
        self.order: dict[int, list[Call]] = {}
        self.ended: list[Call] = []
        self.calls: list[Call] = []

    @initialize(
        seats=st.integers(1, 3), quota=st.integers(1, 6), early=st.integers(0, 3), limit=st.integers(1, 4)
    )
    def begin(self, seats: int, quota: int, early: int, limit: int) -> None:
        """A roster with open seats."""
        self.quota, self.limit = quota, limit
        self.roster = QuotaRoster(limit, None, quota, self.tell)
        self.roster._due = max(1, quota - early)
        for index in range(seats):
            self.come_up(index)

    def tell(self, news: News, seat: Seat) -> None:
        """Of a seat something is told: each thing once."""
        if news is News.DUE:
            assert seat is self.places[seat.index]
            assert seat not in self.due
            self.due.append(seat)
        else:
            assert not self.running.pop(seat)

    def come_up(self, index: int) -> None:
        """A worker is up."""
        seat = self.places[index] = Seat(index)
        self.running[seat] = []
        self.take(self.roster.open(seat))

    def take(self, calls: Sequence[Call]) -> None:
        """These begin where they were placed."""
        for call in calls:
            seat = call.seat
            assert isinstance(seat, Seat)
            if call.pin is not None:
                assert seat.index == call.pin
                assert self.order[call.pin].pop(0) is call, "a pinned call has overtaken another"
                others = [other for other in self.running if other.index == seat.index and other is not seat]
                assert not any(running.pin is not None for other in others for running in self.running[other])
            self.running[seat].append(call)

    def come(self, pin: int | None) -> Call:
        """A call comes."""
        call = make_call(pin=None if pin is None else pin % len(self.places))
        self.calls.append(call)
        if call.pin is not None:
            self.order.setdefault(call.pin, []).append(call)
        return call

    @rule(
        pins=st.lists(st.none(), min_size=1, max_size=6) | st.lists(st.integers(0, 2), min_size=1, max_size=6)
    )
    def submit_all(self, pins: list[int | None]) -> None:
        """Several calls come at once, all pinned or none."""
        for _seat, share in self.roster.admit_all([self.come(pin) for pin in pins]):
            self.take(share)

    @rule(pin=st.none() | st.integers(0, 2))
    def submit(self, pin: int | None) -> None:
        """One call comes."""
        call = self.come(pin)
        if self.roster.admit(call) is not None:
            self.take([call])

    @precondition(lambda self: any(self.running.values()))
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        """A task ends."""
        seat = data.draw(st.sampled_from([seat for seat, calls in self.running.items() if calls]))
        call = data.draw(st.sampled_from(self.running[seat]))
        self.running[seat].remove(call)
        self.ended.append(call)
        end(seat, call)
        self.take(self.roster.refill(seat))

    @precondition(lambda self: self.due)
    @rule(data=st.data())
    def replace(self, data: st.DataObject) -> None:
        """The next worker of a place is up."""
        seat = data.draw(st.sampled_from(self.due))
        self.due.remove(seat)
        self.come_up(seat.index)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        """A worker is lost with what it had; one whose next is not on its way already is replaced."""
        seat = data.draw(st.sampled_from(list(self.running)))
        self.roster.close(seat)
        self.ended += self.running.pop(seat)
        if self.places[seat.index] is seat and seat not in self.due:
            self.come_up(seat.index)
        self.roster.release(seat)
        self.take(self.roster.refill(seat))

    @invariant()
    def no_worker_gets_more_than_its_quota(self) -> None:
        """And no place more than its limit."""
        for seat in self.running:
            assert seat.given <= self.quota
            assert not (seat.is_open and seat.given == self.quota)
        for index in self.places:
            there = [calls for seat, calls in self.running.items() if seat.index == index]
            assert sum(map(len, there)) <= self.limit
            assert sum(seat.is_open for seat in self.running if seat.index == index) <= 1

    @invariant()
    def every_call_is_in_one_place(self) -> None:
        """Waiting, running, or ended."""
        waiting = [call for call in self.calls if self.roster.is_waiting(call)]
        running = [call for calls in self.running.values() for call in calls]
        assert len(waiting) == self.roster.backlog
        assert len(waiting) + len(running) + len(self.ended) == len(self.calls)

    @invariant()
    def nothing_waits_that_could_run(self) -> None:
        """Where all workers are up and nothing runs, nothing waits."""
        if not self.due and not any(self.running.values()):
            assert not self.roster.backlog
            assert self.roster.is_idle


TestRecycling = Recycling.TestCase
TestRecycling.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
