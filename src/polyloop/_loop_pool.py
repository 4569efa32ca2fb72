"""The public face of a pool: its parameters, and what they fix."""

from __future__ import annotations

import asyncio
import functools
import weakref
from math import inf
from typing import TYPE_CHECKING, Any, Literal

from ._choice import check_quota, chosen, make_backend
from ._cluster import Cluster
from ._cpus import default_loops
from ._lazy import open_on_first_call
from ._options import hash_of, options_of
from ._parameters import count, flag, maker, seconds, some_seconds, text
from ._plan import Plan
from ._pool_life import MOST_LOOPS, PoolLife
from ._process import renew_in_child
from ._supervisor import Supervisor
from ._taskgroup import TaskGroup
from ._variables import find_variables
from ._view import PoolView

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Hashable, Iterable, Sequence
    from contextvars import ContextVar

    from ._link import Backend
    from ._statistics import PoolStatistics
    from ._variables import Variable

__all__ = ["LoopPool"]


class LoopPool(PoolLife):
    """Many event loops behind one entrance.

    Each loop is an ordinary asyncio loop in a thread of its own. A pool accepts calls from any thread
    and from any loop, its own included. Every call that it accepts is settled exactly once: with a
    value, an error or a cancellation.

    Use it in ``with`` or ``async with``, or call `open` or `aopen`, and `close` or `aclose`. Leaving the
    block cleanly lets what was accepted finish; leaving it by an exception, Ctrl-C included, cancels it.

    Args:
        loops: How many. None is one per usable CPU of this machine, at most four where threads share a GIL.
        backend: Where they live: in threads of this process (``"thread"``), in processes of their own
            (``"process"``), in sub-interpreters of this process (``"interpreter"``, from CPython 3.14 on), on
            a Ray cluster (``"ray"``, or a `polyloop.ray.Cluster` that says what is asked of it), or in
            threads where these run in parallel and in processes where there is a GIL (``"auto"``). Or what
            makes them, as `polyloop.testing.FakeBackend` does.
        limit: Most tasks in flight per worker. What comes above it waits in the backlog, in order.
        backlog: Most calls that wait there; beyond it `submit` raises `PoolFull`. None is no limit.
        grace: Seconds for clean-up when the pool is closed and tasks are cancelled, for all together.
        timeout_grace: Seconds that a task has to end after its deadline before it is given up: see `options`.
        loop_factory: Makes each loop, as ``uvloop.new_event_loop`` does. None is asyncio's own.
        lifespan: Makes an async context manager that is entered on every loop when it starts and left
            when it stops; what it yields is ``current_worker().state``.
        lazy: Whether the first call opens it, instead of ``with`` or `open`, and in a child forked from this
            process its first call there. For a client at the level of a module, and for what a web server
            imports before it forks. Interpreter exit closes it.
        stall_limit: Seconds that a worker's loop may not answer until its process is killed and replaced.
            None is for ever: a task that blocks its loop is then only a slow one.
        carry: Context variables that calls take along to processes and interpreters: each itself, if a module
            has it, or its name, as in ``"module:attribute"``. On threads the whole context comes along.
        forward_logging: Whether what is logged in processes and interpreters is handled by this process's
            handlers, as what is logged in threads is.
        max_tasks_per_worker: How many calls a worker gets. Then another takes its place, and it leaves when
            they have ended. For what calls leave behind in a process or an interpreter. None is no end.
        name: Shows in the names of threads, in logs and errors.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of range, or a variable to carry cannot be found.
        RuntimeError: This Python or this system does not have the backend.
    """

    def __init__(
        self,
        loops: int | None = None,
        *,
        backend: Literal["thread", "process", "interpreter", "ray", "auto"] | Cluster | Backend = "thread",
        limit: int = 1000,
        backlog: int | None = None,
        grace: float = 5.0,
        timeout_grace: float = 0.5,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
        lifespan: Callable[[], contextlib.AbstractAsyncContextManager[Any]] | None = None,
        lazy: bool = False,
        stall_limit: float | None = None,
        carry: Iterable[str | ContextVar[Any]] = (),
        forward_logging: bool = False,
        max_tasks_per_worker: int | None = None,
        name: str = "polyloop",
    ) -> None:
        place = chosen(backend)
        maker("loop_factory", loop_factory)
        maker("lifespan", lifespan)
        if max_tasks_per_worker is not None:
            count("max_tasks_per_worker", max_tasks_per_worker)
            check_quota(place)
        plan = Plan(
            name=text("name", name),
            loops=_default(place) if loops is None else count("loops", loops, most=MOST_LOOPS),
            limit=count("limit", limit),
            backlog=None if backlog is None else count("backlog", backlog, least=0),
            timeout_grace=seconds("timeout_grace", timeout_grace),
            quota=max_tasks_per_worker,
            grace=seconds("grace", grace),
        )
        self._make_supervisor = functools.partial(
            _make_supervisor,
            place,
            loop_factory,
            lifespan,
            None if stall_limit is None else some_seconds("stall_limit", stall_limit),
            carry=find_variables(carry),
            forward_logging=flag("forward_logging", forward_logging),
            plan=plan,
        )
        self._is_lazy = bool(lazy)
        self._renew()
        self._grace, self._limit = plan.grace, plan.limit
        if self._is_lazy:
            renew_in_child(self)

    def _renew(self) -> None:
        """Begin anew, as a pool that was not opened."""
        self._supervisor = self._make_supervisor()
        self._dispatch = self._supervisor.dispatch
        # Weak, so that a pool nobody refers to any more can be noticed and closed.
        this: weakref.ref[LoopPool] = weakref.ref(self)
        self._dispatch.face = this
        if self._is_lazy:
            open_on_first_call(self._supervisor, functools.partial(_begin_anew, this))

    def begin_anew(self) -> None:
        """For the library: what a call had opened could not be opened, or this is a forked child."""
        if not self._supervisor.was_closed:
            self._renew()

    def options(
        self,
        *,
        timeout: float | None = None,
        key: Hashable = None,
        worker: int | None = None,
        resubmits: int = 0,
        name: str | None = None,
    ) -> PoolView:
        """A view of this pool that fixes something for the calls made through it.

        It costs little: make one for a call, or keep it.

        Args:
            timeout: Seconds until a call's deadline, from the moment it is accepted, in a map from the moment
                its item is pulled. The task is cancelled then, given the pool's ``timeout_grace`` to end, and
                the caller gets `DeadlineExceeded`, which says whether it still runs. A nested `run`, `call`
                or `map` inherits what is left; `submit` does not, nor does what outlives the call.
            key: Calls with equal keys run on the same worker, so that what they share needs no lock. A worker
                that is lost takes that with it: see ``Worker.generation``. None is no key.
            worker: The index of the worker to run on.
            resubmits: How often a call may be sent again when its worker was lost: only for what may be
                repeated, since it may have run, in part or to its end.
            name: What to call the task in logs, errors and statistics, and the name of its asyncio task.

        Raises:
            TypeError: An argument is of the wrong type, or `key` cannot be hashed.
            ValueError: An argument is out of range, or both `key` and `worker` are given.
        """
        if worker is not None:
            if key is not None:
                raise ValueError("options() takes a key, which chooses the worker, or a worker, not both")
            worker = count("worker", worker, least=0, most=self._supervisor.loops - 1)
        # A view may be made for one call, so what is plainly right is not looked at for long.
        if timeout is not None and not (type(timeout) is float and 0.0 < timeout < inf):
            timeout = some_seconds("timeout", timeout)
        if resubmits != 0:
            resubmits = count("resubmits", resubmits, least=0)
        if name is not None:
            name = text("name", name)
        return PoolView(
            self, options_of(timeout, worker, resubmits, name, None if key is None else hash_of(key))
        )

    def task_group(self) -> TaskGroup:
        """A group of tasks on the pool's loops that end together, for one ``async with`` block."""
        return TaskGroup(self, self._dispatch, self._supervisor.name)

    @property
    def loops(self) -> int:
        """How many it has. While it grows, those that it had; while it shrinks, those that it will have."""
        return self._supervisor.loops

    @property
    def _most_in_flight(self) -> int:  # type: ignore[override]  # it changes with the loops
        return self._limit * self._supervisor.loops

    def statistics(self) -> PoolStatistics:
        """What the pool and its workers have done so far."""
        return self._supervisor.statistics()

    def __repr__(self) -> str:
        return f"<LoopPool {self._supervisor.name} loops={self._supervisor.loops}>"


def _default(backend: str | Cluster | Backend) -> int:
    has_gil_each = isinstance(backend, Cluster) or backend in ("process", "interpreter", "ray")
    return default_loops(share_gil=not has_gil_each)


def _begin_anew(this: weakref.ref[LoopPool]) -> None:
    pool = this()
    if pool is not None:
        pool.begin_anew()


def _make_supervisor(
    backend: str | Cluster | Backend,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None,
    lifespan: Callable[[], contextlib.AbstractAsyncContextManager[Any]] | None,
    stall_limit: float | None,
    *,
    carry: Sequence[Variable],
    forward_logging: bool,
    plan: Plan,
) -> Supervisor:
    # Not a method: with a reference to the pool, one that nobody else refers to would stay for ever.
    kind = make_backend(
        backend, plan.name, loop_factory, lifespan, stall_limit, carry=carry, forward_logging=forward_logging
    )
    return Supervisor(kind, plan)
