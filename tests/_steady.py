"""A pool that several tests share."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Any

from tests._shared import PATIENCE, Flag
from tests._stage import nothing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyloop import LoopPool

__all__ = ["open_steady_pool"]


@contextlib.contextmanager
def open_steady_pool(backend: Any) -> Iterator[LoopPool]:
    """Two loops, for tests that do them no harm."""
    # Imported late, so that tests which need no pool still run while the package cannot be imported.
    from polyloop import LoopPool  # noqa: PLC0415

    with LoopPool(2, backend=backend, grace=1.0) as pool:
        # What is made when it is first needed, and stays until the pool is closed, is made before the first
        # test looks at what there is.
        pool.options(timeout=PATIENCE).call(nothing)
        if backend == "thread":
            pool.call(_use_all_threads)
            pool.broadcast(_await_another, pool).result(PATIENCE)
        yield pool
        pool.close(drain=0)  # whatever a test that failed has left there


async def _use_all_threads() -> None:
    """Idle ones stay for as long as the pool does."""
    from polyloop._executors import MOST_THREADS  # noqa: PLC0415 - as above

    barrier = threading.Barrier(MOST_THREADS)
    await asyncio.gather(*(asyncio.to_thread(barrier.wait, PATIENCE) for _ in range(MOST_THREADS)))


async def _await_another(pool: LoopPool) -> None:
    """It makes what brings this loop its replies, if there is no outcome yet."""
    may_end = Flag()
    future = pool.submit(may_end.wait)
    future.add_done_callback(lambda _: None)
    may_end.set()
    await future
