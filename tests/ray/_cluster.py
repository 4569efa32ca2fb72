"""A Ray cluster of several nodes on this machine."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CPUS", "ROOT", "running_cluster"]

CPUS = 16
"""Of the head node: many, for they are counted and not used up, and each loop of a test takes one."""

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def running_cluster() -> Iterator[Any]:
    """A cluster of one node, to which this program is connected; more nodes can be added to it."""
    # Programs of tests are silent but for what they say themselves: it would tell how they have connected.
    os.environ["RAY_LOGGER_LEVEL"] = "warning"
    # Late, and without its types: it is installed for these tests alone.
    ray: Any = importlib.import_module("ray")
    utilities: Any = importlib.import_module("ray.cluster_utils")

    # The workers import what calls are of, as the tests do.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    head = {"num_cpus": CPUS, "include_dashboard": False}
    cluster = utilities.Cluster(initialize_head=True, head_node_args=head)
    try:
        ray.init(address=cluster.address, log_to_driver=False)
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()
        shutil.rmtree(Path(tempfile.gettempdir(), "ray"))  # where it keeps what there was of it
