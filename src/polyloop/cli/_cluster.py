"""A Ray cluster for a command.

It is connected to before anything else is begun, and not by the pool: what is told in one sentence is told
before an output is emptied, and modules go along with the connection alone.
"""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING, Any

from .. import PoolClosed, TaskCancelled, WorkerLost
from .._ray_connection import connect, import_ray
from ..ray import Cluster
from ._wrong_usage import WrongUsage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from .. import LoopPool

__all__ = ["check_there", "cluster_loops", "reach_cluster"]


def reach_cluster(address: str | None, modules: Sequence[str] = ()) -> Cluster:
    """Connect this program to a cluster, unless it is connected already.

    Args:
        address: Which: see `Cluster`.
        modules: Files and directories of modules that its nodes are given.

    Raises:
        WrongUsage: Ray is not installed, or there is no such cluster.
    """
    try:
        ray = import_ray()
    except RuntimeError as error:
        raise WrongUsage(str(error)) from None
    cluster = Cluster(address=address, spread=True)  # who asks for a cluster wants all of its nodes
    environment = {"py_modules": list(modules)} if modules else None
    try:
        # What functions print stays in Ray's logs: Ray would put it among the results.
        connect(
            ray,
            address,
            monotonic() + cluster.patience,
            runtime_env=environment,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (RuntimeError, ValueError) as error:
        raise WrongUsage(str(error)) from None
    return cluster


def cluster_loops() -> int:
    """One loop for each CPU of the cluster that this program is connected to."""
    return max(1, int(import_ray().cluster_resources().get("CPU", 1)))


async def check_there(pool: LoopPool, fn: Callable[..., Awaitable[Any]], target: str) -> None:
    """See that each worker can import a function, before every item fails because none can.

    Raises:
        WrongUsage: One cannot.
    """
    try:
        await pool.broadcast(_take, fn)
    except PoolClosed:  # by Ctrl-C, meanwhile
        return
    except ExceptionGroup as group:
        for error in group.exceptions:
            # Where a worker was lost meanwhile, the items will tell, or run on the one that comes after it.
            if not isinstance(error, WorkerLost | TaskCancelled):
                raise WrongUsage(
                    f"a node of the cluster cannot import {target}: {type(error).__name__}: {error}; what is "
                    "imported from the folder of --app-dir was sent there, and all else has to be installed"
                ) from None


async def _take(_fn: object) -> None:
    """Nothing: to have been given it is all."""
