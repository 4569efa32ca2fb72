"""`pool.options(...)`: what may be fixed, how it is refused, and how names show."""

from __future__ import annotations

import asyncio
import math
import pickle
from typing import TYPE_CHECKING, Any

import pytest

import polyloop
from polyloop import DeadlineExceeded, LoopPool, PoolClosed, PoolFull
from tests._calls import double, fail, forever, where
from tests._gate import PATIENCE, Gate

if TYPE_CHECKING:
    from tests._open_pool import OpenPool


async def task_name() -> str:
    """What asyncio calls the task that runs it."""
    task = asyncio.current_task()
    assert task is not None
    return task.get_name()


async def with_timeout(*, timeout: float) -> float:  # noqa: ASYNC109 - a user's own parameter of that name
    """Return the argument."""
    return timeout


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"timeout": 0}, ValueError, "timeout=0 would be over at once"),
        ({"timeout": -1}, ValueError, "timeout=-1 must be a finite number"),
        ({"timeout": math.nan}, ValueError, "timeout=nan must be a finite number"),
        ({"timeout": math.inf}, ValueError, "timeout=inf must be a finite number"),
        ({"timeout": "1"}, TypeError, "timeout must be a number of seconds, not '1'"),
        ({"timeout": True}, TypeError, "timeout must be a number of seconds, not True"),
        ({"key": []}, TypeError, "must be hashable"),
        ({"worker": 2}, ValueError, "worker=2 is too large: it must be at most 1"),
        ({"worker": -1}, ValueError, "worker=-1 is too small"),
        ({"worker": "0"}, TypeError, "worker must be a whole number"),
        ({"key": "a", "worker": 0}, ValueError, "not both"),
        ({"resubmits": -1}, ValueError, "resubmits=-1 is too small"),
        ({"resubmits": 1.5}, TypeError, "resubmits must be a whole number"),
        ({"name": 3}, TypeError, "name must be a string"),
    ],
)
def test_a_slip_is_told_where_it_was_made(options: dict[str, Any], error: type[Exception], text: str) -> None:
    """options() itself refuses what makes no sense, and names it."""
    with pytest.raises(error, match=text):
        LoopPool(2).options(**options)


def test_the_functions_own_arguments_stay_its_own(steady_pool: LoopPool) -> None:
    """A `timeout=` that is given to a call through a view is for the function."""
    assert steady_pool.options(timeout=PATIENCE).call(with_timeout, timeout=3.0) == 3.0


def test_every_way_to_hand_in_a_call_takes_the_options(steady_pool: LoopPool) -> None:
    """Through a view that pins calls to a worker, submit, run, call, map and starmap all go there."""

    async def by_run(view: polyloop.PoolView) -> int:
        return await view.run(where)

    async def where_of(_: object) -> int:
        return polyloop.current_worker().index

    view = steady_pool.options(worker=1)
    indices = {
        view.submit(where).result(PATIENCE),
        asyncio.run(by_run(view)),
        view.call(where),
        *view.map(where_of, range(5)),
        *view.starmap(where_of, [(number,) for number in range(5)]),
    }

    assert indices == {1}


def test_a_broadcast_is_not_for_one_worker(steady_pool: LoopPool) -> None:
    """broadcast() through a view with a worker or key is refused; through another one it is not."""
    with pytest.raises(ValueError, match="leave out the key or worker"):
        _ = steady_pool.options(worker=1).broadcast(where)

    assert steady_pool.options(timeout=PATIENCE).broadcast(where).result(PATIENCE) == [0, 1]


def test_a_name_shows_in_errors_tasks_and_statistics(open_pool: OpenPool) -> None:
    """A call that was given a name is called by it wherever it shows."""
    with open_pool() as pool:
        view = pool.options(name="the crawl")
        asyncio_name = view.call(task_name)
        with pytest.raises(LookupError):
            view.call(fail)
        cancelled = view.submit(forever)
        cancelled.cancel()
        with pytest.raises(polyloop.TaskCancelled, match=r"the task 'the crawl', forever\(\), was cancelled"):
            cancelled.result(PATIENCE)
        pool.call(double, 1)
        counted = pool.statistics()

    assert asyncio_name == "the crawl"
    assert counted.named == {"the crawl": 3}
    assert counted.workers[0].named == {"the crawl": 3}


def test_a_view_of_a_pool_that_is_not_open_refuses_as_the_pool_does(open_pool: OpenPool) -> None:
    """A view may be made before the pool is opened and outlives it; its calls are refused meanwhile."""
    pool = open_pool()
    view = pool.options(timeout=PATIENCE, key="a")
    with pytest.raises(PoolClosed):
        _ = view.submit(double, 1)
    with pool:
        assert view.call(double, 1) == 2
    with pytest.raises(PoolClosed):
        view.call(double, 1)


def test_a_call_that_is_refused_has_no_deadline_left(open_pool: OpenPool) -> None:
    """Nothing of a refused call is watched or kept, and nobody is told later that it was late."""
    gate = Gate()
    with open_pool(1, limit=1, backlog=0) as pool:
        _ = pool.submit(gate.passage)
        gate.wait_started()
        with pytest.raises(PoolFull):
            _ = pool.options(timeout=0.001).submit(double, 1)
        watched = dict(pool._dispatch.deadlines.live)
        gate.open()

    assert watched == {}


def test_the_error_survives_pickling() -> None:
    """DeadlineExceeded is a TimeoutError, and its attributes go with it through a pipe."""
    error = DeadlineExceeded("too late", worker=1, timeout=2.5, still_running=True)

    copy: DeadlineExceeded = pickle.loads(pickle.dumps(error))

    assert issubclass(type(copy), TimeoutError)
    assert (str(copy), copy.worker, copy.timeout, copy.still_running) == ("too late", 1, 2.5, True)
