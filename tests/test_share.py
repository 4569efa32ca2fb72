"""share(): each loop's part of a budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyloop import LoopLocal, share
from polyloop._local import Worker, here
from tests._calls import part_of
from tests._gate import PATIENCE

if TYPE_CHECKING:
    from polyloop import LoopPool


@pytest.mark.parametrize(("total", "parts"), [(40, [20, 20]), (2, [1, 1]), (5, [3, 2])])
def test_the_parts_of_two_loops(steady_pool: LoopPool, total: int, parts: list[int]) -> None:
    """The parts add up to the budget, and the first loops have one more."""
    assert steady_pool.broadcast(part_of, total).result(PATIENCE) == parts


def test_the_factory_of_a_loop_local_may_ask(steady_pool: LoopPool) -> None:
    """A value's factory runs on the worker's loop, so it can size its value there."""
    local = LoopLocal(lambda: share(41))

    assert steady_pool.broadcast(local.get).result(PATIENCE) == [21, 20]


def test_less_than_one_for_each_is_refused(steady_pool: LoopPool) -> None:
    """No loop gets 0, which many clients take for "no limit"."""
    with pytest.raises(ValueError, match=r"share\(1\).*each of the 2 loops"):
        steady_pool.call(part_of, 1)


@pytest.mark.parametrize(
    ("total", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)]
)
def test_what_is_no_budget_is_refused(total: Any, error: type[Exception]) -> None:
    """A budget is a whole number, from 1."""
    with pytest.raises(error, match="total"):
        share(total)


def test_outside_a_worker_it_says_so() -> None:
    """Without a worker nobody knows how many loops there are."""
    with pytest.raises(RuntimeError, match=r"share\(40\) was called outside a worker"):
        share(40)


@settings(deadline=None)  # how long it takes is up to the machine
@given(loops=st.integers(1, 200), more=st.integers(0, 10_000))
def test_parts_add_up(loops: int, more: int) -> None:
    """For any budget and loops: the sum is the budget, no part is 0, none differs by more than 1."""
    total = loops + more

    parts = [_part_as(index, loops, total) for index in range(loops)]

    assert sum(parts) == total
    assert min(parts) >= 1
    assert max(parts) - min(parts) <= 1
    assert parts == sorted(parts, reverse=True)


def _part_as(index: int, loops: int, total: int) -> int:
    """The part of a worker that this thread pretends to be for a moment."""
    here.worker = Worker(index, 0, name="pretended", backend="none", loops=loops, home=None)
    try:
        return share(total)
    finally:
        here.worker = None
