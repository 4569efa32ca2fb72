"""How many calls a worker elsewhere begins in one go: as many as fit into its time, and no leaps."""

from __future__ import annotations

import pytest

from polyloop._batching import MOST_CALLS, MOST_SECONDS, BatchSize


def grown(turns: int, seconds_each: float) -> BatchSize:
    """After so many turns, in each of which a call took so long."""
    size = BatchSize()
    for _ in range(turns):
        size.took(size.calls, size.calls * seconds_each)
    return size


def test_it_begins_with_one() -> None:
    """Nothing is known of the calls."""
    assert BatchSize().calls == 1


def test_it_doubles_until_there_are_many() -> None:
    """As long as calls begin quickly, or in no time that a clock can see."""
    assert [grown(turns, 0.0).calls for turns in range(4)] == [1, 2, 4, 8]
    assert grown(50, 0.0).calls == MOST_CALLS
    assert grown(50, 1e-6).calls == MOST_CALLS


@pytest.mark.parametrize("fitting", [3, 10, 100])
def test_it_comes_to_what_fits(fitting: int) -> None:
    """Into the time that a batch may take."""
    assert grown(50, MOST_SECONDS / (fitting + 0.5)).calls == fitting


def test_a_slow_batch_takes_it_to_a_quarter() -> None:
    """It may have been slow because another process had this one's turn."""
    size = grown(50, 0.0)

    size.took(size.calls, 60.0)
    assert size.calls == MOST_CALLS // 4

    for _ in range(10):
        size.took(size.calls, 60.0)
    assert size.calls == 1
