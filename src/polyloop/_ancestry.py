"""What the callers above a call hold while they wait for it: places in pools, and threads beside loops.

It decides nothing and waits for nothing. The rule that it is for: a call never waits for what is held by
one of those who wait for it. So a pool lets it in past the limit when one of them has a place there, and
what it runs in a thread gets one that none of them can have.

Where that is written down: in the context of the call. Most calls need no such note, and pay nothing for
it: a call that a task makes to its own pool is known by the thread it comes from.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextvars import Context

__all__ = ["Ancestry", "ancestry", "hand_down"]


@dataclass(frozen=True, slots=True)
class Ancestry:
    """The callers above.

    Attributes:
        pools: Those in which one of them is a task.
        threads: How many of them are functions that hold a thread beside a loop.
    """

    pools: frozenset[object] = frozenset()
    threads: int = 0

    def below(self, pool: object, *, threads: int = 0) -> Ancestry:
        """That of what a task of `pool` calls, itself or by so many threads."""
        if pool in self.pools and not threads:
            return self
        return Ancestry(self.pools | {pool}, self.threads + threads)


NOBODY = Ancestry()

ancestry: ContextVar[Ancestry] = ContextVar("ancestry", default=NOBODY)


def hand_down(context: Context, caller: object, beside: Ancestry | None, target: object) -> bool:
    """Write into a call's context who is above it.

    Args:
        context: The call's own, which nobody has entered.
        caller: The pool of the worker that makes the call.
        beside: The ancestry of what is called from this thread, when it is one beside a loop.
        target: The pool that is to run the call.

    Returns:
        Whether the target runs one of those above it.
    """
    above = beside if beside is not None else context.get(ancestry, NOBODY).below(caller)
    context.run(ancestry.set, above)
    return target in above.pools
