"""What a pool is to be, apart from the places its workers live in."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Of one pool; a lazy pool that begins anew has the same.

    Attributes:
        name: The pool's name.
        loops: How many workers, to begin with.
        limit: Most calls in flight per worker.
        backlog: Most calls that wait; None is no limit.
        timeout_grace: Seconds that a task has to end once its deadline has passed.
        quota: How many calls a worker gets before it is replaced; None is no end.
        grace: Seconds for clean-up, of a worker that leaves, or of all when the pool is closed.
    """

    name: str
    loops: int
    limit: int
    backlog: int | None
    timeout_grace: float
    quota: int | None
    grace: float
