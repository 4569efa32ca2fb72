"""Which pool the calling code runs in."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, cast

from ._local import here

if TYPE_CHECKING:
    from ._dispatch import Dispatch
    from ._loop_pool import LoopPool

__all__ = ["current_pool", "surrounding_pool"]

# Set around the main function of polyloop.run(), which runs on no worker.
surrounding_pool: ContextVar[LoopPool] = ContextVar("surrounding_pool")


def current_pool() -> LoopPool:
    """The pool whose worker runs the calling code, or the one that `polyloop.run` opened around it.

    Raises:
        RuntimeError: There is none.
    """
    worker = here.worker
    if worker is None:
        pool = surrounding_pool.get(None)
    else:
        pool = cast("LoopPool | None", cast("Dispatch", worker.home).face())
    if pool is None and worker is not None and worker.backend != "thread":
        raise RuntimeError(
            f"current_pool() was called in the {worker.backend} of {worker.name}, and the pool is in the one "
            "that opened it, which cannot be called from here yet; return to there what is to be called next"
        )
    if pool is None:
        raise RuntimeError(
            "current_pool() was called outside a pool: it is for code that a pool or polyloop.run() runs"
        )
    return pool
