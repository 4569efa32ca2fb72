"""Tasks that kill their workers, and those that happen to be there, on workers that do what the test says."""

from __future__ import annotations

import logging
import pickle
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from polyloop import DeadlineExceeded, LoopPool, PoisonTask, PoolBroken, WorkerLost
from polyloop._patience import MAX_FRUITLESS
from polyloop.testing import FakeBackend, FakeLink
from tests._gate import PATIENCE
from tests._passing_time import let_pass

if TYPE_CHECKING:
    from polyloop import Future

Logs: TypeAlias = "list[logging.LogRecord]"

KILLER = -1


async def work(number: int = 0) -> int:
    """Is never run: the test says what comes of it."""
    return number


def live(backend: FakeBackend) -> list[FakeLink]:
    """The links to the workers that are there."""
    newest = {link.worker.index: link for link in backend.links}
    return [newest[index] for index in sorted(newest)]


def play(backend: FakeBackend, *, killers: frozenset[int] = frozenset({KILLER})) -> list[list[int]]:
    """Let all workers run what they have, to its end; killers kill theirs as soon as they run.

    Returns:
        What was running on each worker that was killed.
    """
    killed: list[list[int]] = []
    while busy := [link for link in live(backend) if running(link)]:
        doomed = [link for link in busy if killers.intersection(running(link))]
        for link in doomed[:1]:
            killed.append(running(link))
            link.lose(OSError("killed"))
        if not doomed:
            finish(busy)
    return killed


def running(link: FakeLink) -> list[int]:
    """What runs on a worker, once it has got all that was sent."""
    while link.sent:
        link.deliver()
    return [call.args[0] for call in link.running]


def finish(links: list[FakeLink]) -> None:
    """End all that runs on these workers."""
    for link in links:
        for call in list(link.running):
            link.finish(call, call.args[0])


def lose_twice(backend: FakeBackend, index: int = 0) -> FakeLink:
    """Start what a worker has, and lose it and its replacement; returns the link to the next one."""
    for _ in range(2):
        link = live(backend)[index]
        link.deliver()
        link.lose(OSError("killed"))
    return live(backend)[index]


# -- who is convicted ---------------------------------------------------------------------------


@pytest.mark.parametrize("loops", [1, 2, 4])
@pytest.mark.parametrize("limit", [3, 1000])
@pytest.mark.parametrize("place", [0, 7, 20])
def test_a_killer_is_convicted_and_nobody_with_it(
    expected_logs: Logs, loops: int, limit: int, place: int
) -> None:
    """It kills three workers, the last one alone; all the others finish, with a long backlog too."""
    backend = FakeBackend()
    numbers = [*range(20)]
    numbers.insert(place, KILLER)

    with LoopPool(loops, backend=backend, limit=limit) as pool:
        view = pool.options(resubmits=5)
        futures = {number: view.submit(work, number) for number in numbers}
        killed = play(backend)

    error = futures.pop(KILLER).exception(timeout=0)
    assert isinstance(error, PoisonTask)
    assert len(killed) == 3
    assert killed[-1] == [KILLER]
    assert [future.result(timeout=0) for future in futures.values()] == list(futures)


def test_several_killers_are_convicted_one_after_the_other(expected_logs: Logs) -> None:
    """Each alone; so many that their losses would break the pool if they were held against it."""
    backend = FakeBackend()
    killers = frozenset(range(-3 * MAX_FRUITLESS, 0))

    with LoopPool(1, backend=backend) as pool:
        view = pool.options(resubmits=5)
        futures = {number: view.submit(work, number) for number in [*killers, *range(5)]}
        killed = play(backend, killers=killers)

    errors = {number for number, future in futures.items() if isinstance(future.exception(0), PoisonTask)}
    assert errors == killers
    assert len(killed) == 2 + len(killers)
    assert [futures[number].result(timeout=0) for number in range(5)] == [*range(5)]


def test_the_error_tells_what_happened(expected_logs: Logs) -> None:
    """Which call, how many workers it killed and what became of the last; pickled too, but for the cause."""
    backend = FakeBackend()
    with LoopPool(1, backend=backend) as pool:
        future = pool.options(resubmits=9, name="page 17").submit(work, KILLER)
        play(backend)

    error = future.exception(timeout=0)
    assert isinstance(error, PoisonTask)
    assert "the task 'page 17', work(), kills its workers: 3 were lost while it ran" in str(error)
    assert repr(error.__cause__) == "OSError('killed')"
    for each in (error, pickle.loads(pickle.dumps(error))):
        assert (each.task, each.killed, each.end, str(each)) == (
            "page 17", 3, "OSError('killed')", str(error),
        )  # fmt: skip


def test_its_function_names_a_task_without_a_name(expected_logs: Logs) -> None:
    """As everywhere."""
    backend = FakeBackend()
    with LoopPool(1, backend=backend) as pool:
        future = pool.options(resubmits=9).submit(work, KILLER)
        play(backend)

    error = future.exception(timeout=0)
    assert isinstance(error, PoisonTask)
    assert error.task == "work"


@pytest.mark.parametrize(("resubmits", "expected"), [(0, WorkerLost), (1, PoisonTask), (2, PoisonTask)])
def test_a_killer_with_few_resubmits(expected_logs: Logs, resubmits: int, expected: type[Exception]) -> None:
    """Without resubmits a loss is a loss; with them what is lost again, alone, is told that it kills."""
    backend = FakeBackend()
    with LoopPool(1, backend=backend) as pool:
        future = pool.options(resubmits=resubmits).submit(work, KILLER)
        killed = play(backend)

    assert type(future.exception(timeout=0)) is expected
    assert len(killed) == resubmits + 1


def test_without_resubmits_bystanders_are_lost_and_never_run_twice(expected_logs: Logs) -> None:
    """They fail with the first worker that is lost; the killer is tried on."""
    backend = FakeBackend()
    with LoopPool(1, backend=backend) as pool:
        bystander = pool.submit(work, 1)
        killer = pool.options(resubmits=5).submit(work, KILLER)
        killed = play(backend)

    assert isinstance(bystander.exception(timeout=0), WorkerLost)
    assert isinstance(killer.exception(timeout=0), PoisonTask)
    assert killed == [[1, KILLER], [KILLER], [KILLER]]


# -- how suspects run ---------------------------------------------------------------------------


def test_suspects_run_one_at_a_time_and_others_after_them(expected_logs: Logs) -> None:
    """On the only worker: those that were lost twice, each alone, and then the backlog."""
    backend = FakeBackend()
    with LoopPool(1, backend=backend, limit=2) as pool:
        futures = [pool.options(resubmits=5).submit(work, number) for number in range(4)]
        link = lose_twice(backend)
        turns: list[list[int]] = []
        while numbers := running(link):
            turns.append(numbers)
            finish([link])

    assert turns == [[0], [1], [2, 3]]
    assert [future.result(timeout=0) for future in futures] == [0, 1, 2, 3]


def test_other_workers_go_on_while_a_suspect_runs(expected_logs: Logs) -> None:
    """The suspect has its worker for itself; what comes meanwhile goes to the others."""
    backend = FakeBackend()
    with LoopPool(2, backend=backend) as pool:
        suspect = pool.options(resubmits=5, worker=0).submit(work, 0)
        link = lose_twice(backend)
        others = [pool.submit(work, number) for number in range(1, 6)]
        pinned = pool.options(worker=0).submit(work, 6)
        alone, beside = running(link), running(live(backend)[1])
        link.finish(link.running[0], 0)
        after = running(link)
        play(backend)

    assert (alone, sorted(beside), after) == ([0], [1, 2, 3, 4, 5], [6])
    assert [future.result(timeout=0) for future in (suspect, *others, pinned)] == [*range(7)]


def test_a_broadcast_reaches_the_worker_of_a_suspect(expected_logs: Logs) -> None:
    """It is for every worker, now. If that is lost then, the suspect runs again: it was not alone."""
    backend = FakeBackend()
    with LoopPool(1, backend=backend) as pool:
        suspect = pool.options(resubmits=5).submit(work, 0)
        link = lose_twice(backend)
        everywhere = pool.broadcast(work, 1)
        together = running(link)
        link.lose()
        again = running(live(backend)[0])
        play(backend)

    assert (together, again) == ([0, 1], [0])
    assert suspect.result(timeout=0) == 0
    error = everywhere.exception(timeout=0)
    assert isinstance(error, ExceptionGroup)
    assert isinstance(error.exceptions[0], WorkerLost)


# -- what else may happen to them ---------------------------------------------------------------


def suspects(pool: LoopPool, backend: FakeBackend, **options: Any) -> tuple[list[Future[int]], FakeLink]:
    """Three suspects, of which the first runs on the link, alone."""
    futures = [pool.options(resubmits=9, **options).submit(work, number) for number in range(3)]
    link = lose_twice(backend)
    assert running(link) == [0]
    return futures, link


def test_a_suspect_may_be_cancelled_while_it_waits(expected_logs: Logs) -> None:
    """It is settled at once, does not start again, and the next one has its turn."""
    backend = FakeBackend()
    with LoopPool(1, backend=backend) as pool:
        futures, link = suspects(pool, backend)

        futures[1].cancel()

        cancelled_at_once = futures[1].cancelled()
        link.finish(link.running[0], 0)
        after = running(link)
        play(backend)

    assert cancelled_at_once
    assert after == [2]


def test_a_suspect_may_be_cancelled_while_it_runs(expected_logs: Logs) -> None:
    """It ends as any task does, and the next one has its turn; one that is lost then is not convicted."""
    backend = FakeBackend()
    with LoopPool(1, backend=backend) as pool:
        futures, link = suspects(pool, backend)
        futures[0].cancel()
        after = running(link)
        futures[1].cancel()
        link.lose()
        last = running(live(backend)[0])
        play(backend)

    assert futures[0].cancelled()
    assert (after, last) == ([1], [2])
    assert isinstance(futures[1].exception(timeout=0), WorkerLost)


def test_the_deadline_of_a_suspect_may_pass_while_it_waits(expected_logs: Logs) -> None:
    """It fails with that, and nothing of it is left."""
    backend = FakeBackend()
    with LoopPool(1, backend=backend) as pool:
        first = pool.options(resubmits=9).submit(work, 0)
        second = pool.options(resubmits=9, timeout=60.0).submit(work, 1)
        link = lose_twice(backend)
        assert running(link) == [0]

        let_pass(pool, 60.0)
        error = second.exception(PATIENCE)

        link.finish(link.running[0], 0)
        after = running(link)

    assert isinstance(error, DeadlineExceeded)
    assert not error.still_running
    assert after == []
    assert first.result(timeout=0) == 0


def test_a_pool_that_is_closed_lets_suspects_finish(expected_logs: Logs) -> None:
    """They were accepted: draining waits for them, those that wait for their turn too."""
    backend = FakeBackend()
    pool = LoopPool(1, backend=backend)
    pool.open()
    futures, link = suspects(pool, backend)
    closing = pool._supervisor.closing(drain=None, grace=1.0)

    idle, _ = next(closing)
    states = [idle.done()]
    for _ in range(3):
        link.deliver()
        link.finish(link.running[0], link.running[0].args[0])
        states.append(idle.done())
    for _ in closing:
        pass

    assert states == [False, False, False, True]
    assert [future.result(timeout=0) for future in futures] == [0, 1, 2]


def test_a_pool_that_is_closed_at_once_cancels_suspects(expected_logs: Logs) -> None:
    """Those that run and those that wait."""
    backend = FakeBackend()
    pool = LoopPool(1, backend=backend)
    pool.open()
    futures, _ = suspects(pool, backend)

    pool.close(drain=0)

    assert [future.cancelled() for future in futures] == [True] * 3


def test_nothing_runs_again_when_the_workers_are_leaving(expected_logs: Logs) -> None:
    """Resubmits are of no use then: what had started is lost, what had not is cancelled."""
    backend = FakeBackend()
    pool = LoopPool(1, backend=backend)
    pool.open()
    started, unstarted = [pool.options(resubmits=9).submit(work, number) for number in range(2)]
    link = live(backend)[0]
    link.deliver(1)
    backend.answers = False
    closing = pool._supervisor.closing(drain=0.0, grace=1.0)

    next(closing)
    link.lose()
    for _ in closing:
        pass

    assert isinstance(started.exception(timeout=0), WorkerLost)
    assert unstarted.cancelled()


def test_a_pool_that_breaks_fails_suspects(expected_logs: Logs) -> None:
    """When no replacement comes up there is nobody to run them."""
    backend = FakeBackend()
    with LoopPool(1, backend=backend) as pool:
        futures, link = suspects(pool, backend)
        backend.answers = False
        link.lose()
        for _ in range(MAX_FRUITLESS + 1):
            if not futures[1].done():
                backend.links[-1].fail(OSError("no more of them"))
        backend.answers = True

    assert isinstance(futures[0].exception(timeout=0), PoisonTask)
    assert [type(future.exception(timeout=0)) for future in futures[1:]] == [PoolBroken] * 2


def test_a_suspect_that_had_not_started_is_not_held_guilty(expected_logs: Logs) -> None:
    """Its worker was lost before it came to it: it is first in line for the next one."""
    backend = FakeBackend()
    with LoopPool(1, backend=backend) as pool:
        future = pool.options(resubmits=2).submit(work, 0)
        lose_twice(backend).lose()
        play(backend)

    assert future.result(timeout=0) == 0


# -- the pool -----------------------------------------------------------------------------------


def test_tasks_that_kill_do_not_break_a_pool_in_which_others_finish(expected_logs: Logs) -> None:
    """However often one worker is killed before it has finished anything."""
    backend = FakeBackend()
    with LoopPool(2, backend=backend) as pool:
        killers = [pool.options(worker=0).submit(work, KILLER)]
        for number in range(2 * MAX_FRUITLESS):
            bystander = pool.options(worker=1).submit(work, number)
            play(backend)
            assert bystander.result(timeout=0) == number
            killers.append(pool.options(worker=0).submit(work, KILLER))
        play(backend)

    assert {type(future.exception(timeout=0)) for future in killers} == {WorkerLost}
