"""The thread that watches deadlines: started when it is needed, and ended with the pool."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from polyloop import BlockingCall, DeadlineExceeded, PoolClosed, StartupError, _lazy
from tests._calls import double, forever
from tests._gate import PATIENCE, Gate
from tests._passing_time import let_pass
from tests._stage import Stage

if TYPE_CHECKING:
    from polyloop import LoopPool
    from polyloop._messages import Call
    from tests._open_pool import OpenPool


def is_watched(name: str) -> bool:
    """Whether a thread watches the deadlines of the pool of this name."""
    return f"{name}-deadlines" in [thread.name for thread in threading.enumerate()]


def test_it_is_there_for_the_first_deadline_and_gone_with_the_pool(open_pool: OpenPool) -> None:
    """A pool without deadlines has no thread for them."""
    with open_pool(1, name="watched") as pool:
        pool.call(double, 1)
        before = is_watched("watched")
        pool.options(timeout=PATIENCE).call(double, 1)
        during = is_watched("watched")

    assert (before, during) == (False, True)


def test_a_thread_that_cannot_start_is_tried_again(
    open_pool: OpenPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When there is no thread to be had nothing is left of the call, and the next one tries anew."""

    def no_thread(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with open_pool(1) as pool:
        view = pool.options(timeout=PATIENCE)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", no_thread)
            with pytest.raises(RuntimeError, match="can't start new thread"):
                _ = view.submit(double, 1)
            with pytest.raises(RuntimeError, match="can't start new thread"):
                list(view.map(double, [1]))
            with pytest.raises(RuntimeError, match="can't start new thread"):
                _ = view.broadcast(double, 1)
            assert not pool._dispatch.deadlines.live

        assert view.call(double, 1) == 2


def test_an_earlier_deadline_is_not_slept_through(steady_pool: LoopPool) -> None:
    """A deadline that comes before all others wakes the thread, however long it was going to sleep."""
    later = steady_pool.options(timeout=1e9).submit(forever)
    with pytest.raises(DeadlineExceeded):
        _ = steady_pool.options(timeout=0.01).submit(forever).result(PATIENCE)

    assert asyncio.run(later.cancel_and_wait())


def test_a_deadline_of_many_years_is_no_error(steady_pool: LoopPool) -> None:
    """Seconds that no clock of the system can count are cut to what it can."""
    assert steady_pool.options(timeout=1e300).call(double, 1) == 2


def test_a_refused_call_starts_no_thread(open_pool: OpenPool) -> None:
    """Calls to a pool that is not open, or not any more, leave neither a thread nor a deadline behind."""
    pool = open_pool(1, name="refusing")
    view = pool.options(timeout=PATIENCE)
    with pytest.raises(PoolClosed):
        _ = view.submit(double, 1)
    before = is_watched("refusing")
    with pool:
        assert view.call(double, 1) == 2
    for _ in range(10):
        with pytest.raises(PoolClosed):
            _ = view.submit(double, 1)

    assert not before
    assert not pool._dispatch.deadlines._arrivals


@pytest.mark.parametrize("has_begun", [False, True])
def test_ctrl_c_while_the_thread_starts_leaves_another_one(
    open_pool: OpenPool, monkeypatch: pytest.MonkeyPatch, has_begun: bool
) -> None:
    """Whether the thread had begun or not when Ctrl-C came, later deadlines pass, and one thread watches."""
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        if has_begun:
            start(thread)
        raise KeyboardInterrupt

    with open_pool(1) as pool:
        view = pool.options(timeout=0.01)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", interrupted)
            with pytest.raises(KeyboardInterrupt):
                _ = view.submit(double, 1)
        for _ in range(2):
            with pytest.raises(DeadlineExceeded):
                view.call(forever)
        assert not pool._dispatch.deadlines.live


def test_a_callback_cannot_block_it(open_pool: OpenPool) -> None:
    """A done-callback that waits for a call where deadlines are watched is refused: they could not pass."""
    gate = Gate()
    outcomes: list[object] = []

    def wait(_: object) -> None:
        try:
            outcomes.append(pool.call(double, 1))
        except BlockingCall as error:
            outcomes.append(error)

    with open_pool(1, limit=1) as pool:
        _ = pool.submit(gate.passage)
        gate.wait_started()
        late = pool.options(timeout=PATIENCE).submit(double, 1)
        late.add_done_callback(wait)
        let_pass(pool, PATIENCE)
        with pytest.raises(DeadlineExceeded):
            late.result(PATIENCE)
        gate.open()

    [outcome] = outcomes
    assert isinstance(outcome, BlockingCall)
    assert "the watch of polyloop's deadlines" in str(outcome)


def test_ctrl_c_once_a_call_was_accepted_cancels_it(
    open_pool: OpenPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """call() raises when the task has ended, and does not wait for a future that its deadline forgot."""
    stage = Stage()
    with open_pool(1, grace=1e6) as pool:
        accept = pool._dispatch.accept

        def interrupted(call: Call, *, is_awaited: bool = False) -> None:
            accept(call, is_awaited=is_awaited)
            stage.started.block()
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(pool._dispatch, "accept", interrupted)
            with pytest.raises(KeyboardInterrupt):
                pool.options(timeout=1e6).call(stage.stay)
        assert stage.cleaned.is_set()
        assert not pool._dispatch.deadlines.live


def test_a_lazy_pool_that_fails_to_open_leaves_no_thread(
    open_pool: OpenPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deadline of a call that came before the workers did ends with it."""

    def none_left(_: int) -> None:
        raise OSError("no descriptors")

    monkeypatch.setattr(_lazy, "check_descriptors", none_left)
    with open_pool(1, lazy=True, name="unlucky") as pool:
        future = pool.options(timeout=PATIENCE).submit(double, 1)
        with pytest.raises(StartupError, match="no descriptors"):
            future.result(PATIENCE)
