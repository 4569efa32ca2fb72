"""What a pool asks of a Ray cluster for each of its workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ._parameters import some_seconds

__all__ = ["Cluster"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Where the workers of a pool live on Ray: ``LoopPool(8, backend=Cluster(num_cpus=1))``.

    Each is an actor with one loop. Ray decides on which node it starts.

    Attributes:
        address: What ``ray.init`` is given when the program is not connected yet, as ``"auto"``. None is
            ``RAY_ADDRESS``, or a cluster of this machine alone, which ends with the program. A program that
            is connected stays connected as it is.
        num_cpus: How many of a node's CPUs a worker takes. It may be less than one, for loops that wait.
        memory: How many bytes of a node's memory; None is not asked for.
        resources: Custom resources of nodes, by their names.
        spread: Whether workers go to as many nodes as there are. If not, a node is filled before the next.
        runtime_env: Ray's ``runtime_env``: modules, packages and environment variables that calls need there.
        patience: Seconds that a worker may take to be there, before opening the pool fails.
    """

    address: str | None = None
    num_cpus: float = 1.0
    memory: int | None = None
    resources: Mapping[str, float] = field(default_factory=dict[str, float])
    spread: bool = False
    runtime_env: Mapping[str, Any] | None = None
    patience: float = 60.0

    def __post_init__(self) -> None:
        some_seconds("patience", self.patience)

    def options(self) -> dict[str, Any]:
        """For ``ray.remote``."""
        options: dict[str, Any] = {
            "num_cpus": self.num_cpus,
            "resources": dict(self.resources),
            "scheduling_strategy": "SPREAD" if self.spread else "DEFAULT",
            # Whether a worker that is lost gets a successor is for the pool to say, which has calls for it.
            "max_restarts": 0,
        }
        if self.memory is not None:
            options["memory"] = self.memory
        if self.runtime_env is not None:
            options["runtime_env"] = dict(self.runtime_env)
        return options
