"""A budget that all loops of a pool share: connections, permits, requests per second."""

from __future__ import annotations

from ._local import here
from ._parameters import count

__all__ = ["share"]


def share(total: int) -> int:
    """This loop's part of `total`: the parts of all loops of the pool add up to it and differ by one at most.

    Args:
        total: What all loops may have together; 40 on three loops is 14, 13 and 13.

    Returns:
        At least 1.

    Raises:
        TypeError: `total` is no whole number.
        ValueError: It is less than the loops are. No part is ever 0, which means "no limit" to many clients.
        RuntimeError: This thread is not a worker's: the code runs outside the pool.
    """
    count("total", total)
    worker = here.worker
    if worker is None:
        raise RuntimeError(
            f"share({total}) was called outside a worker: it is for what a pool runs, as the factory of a "
            "LoopLocal"
        )
    each, rest = divmod(total, worker.loops)
    if each == 0:
        raise ValueError(
            f"share({total}) cannot give a part to each of the {worker.loops} loops of {worker.name}'s pool; "
            "share more, or open the pool with fewer loops"
        )
    return each + (worker.index < rest)
