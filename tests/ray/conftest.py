"""These tests are for ``make test-ray``, which installs Ray."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests._open_pool import ON_RAY

if TYPE_CHECKING:
    from collections.abc import Iterator

collect_ignore_glob = [] if ON_RAY else ["test_*.py"]


@pytest.fixture
def other_node(ray_cluster: Any) -> Iterator[Any]:
    """A node beside the head, with room for two workers that ask for the resource ``other``."""
    node = ray_cluster.add_node(num_cpus=2, resources={"other": 2})
    ray_cluster.wait_for_nodes()
    yield node
    if node in ray_cluster.list_all_nodes():
        ray_cluster.remove_node(node)
