"""What a pool asks of a Ray cluster for each of its workers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ._parameters import count, flag, mapping, quantity, some_seconds, text

__all__ = ["Cluster", "check_address"]

# An address of Ray's client, as ray://HOST:PORT, is none: a pool's calls need Ray itself.
_ADDRESS = re.compile(r"auto|local|[^/\s]+:[0-9]{1,5}")
# What Ray counts by itself, and what to do instead.
_NOT_CUSTOM = {
    "CPU": "use num_cpus=",
    "memory": "use memory=",
    "GPU": "loops take no GPUs",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Where the workers of a pool live on Ray: ``LoopPool(8, backend=Cluster(num_cpus=1))``.

    Each is an actor with one loop. Ray decides on which node it starts.

    Attributes:
        address: What ``ray.init`` is given when the program is not connected yet, as ``"auto"``. None is
            ``RAY_ADDRESS``, or the cluster that runs on this machine, or else a cluster of this machine
            alone, which ends with the program. A program that is connected stays connected as it is.
        num_cpus: How many of a node's CPUs a worker takes. It may be less than one, for loops that wait.
        memory: How many bytes of a node's memory; None is not asked for.
        resources: Custom resources of nodes, by their names.
        spread: Whether workers go to as many nodes as there are. If not, Ray fills a node to a half before it
            takes another one, its own default.
        runtime_env: Ray's ``runtime_env``: modules, packages and environment variables that calls need there.
        most_loops: Whether the pool follows the cluster's size: it has as many loops as there is room for,
            from those that it is opened with to so many. None is no.
        patience: Seconds that a worker may take to be there, before opening the pool fails. To connect to the
            cluster, or to start it, counts.

    Raises:
        TypeError: One of them is not what it should be.
        ValueError: As above; the message names it.
    """

    address: str | None = None
    num_cpus: float = 1.0
    memory: int | None = None
    resources: Mapping[str, float] = field(default_factory=dict[str, float])
    spread: bool = False
    runtime_env: Mapping[str, Any] | None = None
    most_loops: int | None = None
    patience: float = 60.0

    def __post_init__(self) -> None:
        if self.address is not None:
            check_address("address", self.address)
        quantity("num_cpus", self.num_cpus)
        if self.memory is not None:
            count("memory", self.memory)
        mapping("resources", self.resources)
        for name, wanted in self.resources.items():
            quantity(f"resources[{name!r}]", wanted)
            if name in _NOT_CUSTOM:
                raise ValueError(f"resources[{name!r}]={wanted} is no custom resource; {_NOT_CUSTOM[name]}")
        flag("spread", self.spread)
        if self.runtime_env is not None:
            mapping("runtime_env", self.runtime_env)
        if self.most_loops is not None:
            count("most_loops", self.most_loops)
            if not self.needs:
                raise ValueError("most_loops= counts what loops take: give num_cpus, memory or resources")
        some_seconds("patience", self.patience)

    @property
    def needs(self) -> dict[str, float]:
        """What a worker takes of a node, by Ray's names."""
        needs = {"CPU": self.num_cpus, "memory": self.memory or 0, **self.resources}
        return {name: amount for name, amount in needs.items() if amount}

    def fitting(self, resources: Mapping[str, float]) -> int:
        """How many workers so much is enough for."""
        # Ray counts in ten-thousandths: what is less is the error of a division.
        return min(int(resources.get(name, 0.0) / need + 1e-4) for name, need in self.needs.items())

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


def check_address(name: str, address: str) -> None:
    """Refuse what no cluster of a pool can be reached by, before Ray is asked.

    Raises:
        TypeError: It is no text.
        ValueError: It is that.
    """
    if not _ADDRESS.fullmatch(text(name, address)):
        raise ValueError(
            f"{name}={address!r} is not auto, local or the HOST:PORT of a cluster's first node; Ray's client "
            "is not supported: run the program on a node of the cluster, as with ray job submit"
        )
