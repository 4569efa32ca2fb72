"""A pool in figures: counters that only grow, exact when nothing runs.

A snapshot is not one instant: each worker counts for itself while it is read.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PoolStatistics", "WorkerStatistics"]


@dataclass(frozen=True, slots=True)
class WorkerStatistics:
    """What one place in the pool has done, by its worker and those that it replaced.

    Attributes:
        index: Its index in the pool.
        generation: How many workers had this index before.
        phase: ``"starting"``, ``"running"``, ``"leaving"``, ``"left"``, ``"lost"`` or ``"failed"``.
        ended: Tasks that have ended, whatever their outcome.
        failed: Those of them that raised.
        cancelled: Those of them that were cancelled.
        named: Of the tasks that have ended, those that ``options(name=...)`` gave a name, by that.
        in_flight: Tasks it has been given and not ended.
        lag: The longest its loop took to answer a wake-up, in seconds.
    """

    index: int
    generation: int
    phase: str
    ended: int
    failed: int
    cancelled: int
    named: Mapping[str, int]
    in_flight: int
    lag: float


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """A pool in figures.

    Attributes:
        workers: By index.
        backlog: Calls accepted and not given to a worker yet.
    """

    workers: tuple[WorkerStatistics, ...]
    backlog: int

    @property
    def ended(self) -> int:
        """Tasks that have ended on all workers, whatever their outcome."""
        return sum(worker.ended for worker in self.workers)

    @property
    def failed(self) -> int:
        """Tasks that raised."""
        return sum(worker.failed for worker in self.workers)

    @property
    def cancelled(self) -> int:
        """Tasks that were cancelled after they reached a worker."""
        return sum(worker.cancelled for worker in self.workers)

    @property
    def named(self) -> Mapping[str, int]:
        """Of the tasks that have ended on all workers, those that had a name, by that."""
        return sum((Counter(worker.named) for worker in self.workers), Counter[str]())

    @property
    def in_flight(self) -> int:
        """Tasks that workers have and have not ended."""
        return sum(worker.in_flight for worker in self.workers)
