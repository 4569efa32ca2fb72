"""A pool that follows the size of its cluster."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from polyloop import LoopPool
from polyloop.ray import Cluster
from tests._calls import double, where

if TYPE_CHECKING:
    from collections.abc import Callable

# A worker that is lost is logged.
pytestmark = pytest.mark.usefixtures("expected_logs")

STARTING = 60.0


def until(is_so: Callable[[], bool]) -> None:
    """Wait for what nobody tells."""
    patience = time.monotonic() + STARTING
    while not is_so():
        assert time.monotonic() < patience
        time.sleep(0.05)


@pytest.mark.timeout(240)
def test_it_grows_and_shrinks_with_the_cluster(ray_cluster: Any) -> None:
    """A node that comes brings loops, up to the bound; one that goes takes as many away."""
    nodes = [ray_cluster.add_node(num_cpus=2, resources={"worker": 2})]
    ray_cluster.wait_for_nodes()
    here = Cluster(num_cpus=1, resources={"worker": 1}, most_loops=3)
    try:
        with LoopPool(1, backend=here) as pool:
            until(lambda: pool.loops == 2)
            assert pool.broadcast(where).result(STARTING) == [0, 1]

            nodes.append(ray_cluster.add_node(num_cpus=2, resources={"worker": 2}))
            until(lambda: pool.loops == 3)
            assert pool.broadcast(where).result(STARTING) == [0, 1, 2]

            with pool.options(resubmits=9).map(double, range(2000)) as results:
                assert next(iter(results)) == 0
                ray_cluster.remove_node(nodes[0])
                until(lambda: pool.loops == 2)
            assert [pool.options(worker=index, resubmits=9).call(where) for index in range(2)] == [0, 1]
    finally:
        for node in nodes:
            if node in ray_cluster.list_all_nodes():
                ray_cluster.remove_node(node)
