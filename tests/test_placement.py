"""Who gets the next call and what waits: the bookkeeping alone, without threads, loops or clocks."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from polyloop._options import slot_of
from polyloop._placement import Roster
from polyloop._seat import Seat
from polyloop._suspicion import SUSPICIOUS
from tests._idle_calls import make_call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyloop._messages import Call


def make_roster(seats: int = 1, *, limit: int = 1, backlog: int | None = None) -> tuple[Roster, list[Seat]]:
    """A roster with so many open seats."""
    roster = Roster(limit, backlog)
    opened = [Seat(index) for index in range(seats)]
    for seat in opened:
        roster.open(seat)
    return roster, opened


def end(seat: Seat, calls: int = 1) -> None:
    """So many of the tasks on a seat have ended."""
    seat.tally.ended += calls


# -- the backlog --------------------------------------------------------------------------------


def test_what_waits_is_given_out_in_order() -> None:
    """Calls leave the backlog in the order they came in, as many as there is room for."""
    roster, [seat] = make_roster(limit=2)
    calls = [make_call() for _ in range(5)]
    seats = [roster.admit(call) for call in calls]

    end(seat, 2)
    refilled = roster.refill(seat)

    assert seats == [seat, seat, None, None, None]
    assert refilled == calls[2:4]
    assert roster.backlog == 1


def test_a_new_call_does_not_overtake_the_backlog() -> None:
    """A call that comes in when there is room again waits behind those that wait already."""
    roster, [seat] = make_roster(limit=1)
    first, second, third = (make_call() for _ in range(3))
    roster.admit(first)
    roster.admit(second)
    end(seat)

    assert roster.admit(third) is None
    assert roster.refill(seat) == [second]


def test_what_comes_back_is_first_in_line() -> None:
    """Calls of a lost worker that never started go before the backlog."""
    roster, [seat] = make_roster(limit=1)
    first, second = make_call(), make_call()
    roster.admit(first)
    roster.admit(second)

    roster.close(seat)
    assert roster.readmit(first) is None

    assert roster.open(Seat(0)) == [first]


def test_what_was_withdrawn_is_not_given_out() -> None:
    """A call is withdrawn once, from the middle of the backlog too, and the others keep their order."""
    roster, [seat] = make_roster(limit=1)
    calls = [make_call() for _ in range(4)]
    for call in calls:
        roster.admit(call)

    answers = [roster.withdraw(call) for call in (calls[2], calls[2], calls[0])]

    assert answers == [True, False, False]
    end(seat)
    assert roster.refill(seat) == [calls[1]]
    assert roster.withdraw_all() == [calls[3]]
    assert roster.is_idle is False


def test_a_backlog_with_a_bound_is_full_only_when_no_seat_has_room() -> None:
    """Room on a seat counts before the bound of the backlog; a bound of 0 means that nothing waits."""
    roster, [seat] = make_roster(limit=1, backlog=0)

    empty = roster.is_full_for(make_call())
    roster.admit(make_call())
    taken = roster.is_full_for(make_call())
    end(seat)

    assert (empty, taken, roster.is_full_for(make_call())) == (False, True, False)


def test_a_pool_without_workers_keeps_calls_waiting() -> None:
    """When every worker is gone calls wait for the next one."""
    roster, [seat] = make_roster()
    roster.close(seat)
    call = make_call()

    assert roster.admit(call) is None
    assert roster.is_waiting(call)
    assert roster.open(Seat(0)) == [call]


# -- seats --------------------------------------------------------------------------------------


def test_nested_calls_pass_the_limit_and_the_backlog() -> None:
    """A call whose parent waits for it is given out at once, however much waits and runs."""
    roster, [seat] = make_roster(limit=1)
    roster.admit(make_call())
    roster.admit(make_call())

    nested = [roster.admit(make_call(is_nested=True)) for _ in range(3)]

    assert nested == [seat] * 3
    assert seat.load == 4


def test_nested_calls_leave_the_room_of_others_alone() -> None:
    """Nested calls on a seat take nothing of its limit away."""
    roster, [seat] = make_roster(limit=1)
    roster.admit(make_call(is_nested=True))
    roster.admit(make_call(is_nested=True))

    assert roster.admit(make_call()) is seat
    assert roster.admit(make_call()) is None


@pytest.mark.parametrize("seats", [2, 3, 8])
def test_calls_are_spread_evenly(seats: int) -> None:
    """Calls that do not end are spread so that no seat has many more than another."""
    roster, opened = make_roster(seats, limit=1000)

    for _ in range(100 * seats):
        roster.admit(make_call())

    loads = [seat.load for seat in opened]
    assert max(loads) - min(loads) <= 2, loads


def test_one_call_after_another_stays_on_one_seat() -> None:
    """A seat that is idle again gets the next call: its worker is still awake."""
    roster, _ = make_roster(3)
    used = []
    for _ in range(5):
        seat = roster.admit(make_call())
        assert seat is not None
        used.append(seat)
        end(seat)

    assert len(set(used)) == 1


def test_a_closed_seat_gets_nothing() -> None:
    """Closing a seat, twice even, takes it out of everything."""
    roster, [first, second] = make_roster(2, limit=10)
    roster.close(first)
    roster.close(first)

    assert {roster.admit(make_call()) for _ in range(6)} == {second}
    assert roster.refill(first) == []
    assert roster.seats == [second]


def test_seats_are_listed_by_index() -> None:
    """A replacement takes the place of the one that it replaces."""
    roster, [first, second] = make_roster(2)
    roster.close(first)
    replacement = Seat(0)
    roster.open(replacement)

    assert roster.seats == [replacement, second]


# -- whether workers have to say that they have room --------------------------------------------


def test_workers_report_only_while_something_waits() -> None:
    """A seat is wanted from the moment a call waits until nothing does."""
    roster, [seat] = make_roster(limit=1)
    roster.admit(make_call())
    before = seat.is_wanted
    roster.admit(make_call())
    while_waiting = seat.is_wanted
    end(seat)
    roster.refill(seat)

    assert (before, while_waiting, seat.is_wanted) == (False, True, False)


def test_a_seat_that_opens_while_something_waits_is_wanted() -> None:
    """The worker that comes up with a backlog that is longer than its limit reports room as well."""
    roster, [seat] = make_roster(limit=1)
    roster.close(seat)
    for _ in range(3):
        roster.admit(make_call())

    late = Seat(0)
    roster.open(late)

    assert roster.backlog == 2
    assert late.is_wanted


def test_a_roster_is_idle_when_nothing_waits_or_runs() -> None:
    """Tasks in flight and calls that wait both keep a pool busy."""
    roster, [seat] = make_roster(limit=1)
    states = [roster.is_idle]
    roster.admit(make_call())
    roster.admit(make_call())
    states.append(roster.is_idle)
    end(seat)
    roster.refill(seat)
    states.append(roster.is_idle)
    end(seat)
    states.append(roster.is_idle)

    assert states == [True, False, False, True]


# -- pinned calls -------------------------------------------------------------------------------


def test_a_pinned_call_goes_to_its_seat_only() -> None:
    """A pinned call waits for its own seat while another one is idle, and holds up nobody else."""
    roster, [first, second] = make_roster(2, limit=1)
    seats = [roster.admit(make_call(pin=0)), roster.admit(make_call(pin=0)), roster.admit(make_call())]

    assert seats == [first, None, second]
    assert roster.backlog == 1


def test_pinned_and_other_calls_of_the_backlog_go_out_in_order() -> None:
    """A seat gets those that may go to it in the order they came in, pinned to it or not."""
    roster, [seat, _] = make_roster(2, limit=1)
    for _ in range(2):
        roster.admit(make_call())
    calls = [make_call(pin=pin) for pin in (None, 0, 1, None, 0)]
    for call in calls:
        roster.admit(call)

    given: list[Call] = []
    for _ in range(4):
        end(seat)
        given += roster.refill(seat)

    assert given == [calls[0], calls[1], calls[3], calls[4]]
    assert roster.withdraw_all() == [calls[2]]


def test_a_pinned_call_waits_for_the_replacement_of_its_seat() -> None:
    """What was pinned to a worker that is lost does not go to another one."""
    roster, [seat, _] = make_roster(2, limit=1)
    call = make_call(pin=0)
    roster.admit(call)
    roster.close(seat)

    moved = roster.readmit(call)

    assert moved is None
    assert roster.open(Seat(0)) == [call]


def test_a_batch_of_pinned_calls_goes_out_by_seat() -> None:
    """Several calls that are pinned to different seats take one hop for each seat."""
    roster, [first, second] = make_roster(2, limit=2)
    calls = [make_call(pin=index) for index in (0, 1, 0, 1, 0)]

    shares = roster.admit_all(calls)

    assert shares == [(first, [calls[0], calls[2]]), (second, [calls[1], calls[3]])]
    assert roster.is_waiting(calls[4])


@given(st.lists(st.text() | st.integers() | st.tuples(st.integers(), st.text())), st.integers(1, 12))
def test_a_slot_more_moves_keys_to_itself_only(keys: list[Any], slots: int) -> None:
    """With one worker more a key stays where it was or goes to the new one."""
    for key in keys:
        before, after = slot_of(key, slots), slot_of(key, slots + 1)

        assert 0 <= before < slots
        assert after in {before, slots}


def test_keys_are_spread_evenly() -> None:
    """Of 30,000 numbers in a row, each of three workers gets a third, within 3 %."""
    counts = Counter(slot_of(number, 3) for number in range(30_000))

    assert all(abs(count - 10_000) < 300 for count in counts.values())


# -- suspects -----------------------------------------------------------------------------------


def make_suspect(*, is_nested: bool = False, pin: int | None = None) -> Call:
    """A call that was lost twice."""
    call = make_call(is_nested=is_nested, pin=pin)
    call.losses = SUSPICIOUS
    return call


def make_roster_of_suspects(
    *suspects: Call, others: int = 0, limit: int = 1
) -> tuple[Roster, Seat, list[Seat]]:
    """A roster that has lost the worker 0 with these; its replacement, not up yet, and the others."""
    roster, [lost, *rest] = make_roster(1 + others, limit=limit)
    roster.close(lost)
    for call in reversed(suspects):
        roster.readmit(call)
    return roster, Seat(0), rest


def test_suspects_run_one_after_the_other_on_the_replacement() -> None:
    """The seat of a worker that comes up is theirs, in their order, and then the others'."""
    suspects = [make_suspect(), make_suspect(pin=0)]
    roster, seat, _ = make_roster_of_suspects(*suspects, limit=9)
    other = make_call()
    roster.admit(other)

    given = [roster.open(seat)]
    for _ in range(2):
        given.append(roster.refill(seat))
        end(seat)
        given.append(roster.refill(seat))

    assert given == [[suspects[0]], [], [suspects[1]], [], [other]]


def test_a_suspect_leaves_other_workers_alone() -> None:
    """It waits for the replacement, though another worker is idle; that goes on with what comes."""
    suspect = make_suspect()
    roster, seat, [other] = make_roster_of_suspects(suspect, others=1)

    assert roster.refill(other) == []
    assert roster.admit(make_call()) is other
    assert roster.open(seat) == [suspect]


def test_nothing_is_given_to_a_seat_that_is_set_apart() -> None:
    """Neither calls for any worker nor those that are pinned to it, one by one or several at once."""
    roster, seat, [other] = make_roster_of_suspects(make_suspect(), others=1, limit=9)
    roster.open(seat)

    seats = {roster.admit(make_call()) for _ in range(3)}
    shares = roster.admit_all([make_call() for _ in range(3)])
    pinned = roster.admit(make_call(pin=0))

    assert seats == {other}
    assert {share[0] for share in shares} == {other}
    assert pinned is None


def test_a_suspect_that_is_pinned_elsewhere_does_not_take_the_seat() -> None:
    """It waits for its own worker's replacement."""
    suspect, waiting = make_suspect(pin=1), make_call()
    roster, seat, _ = make_roster_of_suspects(suspect)
    roster.admit(waiting)

    assert roster.open(seat) == [waiting]
    assert roster.open(Seat(1)) == [suspect]


def test_nested_calls_go_past_a_suspect_only_where_there_is_no_other_way() -> None:
    """To another seat if there is one; else beside the suspect, which may be what waits for them."""
    roster, seat, [other] = make_roster_of_suspects(make_suspect(), others=1)
    roster.open(seat)

    anywhere = roster.admit(make_call(is_nested=True))
    pinned = roster.admit(make_call(is_nested=True, pin=0))
    roster.close(other)
    nowhere_else = roster.admit(make_call(is_nested=True))

    assert [anywhere, pinned, nowhere_else] == [other, seat, seat]


def test_the_next_suspect_waits_for_what_runs_beside_the_first() -> None:
    """A call for every worker, or a nested one, has gone there; the seat has to be empty again."""
    first, second = make_suspect(), make_suspect()
    roster, seat, _ = make_roster_of_suspects(first, second)
    roster.open(seat)
    roster.give(make_call(), seat)
    end(seat)

    with_company = roster.refill(seat)
    end(seat)

    assert with_company == []
    assert roster.refill(seat) == [second]


def test_a_nested_suspect_does_not_wait_for_its_parent() -> None:
    """Each worker that was lost brings a seat: that of the parent, which runs alone, is not the only one."""
    parent, child = make_suspect(), make_suspect(is_nested=True)
    roster, seat, [other] = make_roster_of_suspects(parent, others=1)
    roster.open(seat)
    roster.close(other)
    roster.readmit(child)

    assert roster.open(Seat(1)) == [child]


def test_a_suspect_that_was_withdrawn_is_not_run() -> None:
    """One that is cancelled while it waits leaves the line; what is left when a pool closes does too."""
    suspects = [make_suspect() for _ in range(3)]
    roster, seat, _ = make_roster_of_suspects(*suspects)
    waiting = [roster.is_waiting(call) for call in suspects]

    answers = [roster.withdraw(suspects[0]), roster.withdraw(suspects[0])]

    assert waiting == [True] * 3
    assert answers == [True, False]
    assert roster.open(seat) == [suspects[1]]
    assert roster.withdraw_all() == [suspects[2]]
    end(seat)
    assert roster.refill(seat) == []
    assert roster.is_idle


def test_a_suspect_whose_worker_is_lost_before_it_started_waits_for_the_next() -> None:
    """And the seat that was set apart is forgotten."""
    suspect = make_suspect()
    roster, seat, _ = make_roster_of_suspects(suspect)
    roster.open(seat)
    roster.close(seat)
    roster.readmit(suspect)

    assert roster.seats == []
    assert roster.refill(seat) == []
    assert roster.open(Seat(0)) == [suspect]


# -- all of it ----------------------------------------------------------------------------------


class PlacementMachine(RuleBasedStateMachine):
    """Calls and workers come and go at random, beside a model of who has what."""

    @initialize(limit=st.integers(1, 3), seats=st.integers(0, 3))
    def begin(self, limit: int, seats: int) -> None:
        """A roster with some seats."""
        self.limit = limit
        self.roster = Roster(limit, None)
        self.waiting: list[Call] = []
        self.suspects: list[Call] = []
        self.on: dict[Seat, list[Call]] = {}
        # Where suspects run, and the indexes of those that are to be replaced.
        self.apart: set[Seat] = set()
        self.missing: set[int] = set()
        for index in range(seats):
            self.open_seat(index)

    def placed(self, seat: Seat | None, call: Call) -> None:
        """The roster said that `call` goes to `seat`."""
        if seat is not None:
            assert seat in self.on, "a call was given to a seat that is closed"
            assert call.seat is seat
            assert may_go(call, seat)
            self.on[seat].append(call)

    def refilled(self, seat: Seat, calls: Sequence[Call]) -> None:
        """The roster gave calls that waited to `seat`."""
        if seat in self.apart:
            suspects = [call for call in self.suspects if may_go(call, seat)]
            if self.on[seat] or suspects:
                assert list(calls) == ([] if self.on[seat] else suspects[:1]), "not the next suspect, alone"
                for call in calls:
                    self.suspects.remove(call)
                    self.placed(seat, call)
                return
            self.apart.remove(seat)
        eligible = [call for call in self.waiting if may_go(call, seat)]
        assert list(calls) == eligible[: len(calls)], "out of order"
        for call in calls:
            self.waiting.remove(call)
            self.placed(seat, call)

    @rule(index=st.integers(0, 3))
    def open_seat(self, index: int) -> None:
        """A worker comes up."""
        if index not in {seat.index for seat in self.on}:
            seat = Seat(index)
            self.on[seat] = []
            self.missing.discard(index)
            if any(may_go(call, seat) for call in self.suspects):
                self.apart.add(seat)
            self.refilled(seat, self.roster.open(seat))

    @rule(is_nested=st.booleans(), pin=st.none() | st.integers(0, 3), losses=st.integers(0, 1))
    def admit(self, is_nested: bool, pin: int | None, losses: int) -> None:
        """A call comes in, for any worker or for one; some are as if they had been lost before."""
        call = make_call(is_nested=is_nested, pin=pin)
        call.losses = losses
        seats = [seat for seat in self.on if may_go(call, seat) and seat not in self.apart]
        if not seats and is_nested:
            seats = [seat for seat in self.apart if may_go(call, seat)]
        is_behind = any(other.pin == pin for other in self.waiting)
        could_start = seats and (is_nested or (not is_behind and any(map(self.has_room, seats))))
        seat = self.roster.admit(call)
        assert (seat is not None) == bool(could_start)
        assert seat is None or seat in seats
        self.placed(seat, call)
        if seat is None:
            self.waiting.append(call)

    @precondition(lambda self: any(self.on.values()))
    @rule(data=st.data(), reports=st.booleans())
    def end_task(self, data: st.DataObject, reports: bool) -> None:
        """A task ends; its worker reports that if it is wanted, or later."""
        seat = data.draw(st.sampled_from([seat for seat, calls in self.on.items() if calls]))
        call = self.on[seat].pop(data.draw(st.integers(0, len(self.on[seat]) - 1)))
        seat.tally.nested += call.is_nested
        seat.tally.ended += 1
        if reports or seat.is_wanted:
            self.refilled(seat, self.roster.refill(seat))

    @precondition(lambda self: self.on)
    @rule(data=st.data(), started=st.integers(0, 3), is_again=st.booleans())
    def lose_seat(self, data: st.DataObject, started: int, is_again: bool) -> None:
        """A worker is lost; its first calls had started and fail or run again, and the others come back."""
        seat = data.draw(st.sampled_from(list(self.on)))
        calls = self.on.pop(seat)
        self.apart.discard(seat)
        self.missing.add(seat.index)
        self.roster.close(seat)
        for call in calls[:started]:
            call.losses += 1
        for call in reversed(calls if is_again else calls[started:]):
            other = self.roster.readmit(call)
            if call.losses >= SUSPICIOUS:
                assert other is None, "a suspect was given to a seat that is not empty"
                self.suspects.insert(0, call)
                continue
            assert call.is_nested or other not in self.apart
            self.placed(other, call)
            if other is None:
                self.waiting.insert(0, call)

    @precondition(lambda self: self.waiting or self.suspects)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        """A call that waits is cancelled."""
        call = data.draw(st.sampled_from([*self.waiting, *self.suspects]))
        (self.suspects if call in self.suspects else self.waiting).remove(call)
        assert self.roster.withdraw(call)
        assert not self.roster.withdraw(call)

    def has_room(self, seat: Seat) -> bool:
        """By the model: whether a seat is below its limit."""
        return sum(not call.is_nested for call in self.on[seat]) < self.limit

    @invariant()
    def each_call_is_in_one_place(self) -> None:
        """What waits and what is on which seat is what the model says."""
        waiting = [*self.waiting, *self.suspects]
        assert self.roster.backlog == len(waiting)
        assert all(map(self.roster.is_waiting, waiting))
        for seat, calls in self.on.items():
            assert seat.load == len(calls)
            assert not any(map(self.roster.is_waiting, calls))

    @invariant()
    def the_limit_holds(self) -> None:
        """No seat has more calls than the limit, but for nested ones."""
        for seat, calls in self.on.items():
            assert sum(not call.is_nested for call in calls) <= self.limit, seat.index

    @invariant()
    def suspects_run_alone(self) -> None:
        """One at a time, on a seat that is set apart, and beside it nothing but calls that cannot wait."""
        for seat, calls in self.on.items():
            suspects = [call for call in calls if call.losses >= SUSPICIOUS]
            assert len(suspects) <= (seat in self.apart)
            if seat in self.apart:
                assert all(call.is_nested for call in calls if call not in suspects)

    @invariant()
    def nothing_waits_for_nobody(self) -> None:
        """While something waits no seat that could have it has room, and all report the end of tasks."""
        others = [seat for seat in self.on if seat not in self.apart]
        for call in self.waiting:
            assert not any(self.has_room(seat) for seat in others if may_go(call, seat))
        if self.waiting:
            assert all(seat.is_wanted for seat in self.on)

    @invariant()
    def no_suspect_waits_for_nobody(self) -> None:
        """It waits for the end of what runs on a seat that is set apart, or for a worker that comes up."""
        assert all(seat.is_wanted for seat in self.apart)
        for call in self.suspects:
            has_turn = any(self.on[seat] for seat in self.apart if may_go(call, seat))
            assert has_turn or any(call.pin in {None, index} for index in self.missing)

    @invariant()
    def all_seats_are_known(self) -> None:
        """Those that are set apart too: what is for every worker goes there."""
        assert self.roster.seats == sorted(self.on, key=lambda seat: seat.index)

    @invariant()
    def it_knows_when_it_is_idle(self) -> None:
        """A roster is idle when the model has nothing anywhere."""
        is_idle = not self.waiting and not self.suspects and not any(self.on.values())
        assert self.roster.is_idle == is_idle


def may_go(call: Call, seat: Seat) -> bool:
    """Whether a call may run on this seat."""
    return call.pin in {None, seat.index}


TestPlacement = PlacementMachine.TestCase
TestPlacement.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
