"""The thread that watches deadlines: started when it is needed, and ended with the pool."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from polyloop import DeadlineExceeded
from tests._calls import double, forever
from tests._gate import PATIENCE

if TYPE_CHECKING:
    from tests._open_pool import OpenPool


def names() -> list[str]:
    """The names of the threads that watch deadlines."""
    return [thread.name for thread in threading.enumerate() if thread.name.endswith("-deadlines")]


def test_it_is_there_for_the_first_deadline_and_gone_with_the_pool(open_pool: OpenPool) -> None:
    """A pool without deadlines has no thread for them."""
    with open_pool(1, name="watched") as pool:
        pool.call(double, 1)
        before = names()
        pool.options(timeout=PATIENCE).call(double, 1)
        during = names()

    assert (before, during) == ([], ["watched-deadlines"])


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
            assert not pool._dispatch.deadlines.live

        assert view.call(double, 1) == 2


def test_an_earlier_deadline_is_not_slept_through(open_pool: OpenPool) -> None:
    """A deadline that comes before all others wakes the thread, however long it was going to sleep."""
    with open_pool(1) as pool:
        _ = pool.options(timeout=1e9).submit(forever)
        with pytest.raises(DeadlineExceeded):
            _ = pool.options(timeout=0.01).submit(forever).result(PATIENCE)
        pool.close(drain=0)


def test_a_deadline_of_many_years_is_no_error(open_pool: OpenPool) -> None:
    """Seconds that no clock of the system can count are cut to what it can."""
    with open_pool(1) as pool:
        assert pool.options(timeout=1e300).call(double, 1) == 2
