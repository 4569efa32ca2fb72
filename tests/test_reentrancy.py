"""Coming in again in the middle of something, in the same thread."""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING, Any

from polyloop import PoolClosed
from tests._calls import forever
from tests._stage import nothing, until

if TYPE_CHECKING:
    from tests._open_pool import OpenPool


def test_a_finaliser_may_submit_in_the_middle_of_anything(open_pool: OpenPool) -> None:
    """__del__ submits, cancels and asks for statistics while submit, cancel and map run."""
    inner: list[Any] = []

    class Dropped:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            try:
                future = pool.submit(nothing)
            except PoolClosed:
                return  # a worker's thread collected it as it ended
            inner.append(future)
            if len(inner) % 3 == 0:
                future.cancel()
            pool.statistics()

    before = gc.get_threshold()
    outer: list[Any] = []
    with open_pool(2, limit=10) as pool:
        gc.set_threshold(7)
        try:
            for _ in range(2000):
                Dropped()
                outer.append(pool.submit(nothing))
        finally:
            gc.set_threshold(*before)
        # A collection that another thread is in the middle of makes this one do nothing.
        while len(inner) < 2000:
            gc.collect()
            pool.call(nothing)

    assert len(inner) == 2000
    for future in (*outer, *inner):
        assert future.done()


def test_a_callback_may_use_the_pool(open_pool: OpenPool) -> None:
    """A done-callback that submits, on whatever thread it runs, neither hangs nor loses a call."""
    later: list[Any] = []
    everybody = threading.Event()

    def again(_: object) -> None:
        later.append(pool.submit(nothing))
        if len(later) == 200:
            everybody.set()

    with open_pool(1, limit=1) as pool:
        for _ in range(200):
            pool.submit(nothing).add_done_callback(again)
        until(everybody)
    assert all(future.done() for future in later)


def test_a_cancelled_call_may_submit_while_it_ends(open_pool: OpenPool) -> None:
    """A callback of a call that is withdrawn from the backlog runs outside the pool's lock."""
    later: list[Any] = []
    everybody = threading.Event()

    def again(_: object) -> None:
        later.append(pool.submit(nothing))
        if len(later) == 50:
            everybody.set()

    with open_pool(1, limit=1) as pool:
        futures = [pool.submit(forever) for _ in range(50)]
        for future in futures:
            future.add_done_callback(again)
            future.cancel()
        until(everybody)
    assert all(future.done() for future in later)
