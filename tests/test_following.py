"""How many loops a pool has that follows the room there is."""

from __future__ import annotations

import pytest

from polyloop._following import Room, wanted
from polyloop.ray import Cluster


@pytest.mark.parametrize(
    ("whole", "free", "loops", "expected"),
    [
        (8, 0, 3, 3),  # others have the rest
        (8, 2, 3, 5),
        (4, 2, 3, 4),  # two places on different nodes are room for one
        (2, 0, 5, 2),  # nodes are gone
        (100, 50, 3, 10),
        (0, 0, 3, 2),
    ],
)
def test_as_many_as_fit(whole: int, free: int, loops: int, expected: int) -> None:
    """Those that are there and those that there is room for beside them, within the bounds."""
    assert wanted(Room(whole, free), loops, loops, is_growing=False, least=2, most=10) == expected


def test_those_that_come_up_have_their_room() -> None:
    """It is free no more, and not taken by somebody else: to want fewer now would end them again."""
    assert wanted(Room(8, 0), 3, 5, is_growing=True, least=1, most=10) == 5
    assert wanted(Room(4, 0), 3, 5, is_growing=True, least=1, most=10) == 4


def test_what_is_enough_for_how_many() -> None:
    """What there is least of decides; what is not asked for, does not; and halves are no error."""
    cluster = Cluster(num_cpus=0.1, resources={"gpu": 0.5})
    assert cluster.fitting({"CPU": 0.3, "gpu": 8.0}) == 3
    assert cluster.fitting({"CPU": 64.0, "gpu": 1.0}) == 2
    assert cluster.fitting({"CPU": 64.0}) == 0
    assert Cluster(num_cpus=0, memory=1000).fitting({"CPU": 4.0, "memory": 2999.0}) == 2


def test_following_needs_something_to_count() -> None:
    """Loops that take nothing would have room without end."""
    with pytest.raises(ValueError, match="most_loops= counts what loops take"):
        _ = Cluster(num_cpus=0, most_loops=4)
