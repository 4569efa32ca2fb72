"""Which backend a pool gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._backends._interpreter import InterpreterBackend
from ._backends._process import ProcessBackend
from ._backends._ray import RayBackend
from ._backends._thread import ThreadBackend
from ._cluster import Cluster
from ._cpus import is_gil_enabled
from ._log_handling import LogListener

if TYPE_CHECKING:
    import asyncio
    import contextlib
    from collections.abc import Callable, Sequence

    from ._link import Backend
    from ._variables import Variable

__all__ = ["check_quota", "chosen", "make_backend"]


def chosen(backend: str | Backend | Cluster) -> str | Backend | Cluster:
    """What ``"auto"`` means here: threads where they run in parallel, otherwise processes."""
    if backend != "auto":
        return backend
    return "process" if is_gil_enabled() else "thread"


def check_quota(backend: str | Backend | Cluster) -> None:
    """Raise ValueError where to replace a worker after so many calls would give nothing back."""
    if backend == "thread":
        raise ValueError(
            "max_tasks_per_worker= is for backend='process' and 'interpreter': what calls leave behind in a "
            "thread belongs to the whole program, and does not go with it"
        )


def make_backend(
    backend: str | Backend | Cluster,
    pool: str,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None,
    lifespan: Callable[[], contextlib.AbstractAsyncContextManager[Any]] | None,
    stall_limit: float | None,
    *,
    carry: Sequence[Variable] = (),
    forward_logging: bool = False,
) -> Backend:
    """The backend that `backend` means.

    Args:
        backend: Its name, or itself.
        pool: The pool's name.
        loop_factory: Makes each worker's loop; None is asyncio's own.
        lifespan: Entered and left on each worker's loop.
        stall_limit: Seconds that a loop may not answer until its worker is replaced; None is for ever.
        carry: The context variables that calls take along. On threads the whole context does.
        forward_logging: Whether what workers log is handled here. On threads it is.

    Raises:
        ValueError: There is none of that name, or its workers cannot find a variable.
        RuntimeError: This Python or this system does not have it.
    """
    if backend == "ray":
        backend = Cluster()
    if not isinstance(backend, str | Cluster):
        return backend
    logs = LogListener(pool) if forward_logging else None
    if isinstance(backend, Cluster):
        return RayBackend(backend, loop_factory, lifespan, stall_limit, carry=carry, logs=logs)
    if backend == "process":
        return ProcessBackend(loop_factory, lifespan, stall_limit, carry=carry, logs=logs)
    if stall_limit is not None:
        raise ValueError(
            f"stall_limit= is for backend='process' and 'ray': a worker of {backend!r} cannot be ended"
        )
    if backend == "thread":
        return ThreadBackend(pool, loop_factory, lifespan)
    if backend == "interpreter":
        return InterpreterBackend(loop_factory, lifespan, carry=carry, logs=logs)
    raise ValueError(
        f"backend={backend!r} is not known; this version has 'thread', 'process', 'interpreter', 'ray' and "
        "'auto'"
    )
