"""Workers that get so many calls and no more: what becomes of them, on workers that do what the test says."""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import TYPE_CHECKING, Any

import pytest

from polyloop import DeadlineExceeded, LoopPool, PoisonTask, PoolBroken, PoolClosed, WorkerLost, _recycler
from polyloop._crew import Crew
from polyloop._link import Leftovers
from polyloop._member import Member
from polyloop._messages import Leave
from polyloop._patience import FIRST_DELAY, MAX_FRUITLESS
from polyloop._recycler import MOST_LEAVING
from polyloop.testing import FakeBackend, FakeLink
from tests._passing_time import let_pass
from tests._stage import PATIENCE

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator

    from polyloop._link import Reports
    from polyloop._local import Worker
    from polyloop._messages import Command


async def work(number: int = 0) -> int:
    """Is never run: the test says what comes of it."""
    return number


class Link(FakeLink):
    """A worker whose orders and end the test can wait for."""

    def __init__(self, backend: FakeBackend, worker: Worker, reports: Reports, delay: float) -> None:
        super().__init__(backend, worker, reports, delay)
        assert isinstance(reports, Member)
        self.member = reports
        self.orders: queue.SimpleQueue[Leave] = queue.SimpleQueue()
        self.was_given_up = threading.Event()

    def send(self, command: Command, /) -> None:
        """See `Link`."""
        super().send(command)
        if isinstance(command, Leave):
            self.orders.put(command)

    def abandon(self) -> Leftovers:
        """See `Link`."""
        leftovers = super().abandon()
        self.was_given_up.set()
        return leftovers

    # -- for tests ---------------------------------------------------------------------------

    def begin(self) -> list[int]:
        """Start what was sent; returns which of the calls of `work` run."""
        self.deliver()
        return [call.args[0] for call in self.running]

    def finish_all(self) -> None:
        """All that runs returns what it was given."""
        for call in list(self.running):
            self.finish(call, call.args[0])

    def has_left(self) -> bool:
        """Wait until it has left; whether it does."""
        return self.member.gone.wait(PATIENCE)

    @property
    def is_asked_to_leave(self) -> bool:
        """Whether it was told to leave."""
        return not self.orders.empty()


class Backend(FakeBackend):
    """A backend whose links a test can wait for, since workers are replaced in a thread of the pool's.

    Attributes:
        errors: What is raised when the next links are made, one after the other.
        most: How many workers there were at a time, at most.
    """

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[Exception] = []
        self.most = 0
        self._made: queue.SimpleQueue[Link] = queue.SimpleQueue()

    def make_link(self, worker: Worker, reports: Reports, delay: float) -> Link:
        """See `FakeBackend`."""
        if self.errors:
            raise self.errors.pop(0)
        link = Link(self, worker, reports, delay)
        self.links.append(link)
        self.most = max(self.most, sum(not link.join(0.0) for link in self.links))
        self._made.put(link)
        return link

    def next(self, *, is_up: bool = True) -> Link:
        """Wait for the next link that is made, and for its worker to be up."""
        link = self._made.get(timeout=PATIENCE)
        assert not is_up or link.member.up.wait(PATIENCE)
        return link


@contextlib.contextmanager
def opened(
    backend: Backend, loops: int = 1, quota: int = 1, **options: Any
) -> Iterator[tuple[LoopPool, list[Link]]]:
    """A pool, and the links of its first workers."""
    with LoopPool(loops, backend=backend, max_tasks_per_worker=quota, grace=0.5, **options) as pool:
        yield pool, [backend.next() for _ in range(loops)]
        for link in backend.links:
            assert isinstance(link, Link)
            link.begin()
            link.finish_all()


# -- its end ------------------------------------------------------------------------------------


def test_a_worker_is_replaced_after_so_many_calls() -> None:
    """The next one has its index and the next generation, comes at once, and goes on with what waits."""
    backend = Backend()

    with opened(backend, quota=2) as (pool, [first]):
        futures = [pool.submit(work, number) for number in range(5)]
        second = backend.next()
        third = backend.next()

        assert [link.begin() for link in (first, second, third)] == [[0, 1], [2, 3], [4]]

    assert [(link.worker.index, link.worker.generation) for link in backend.links] == [(0, 0), (0, 1), (0, 2)]
    assert [link.delay for link in backend.links] == [0.0] * 3
    assert [future.result(PATIENCE) for future in futures] == [0, 1, 2, 3, 4]


def test_it_leaves_when_its_last_task_has_ended() -> None:
    """It is told to then, once, with the grace of the pool, and not before."""
    backend = Backend()

    with opened(backend, quota=2) as (pool, [first]):
        futures = [pool.submit(work, number) for number in range(2)]
        second = backend.next()
        first.begin()
        first.finish(first.running[0], 0)
        third_call = pool.submit(work, 2)  # which the other one has, by when the first may have been told
        second.begin()
        second.finish_all()
        was_asked = first.is_asked_to_leave
        first.finish_all()

        assert not was_asked
        assert first.orders.get(timeout=PATIENCE).grace == 0.5
        assert first.has_left()
        assert not first.is_asked_to_leave
    assert [future.result(PATIENCE) for future in [*futures, third_call]] == [0, 1, 2]


def test_a_task_that_goes_on_for_ever_keeps_only_its_own_worker() -> None:
    """Those after it come and go meanwhile."""
    backend = Backend()

    with opened(backend) as (pool, [first]):
        endless = pool.submit(work, 0)
        first.begin()
        for number in range(1, 4):
            link = backend.next()
            future = pool.submit(work, number)
            link.begin()
            link.finish_all()
            assert future.result(PATIENCE) == number
            assert link.has_left()

        assert not endless.done()
        assert not first.is_asked_to_leave
    assert endless.result(PATIENCE) == 0


def test_so_many_workers_of_one_place_leave_and_no_more() -> None:
    """What is above that waits until one of them has left."""
    backend = Backend()

    with opened(backend) as (pool, [first]):
        links = [first]
        for number in range(MOST_LEAVING + 1):
            _ = pool.submit(work, number)
            if number < MOST_LEAVING:
                links.append(backend.next())
        late = pool.submit(work, 99)
        running = [link.begin() for link in links]
        links[2].finish_all()
        last = backend.next()

        assert running == [[number] for number in range(MOST_LEAVING + 1)]
        assert last.begin() == [99]
        assert backend.most == MOST_LEAVING + 1
    assert late.result(PATIENCE) == 99


def test_a_worker_that_does_not_leave_is_given_up(expected_logs: list[logging.LogRecord]) -> None:
    """When its grace is over it is ended, where it can be, and the log says so."""
    backend = Backend()

    with opened(backend) as (pool, [first]):
        future = pool.submit(work, 0)
        backend.next()
        backend.answers = False
        first.begin()
        first.finish_all()

        assert first.was_given_up.wait(PATIENCE)
        first.member.left(Leftovers([], []))  # as a process that was killed
        backend.answers = True

    assert future.result(PATIENCE) == 0
    assert ["does not answer" in record.getMessage() for record in expected_logs] == [True]


# -- what it runs -------------------------------------------------------------------------------


def test_cancelling_reaches_a_leaving_worker() -> None:
    """The task is cancelled there, and its worker leaves."""
    backend = Backend()

    with opened(backend) as (pool, [first]):
        future = pool.submit(work, 0)
        backend.next()
        first.begin()

        future.cancel()
        first.deliver()

        assert future.cancelled()
        assert first.has_left()


def test_a_call_that_is_given_up_at_its_deadline_is_still_waited_for() -> None:
    """Its worker stays until the task has really ended."""
    backend = Backend()

    with opened(backend, timeout_grace=0.0) as (pool, [first]):
        future = pool.options(timeout=30.0).submit(work, 0)
        backend.next()
        first.begin()
        let_pass(pool, 31.0)  # it is asked to stop, and the fake takes no notice before it is told to
        let_pass(pool, 31.0)
        error = future.exception(PATIENCE)
        was_asked = first.is_asked_to_leave
        first.finish_all()

        assert isinstance(error, DeadlineExceeded)
        assert error.still_running
        assert not was_asked
        assert first.has_left()


def test_keyed_calls_go_to_the_replacement_in_order() -> None:
    """They wait there for those that still run on the worker before."""
    backend = Backend()

    with opened(backend, quota=2) as (pool, [first]):
        keyed = pool.options(key="a")
        futures = [keyed.submit(work, number) for number in range(4)]
        second = backend.next()
        first.begin()
        free = pool.submit(work, 9)
        before = second.begin()
        first.finish(first.running[0], 0)
        half = second.begin()
        first.finish_all()
        after = second.begin()

        second.finish_all()

        assert (before, half, after) == ([9], [9], [9, 2])
        assert backend.next().begin() == [3]
    assert [future.result(PATIENCE) for future in [*futures, free]] == [0, 1, 2, 3, 9]


def test_a_broadcast_waits_for_a_replacement_that_comes_up() -> None:
    """It runs on every loop once, also when one is about to be replaced."""
    backend = Backend()

    with opened(backend, 2) as (pool, [_first, other]):
        future = pool.options(worker=1).submit(work, 0)
        backend.answers = False
        other.begin()
        other.finish_all()
        replacement = backend.next(is_up=False)
        everywhere = pool.broadcast(work, 7)
        replacement.come_up()
        backend.answers = True
        backend.links[0].deliver()

        assert replacement.begin() == [7]
        other.deliver()  # it was told to leave
        assert other.has_left()
    assert everywhere.result(PATIENCE) == [7, 7]
    assert future.result(PATIENCE) == 0


# -- losses -------------------------------------------------------------------------------------


def test_a_leaving_worker_that_is_lost_is_not_replaced_twice(expected_logs: list[logging.LogRecord]) -> None:
    """What had started fails, what had not goes to the replacement, and there is only one of that."""
    backend = Backend()

    with opened(backend, quota=2) as (pool, [first]):
        started, waiting = pool.submit(work, 0), pool.submit(work, 1)
        second = backend.next()
        first.deliver(1)

        first.lose()

        assert isinstance(started.exception(PATIENCE), WorkerLost)
        assert second.begin() == [1]
        assert len(backend.links) == 2
    assert waiting.result(PATIENCE) == 1
    assert len(expected_logs) == 1


def test_keyed_calls_of_a_lost_leaving_worker_come_before_later_ones(
    expected_logs: list[logging.LogRecord],
) -> None:
    """What had not started there is first, and the others are let go with it."""
    backend = Backend()

    with opened(backend, quota=2) as (pool, [first]):
        keyed = pool.options(key="a")
        futures = [keyed.submit(work, number) for number in range(3)]
        second = backend.next()
        first.deliver(1)

        first.lose()

        assert second.begin() == [1, 2]
    assert [future.result(PATIENCE) for future in futures[1:]] == [1, 2]
    assert isinstance(futures[0].exception(PATIENCE), WorkerLost)
    assert len(expected_logs) == 1


def test_a_killer_is_found_out_on_workers_of_one_call_each(expected_logs: list[logging.LogRecord]) -> None:
    """What was lost twice runs alone on the next one, for which the one that has the place makes room."""
    backend = Backend()

    with opened(backend) as (pool, [first]):
        future = pool.options(resubmits=5).submit(work, 0)
        second = backend.next()
        first.begin()
        first.lose()
        third = backend.next()
        second.begin()
        second.lose()
        fourth = backend.next()

        assert third.has_left()
        assert fourth.begin() == [0]
        fourth.lose()
        assert isinstance(future.exception(PATIENCE), PoisonTask)
        assert backend.next().worker.generation == 4
    assert len(expected_logs) == 3


def test_a_replacement_that_does_not_come_up_is_tried_again(expected_logs: list[logging.LogRecord]) -> None:
    """After waits that double, as after a loss; that a worker has done its work ends them."""
    backend = Backend()

    with opened(backend) as (pool, [first]):
        backend.answers = False
        _ = pool.submit(work, 0)
        for _ in range(3):
            backend.next(is_up=False).fail(OSError("not now"))
        fifth = backend.next(is_up=False)
        fifth.come_up()
        first.begin()
        first.finish_all()
        first.orders.get(timeout=PATIENCE)  # so it has done its work
        _ = pool.submit(work, 1)
        backend.next(is_up=False).fail(OSError("not now"))
        backend.next(is_up=False).come_up()
        backend.answers = True
        first.deliver()

    delays = [link.delay for link in backend.links]
    assert delays == [0.0, 0.0, *(FIRST_DELAY * factor for factor in (1, 2, 4)), 0.0, FIRST_DELAY]
    assert len(expected_logs) == 4


def test_a_pool_whose_workers_cannot_be_replaced_is_broken(expected_logs: list[logging.LogRecord]) -> None:
    """What waits is told, and what runs on the worker that leaves ends."""
    backend = Backend()

    with opened(backend) as (pool, [first]):
        backend.answers = False
        running, waiting = pool.submit(work, 0), pool.submit(work, 1)
        for _ in range(MAX_FRUITLESS + 1):
            backend.next(is_up=False).fail(OSError("never again"))
        backend.answers = True
        first.begin()
        first.finish_all()

        assert isinstance(waiting.exception(PATIENCE), PoolBroken)
        assert running.result(PATIENCE) == 0
        with pytest.raises(PoolBroken):
            _ = pool.submit(work)
    assert expected_logs


def test_what_there_is_no_more_of_is_waited_for(expected_logs: list[logging.LogRecord]) -> None:
    """A replacement that cannot even be begun is tried again."""
    backend = Backend()

    with opened(backend) as (pool, _):
        backend.errors = [OSError("no more descriptors")] * 2
        _ = pool.submit(work, 0)

        assert backend.next().worker.generation == 1
    assert ["could not be replaced" in record.getMessage() for record in expected_logs] == [True, True]


# -- closing ------------------------------------------------------------------------------------


def test_closing_waits_for_what_leaving_workers_run() -> None:
    """A drain is over when that has ended too."""
    backend = Backend()
    pool = LoopPool(1, backend=backend, max_tasks_per_worker=1)
    pool.open()
    first = backend.next()
    future = pool.submit(work, 0)
    backend.next()
    first.begin()
    closing = pool._supervisor.closing(None, 0.5)

    idle, _ = next(closing)
    was_idle = idle.done()
    first.finish_all()

    assert not was_idle
    assert idle.done()
    for _ in closing:
        pass
    assert future.result(PATIENCE) == 0


def test_workers_are_replaced_while_a_pool_drains() -> None:
    """What waits is run to its end."""
    backend = Backend()
    pool = LoopPool(1, backend=backend, max_tasks_per_worker=1)
    pool.open()
    links = [backend.next()]
    futures = [pool.submit(work, number) for number in range(3)]
    closing = pool._supervisor.closing(None, 0.5)

    idle, _ = next(closing)
    for number in range(3):
        links.append(backend.next())
        assert links[number].begin() == [number]
    for link in links:
        link.finish_all()

    assert idle.done()
    for _ in closing:
        pass
    assert [future.result(PATIENCE) for future in futures] == [0, 1, 2]


def test_closing_ends_leaving_workers_too() -> None:
    """Their tasks are cancelled like all others, and nobody is replaced any more."""
    backend = Backend()
    pool = LoopPool(1, backend=backend, max_tasks_per_worker=1)
    pool.open()
    first = backend.next()
    running, waiting = pool.submit(work, 0), pool.submit(work, 1)
    second = backend.next()
    third = backend.next()
    first.begin()
    second.begin()

    pool.close(drain=0)

    assert running.cancelled()
    assert waiting.cancelled()
    assert [link.has_left() for link in (first, second, third)] == [True] * 3
    assert len(backend.links) == 3
    with pytest.raises(PoolClosed):
        _ = pool.submit(work)


def test_closing_gives_up_what_does_not_end_on_a_leaving_worker(
    expected_logs: list[logging.LogRecord],
) -> None:
    """It is waited for as long as the others, and then its task fails with an error that names it."""
    backend = Backend()
    pool = LoopPool(1, backend=backend, max_tasks_per_worker=1)
    pool.open()
    first = backend.next()
    future = pool.submit(work, 0)
    backend.next()
    first.begin()
    backend.answers = False

    pool.close(drain=0, grace=0.0)

    error = future.exception(timeout=0)
    assert isinstance(error, PoolClosed)
    assert "given up on polyloop-0" in str(error)
    assert expected_logs


def test_closing_says_nothing_of_a_replacement_that_was_not_up_yet() -> None:
    """It had nothing, and nothing is wrong with it: it is ended."""
    backend = Backend()
    pool = LoopPool(1, backend=backend, max_tasks_per_worker=1)
    pool.open()
    first = backend.next()
    backend.answers = False
    future = pool.submit(work, 0)
    replacement = backend.next(is_up=False)
    first.begin()
    first.finish_all()
    first.orders.get(timeout=PATIENCE)
    first.deliver()

    pool.close(drain=0, grace=0.0)

    assert future.result(PATIENCE) == 0
    assert replacement.was_given_up.is_set()


# -- figures ------------------------------------------------------------------------------------


def test_figures_of_those_that_have_left_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their figures, and not they themselves: there may be thousands."""
    monkeypatch.setattr(_recycler, "LAST_SECONDS", 0.0)
    forget, is_forgotten = Crew.forget, threading.Event()

    def remember(crew: Crew, member: Member) -> None:
        forget(crew, member)
        is_forgotten.set()

    monkeypatch.setattr(Crew, "forget", remember)
    backend = Backend()
    with opened(backend, quota=2) as (pool, [first]):
        futures = [pool.submit(work, number) for number in range(2)]
        second = backend.next()
        first.begin()
        in_flight = pool.statistics().in_flight
        first.lag = 0.25
        first.finish_with_error(first.running[0], ValueError())
        first.finish_all()
        assert is_forgotten.wait(PATIENCE)

        [worker] = pool.statistics().workers
        crew = pool._supervisor.crew
        assert (crew.leaving, crew.members) == ([], [second.member])
        assert isinstance(futures[0].exception(PATIENCE), ValueError)
    assert in_flight == 2
    assert (worker.generation, worker.phase) == (1, "running")
    assert (worker.ended, worker.failed, worker.in_flight, worker.lag) == (2, 1, 0, 0.25)


# -- the parameter ------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["3", 1.5, True, [2]])
def test_a_quota_that_is_no_number_is_refused(value: Any) -> None:
    """By name, where the pool is made."""
    with pytest.raises(TypeError, match="max_tasks_per_worker must be a whole number"):
        LoopPool(1, backend="process", max_tasks_per_worker=value)


@pytest.mark.parametrize("value", [0, -1])
def test_a_quota_of_nothing_is_refused(value: int) -> None:
    """A worker that may run nothing is of no use."""
    with pytest.raises(ValueError, match=f"max_tasks_per_worker={value} is too small"):
        LoopPool(1, backend="process", max_tasks_per_worker=value)


def test_threads_have_no_quota() -> None:
    """What calls leave behind in a thread does not go with it; the error says what has one."""
    with pytest.raises(ValueError, match="is for backend='process' and 'interpreter'"):
        LoopPool(1, max_tasks_per_worker=10)
