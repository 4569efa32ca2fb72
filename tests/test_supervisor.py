"""The life of a pool, on workers that do what the test says: loss, replacement, giving up, closing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from polyloop import LoopPool, PoolBroken, PoolClosed, StartupError, TaskCancelled, WorkerLost
from polyloop._patience import FIRST_DELAY, MAX_FRUITLESS
from polyloop.testing import FakeBackend, FakeLink

if TYPE_CHECKING:
    import logging

    from polyloop import Future
    from polyloop._link import Reports
    from polyloop._local import Worker
    from polyloop._messages import Call


async def work(number: int = 0) -> int:
    """Is never run: the test says what comes of it."""
    return number


def names(calls: list[Call]) -> list[int]:
    """Which of the calls of `work` these are."""
    return [call.args[0] for call in calls]


def last(backend: FakeBackend) -> FakeLink:
    """The link to the worker that was hired last."""
    return backend.links[-1]


# -- opening ------------------------------------------------------------------------------------


def test_all_workers_are_up_when_it_is_open() -> None:
    """Each worker is hired once, in order, without delay."""
    backend = FakeBackend()

    with LoopPool(3, backend=backend) as pool:
        phases = [worker.phase for worker in pool.statistics().workers]

    assert [link.worker.index for link in backend.links] == [0, 1, 2]
    assert [link.delay for link in backend.links] == [0.0, 0.0, 0.0]
    assert phases == ["running"] * 3


def test_a_worker_that_does_not_come_up_fails_the_opening() -> None:
    """When one worker fails, the others are told to leave, and the error says why."""
    backend = FakeBackend(answers=False)
    pool = LoopPool(2, backend=backend, grace=0.0)
    opening = pool._supervisor.opening()

    next(opening)  # it waits for both
    backend.links[0].come_up()
    backend.links[1].fail(OSError("no more of them"))
    next(opening)  # it waits for the first to leave
    backend.links[0].deliver()
    with pytest.raises(StartupError, match="OSError: no more of them") as caught:
        for _ in opening:
            pass

    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(PoolClosed):
        _ = pool.submit(work)


def test_a_worker_that_cannot_be_started_fails_the_opening() -> None:
    """When starting one raises, those before it are told to leave."""

    class Backend(FakeBackend):
        """One that has room for a single worker."""

        def make_link(self, worker: Worker, reports: Reports, delay: float) -> FakeLink:
            """As any, for the first one."""
            self.start_error = OSError("no more threads") if self.links else None
            return super().make_link(worker, reports, delay)

    backend = Backend()
    pool = LoopPool(2, backend=backend)

    with pytest.raises(StartupError, match="no more threads"):
        pool.open()

    assert backend.links[0].join(0.0), "the first was not told to leave"


# -- calls --------------------------------------------------------------------------------------


def test_what_is_above_the_limit_waits_in_order() -> None:
    """A worker gets as many calls as its limit, and the next ones as tasks end."""
    backend = FakeBackend()

    with LoopPool(1, backend=backend, limit=2) as pool:
        futures = [pool.submit(work, number) for number in range(4)]
        [link] = backend.links
        link.deliver()
        at_first = names(link.running)
        waiting = pool.statistics().backlog
        while link.running:
            link.finish(link.running[0], link.running[0].args[0])
            link.deliver()

    assert at_first == [0, 1]
    assert waiting == 2
    assert [future.result() for future in futures] == [0, 1, 2, 3]


def test_a_call_cancelled_on_its_way_never_starts() -> None:
    """A call that was sent and not delivered when it was cancelled is settled without being started."""
    backend = FakeBackend()

    with LoopPool(1, backend=backend) as pool:
        future = pool.submit(work)
        future.cancel()
        pending = not future.done()
        last(backend).deliver()

    assert pending
    assert future.cancelled()


def test_a_call_cancelled_in_the_backlog_is_never_sent() -> None:
    """A call that waits is settled as cancelled at once, and the worker never hears of it."""
    backend = FakeBackend()

    with LoopPool(1, backend=backend, limit=1) as pool:
        first = pool.submit(work, 0)
        second = pool.submit(work, 1)
        second.cancel()
        cancelled_at_once = second.cancelled()
        link = last(backend)
        link.deliver()
        link.finish(link.running[0], 0)
        left = list(link.sent)

    assert cancelled_at_once
    assert left == []
    assert first.result() == 0


# -- loss ---------------------------------------------------------------------------------------


def test_a_loss_fails_what_had_started_and_moves_the_rest(expected_logs: list[logging.LogRecord]) -> None:
    """Calls that had started are WorkerLost; those that had not run on another worker, in their order."""
    backend = FakeBackend()

    with LoopPool(2, backend=backend, limit=10) as pool:
        futures = [pool.submit(work, number) for number in range(8)]
        lost, _ = backend.links
        lost.deliver(1)
        started = lost.running[0].args[0]
        lost.lose(OSError("cable"))
        finish_all(backend)
        outcomes = [future.exception() for future in futures]

    assert isinstance(outcomes[started], WorkerLost)
    assert "cable" in str(outcomes[started])
    assert [error for error in outcomes if error is not None] == [outcomes[started]]
    assert "was lost" in expected_logs[0].getMessage()


def finish_all(backend: FakeBackend) -> None:
    """Let every worker start and finish all that it was sent."""
    for link in backend.links:
        while link.sent or link.running:
            link.deliver()
            for call in list(link.running):
                link.finish(call, call.args[0])


def test_what_is_moved_comes_before_what_waits(expected_logs: list[logging.LogRecord]) -> None:
    """Calls of a lost worker are first in line for its replacement, before the backlog."""
    backend = FakeBackend()

    with LoopPool(1, backend=backend, limit=2) as pool:
        futures = [pool.submit(work, number) for number in range(4)]
        last(backend).lose()
        replacement = last(backend)
        replacement.deliver()
        at_first = names(replacement.running)
        finish_all(backend)

    assert at_first == [0, 1]
    assert [future.result() for future in futures] == [0, 1, 2, 3]
    assert len(expected_logs) == 1


@pytest.mark.parametrize("has_started", [False, True])
def test_a_call_for_every_worker_does_not_move_to_another_one(
    expected_logs: list[logging.LogRecord], has_started: bool
) -> None:
    """What a lost worker had of a broadcast is for its replacement: once on every loop, by worker."""
    backend = FakeBackend()

    with LoopPool(2, backend=backend) as pool:
        future = pool.options(resubmits=1).broadcast(work, 1)
        lost, other = backend.links
        if has_started:
            lost.deliver()
        lost.lose()
        for link in (other, last(backend)):
            link.deliver()
        running = [len(link.running) for link in (last(backend), other)]
        finish_all(backend)

    assert running == [1, 1]
    assert future.result(timeout=0) == [1, 1]
    assert len(expected_logs) == 1


def test_a_replacement_has_the_next_generation(expected_logs: list[logging.LogRecord]) -> None:
    """A replacement keeps its predecessor's index, and what that had done stays in the statistics."""
    backend = FakeBackend()

    with LoopPool(1, backend=backend) as pool:
        _ = pool.submit(work, 1)
        finish_all(backend)
        last(backend).lose()
        [statistics] = pool.statistics().workers

    assert (last(backend).worker.index, last(backend).worker.generation) == (0, 1)
    assert (statistics.generation, statistics.ended) == (1, 1)
    assert len(expected_logs) == 1


def test_replacements_are_delayed_longer_and_longer(expected_logs: list[logging.LogRecord]) -> None:
    """Each worker that is lost before it finished a call doubles the delay of the next one."""
    backend = FakeBackend()

    with LoopPool(1, backend=backend):
        for _ in range(MAX_FRUITLESS):
            last(backend).lose()

    delays = [link.delay for link in backend.links]
    assert delays == [0.0, *[FIRST_DELAY * 2**fruitless for fruitless in range(MAX_FRUITLESS)]]
    assert len(expected_logs) == MAX_FRUITLESS


def test_progress_resets_the_delay(expected_logs: list[logging.LogRecord]) -> None:
    """A worker that finished a call before it was lost is replaced with the first delay again."""
    backend = FakeBackend()

    with LoopPool(1, backend=backend) as pool:
        last(backend).lose()
        last(backend).lose()
        _ = pool.submit(work, 1)
        finish_all(backend)
        last(backend).lose()

    assert [link.delay for link in backend.links] == [0.0, FIRST_DELAY, 2 * FIRST_DELAY, FIRST_DELAY]
    assert len(expected_logs) == 3


def test_a_pool_whose_workers_keep_dying_gives_up(expected_logs: list[logging.LogRecord]) -> None:
    """After so many fruitless replacements all calls fail with PoolBroken, those to come too."""
    backend = FakeBackend()

    with LoopPool(1, backend=backend, limit=1) as pool:
        futures = [pool.submit(work, number) for number in range(3)]
        for _ in range(MAX_FRUITLESS + 1):
            last(backend).lose()

        with pytest.raises(PoolBroken):
            _ = pool.submit(work)

    assert [type(future.exception(timeout=0)) for future in futures] == [PoolBroken] * 3
    assert len(backend.links) == MAX_FRUITLESS + 1
    assert "is broken" in expected_logs[-1].getMessage()


def test_a_replacement_that_does_not_come_up_is_replaced(expected_logs: list[logging.LogRecord]) -> None:
    """A failure to come up counts as a fruitless replacement, and the calls wait for the next one."""
    backend = FakeBackend()

    with LoopPool(1, backend=backend) as pool:
        future = pool.submit(work, 1)
        backend.answers = False
        last(backend).lose()
        last(backend).fail(OSError("not yet"))
        last(backend).come_up()
        backend.answers = True
        finish_all(backend)

    assert future.result() == 1
    assert [link.delay for link in backend.links] == [0.0, FIRST_DELAY, 2 * FIRST_DELAY]
    assert len(expected_logs) == 2


# -- closing ------------------------------------------------------------------------------------


def test_closing_drains_then_withdraws_then_dismisses() -> None:
    """Draining refuses new calls and waits; then what waits is cancelled and workers leave."""
    backend = FakeBackend(answers=False)
    pool = LoopPool(1, backend=backend, limit=1)
    backend.answers = True
    pool.open()
    backend.answers = False
    running, waiting = pool.submit(work, 0), pool.submit(work, 1)
    link = last(backend)
    link.deliver()
    closing = pool._supervisor.closing(drain=1.0, grace=1.0)

    _, patience = next(closing)
    assert patience == 1.0
    with pytest.raises(PoolClosed):
        _ = pool.submit(work)
    assert not link.sent, "told to leave before the draining was over"

    next(closing)  # as if the second was over
    assert waiting.cancelled()
    assert not running.done()
    assert len(link.sent) == 1

    link.deliver()
    assert running.cancelled()
    assert next(closing, None) is None
    assert link.join(0.0)


def test_closing_cleanly_waits_for_the_last_task() -> None:
    """The draining ends when the last task has ended, those of the backlog included."""
    backend = FakeBackend()
    pool = LoopPool(1, backend=backend, limit=1)
    pool.open()
    futures: list[Future[int]] = [pool.submit(work, number) for number in range(2)]
    closing = pool._supervisor.closing(drain=None, grace=1.0)

    idle, _ = next(closing)
    link = last(backend)
    link.deliver()
    link.finish(link.running[0], 0)
    was_idle = idle.done()
    link.deliver()
    link.finish(link.running[0], 1)
    is_idle = idle.done()
    for _ in closing:
        pass

    assert (was_idle, is_idle) == (False, True)
    assert [future.result() for future in futures] == [0, 1]


def test_a_worker_that_does_not_answer_is_given_up(expected_logs: list[logging.LogRecord]) -> None:
    """Closing settles what a silent worker has: what runs there with an error, the rest as cancelled."""
    backend = FakeBackend()
    pool = LoopPool(1, backend=backend)
    pool.open()
    backend.answers = False
    running, sent = pool.submit(work, 0), pool.submit(work, 1)
    last(backend).deliver(1)
    closing = pool._supervisor.closing(drain=0.0, grace=0.0)

    for _ in closing:  # nobody waits: the grace is over at once
        pass

    error = running.exception(timeout=0)
    assert isinstance(error, PoolClosed)
    assert "given up" in str(error)
    with pytest.raises(TaskCancelled):
        sent.result(timeout=0)
    assert "does not answer" in expected_logs[0].getMessage()


def test_a_worker_lost_while_it_leaves_is_not_replaced(expected_logs: list[logging.LogRecord]) -> None:
    """What had started there is WorkerLost; nobody is hired any more."""
    backend = FakeBackend()
    pool = LoopPool(1, backend=backend)
    pool.open()
    backend.answers = False
    future = pool.submit(work)
    last(backend).deliver()
    closing = pool._supervisor.closing(drain=0.0, grace=1.0)

    next(closing)
    last(backend).lose()
    for _ in closing:
        pass

    assert isinstance(future.exception(timeout=0), WorkerLost)
    assert len(backend.links) == 1
    assert len(expected_logs) == 1


def test_what_is_moved_when_the_workers_are_about_to_leave_is_settled(
    expected_logs: list[logging.LogRecord],
) -> None:
    """A loss between the withdrawing of what waits and the order to leave leaves nothing pending (P1)."""
    backend = FakeBackend()
    pool = LoopPool(1, backend=backend, limit=1)
    pool.open()
    moved = pool.options(resubmits=1).submit(work, 0)
    waiting = pool.submit(work, 1)
    link = last(backend)
    link.deliver()
    backend.answers = False
    waiting.add_done_callback(lambda _: link.lose())
    closing = pool._supervisor.closing(drain=0.0, grace=1.0)

    next(closing)
    last(backend).deliver()
    for _ in closing:
        pass

    assert moved.cancelled()
    assert len(expected_logs) == 1


def test_what_is_moved_when_the_workers_have_left_is_settled(expected_logs: list[logging.LogRecord]) -> None:
    """A loss that closes the pool, by a callback of what was lost, leaves nothing pending (P1)."""
    backend = FakeBackend()
    pool = LoopPool(1, backend=backend, grace=0.0)
    pool.open()
    lost = pool.submit(work, 0)
    moved = pool.options(resubmits=1).submit(work, 1)
    last(backend).deliver()
    lost.add_done_callback(lambda _: pool.close(drain=0))

    last(backend).lose()

    assert isinstance(lost.exception(timeout=0), WorkerLost)
    assert moved.cancelled()
    assert expected_logs


def test_a_worker_lost_while_it_drains_is_replaced(expected_logs: list[logging.LogRecord]) -> None:
    """A loss during the draining moves what had not started, and the draining waits for that too."""
    backend = FakeBackend()
    pool = LoopPool(1, backend=backend)
    pool.open()
    future = pool.submit(work, 7)
    closing = pool._supervisor.closing(drain=None, grace=1.0)

    idle, _ = next(closing)
    last(backend).lose()
    was_idle = idle.done()
    finish_all(backend)
    is_idle = idle.done()
    for _ in closing:
        pass

    assert (was_idle, is_idle) == (False, True)
    assert future.result() == 7
    assert len(expected_logs) == 1


def test_draining_ends_when_the_last_running_task_is_lost(expected_logs: list[logging.LogRecord]) -> None:
    """A worker that takes the last task with it leaves nothing to wait for."""
    backend = FakeBackend()
    pool = LoopPool(1, backend=backend)
    pool.open()
    future = pool.submit(work)
    last(backend).deliver()
    closing = pool._supervisor.closing(drain=None, grace=1.0)

    idle, _ = next(closing)
    last(backend).lose()
    is_idle = idle.done()
    for _ in closing:
        pass

    assert is_idle
    assert isinstance(future.exception(timeout=0), WorkerLost)
    assert len(expected_logs) == 1


def test_a_pool_that_breaks_while_it_drains_closes(expected_logs: list[logging.LogRecord]) -> None:
    """When no replacement is left to drain the backlog, closing goes on."""
    backend = FakeBackend()
    pool = LoopPool(1, backend=backend)
    pool.open()
    future = pool.submit(work)
    closing = pool._supervisor.closing(drain=None, grace=1.0)

    idle, _ = next(closing)
    for _ in range(MAX_FRUITLESS + 1):
        last(backend).lose()
    is_idle = idle.done()
    for _ in closing:
        pass

    assert is_idle
    assert isinstance(future.exception(timeout=0), PoolBroken)
    assert expected_logs
