"""Workers on a Ray cluster: each is an actor, see `Actor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from .._following import Follower, Room
from .._frame_backend import FrameBackend
from .._frame_link import FrameLink
from .._ray_actor import Actor
from .._ray_calls import RayCalls
from .._ray_connection import import_ray
from .._ray_refs import lend_to, of_thread

if TYPE_CHECKING:
    import asyncio
    import contextlib
    from collections.abc import Callable, Sequence

    from .._cluster import Cluster
    from .._future import Future
    from .._link import Link, Reports, Resizable
    from .._local import Worker
    from .._log_handling import LogListener
    from .._messages import Call
    from .._variables import Variable

__all__ = ["RayBackend"]


class RayLink(FrameLink):
    """The pool's end of the line to an actor: see `FrameLink`."""

    def send_calls(self, calls: Sequence[Call], /) -> None:
        """See `Link`."""
        cast("Actor", self._place).lend(calls)
        super().send_calls(calls)


class RayBackend(FrameBackend):
    """Makes workers that are actors: see `Backend`.

    Args:
        cluster: What is asked for each.
        loop_factory: Makes each worker's loop, there; None is asyncio's own.
        lifespan: Entered and left on each worker's loop, there.
        stall_limit: Seconds that a loop may not answer until its actor is killed; None is for ever.
        carry: The context variables that calls take along.
        logs: Handles what is logged there, if that is wanted.

    Raises:
        RuntimeError: Ray is not installed.
    """

    _link: type[FrameLink] = RayLink

    def __init__(
        self,
        cluster: Cluster,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None,
        lifespan: Callable[[], contextlib.AbstractAsyncContextManager[Any]] | None,
        stall_limit: float | None = None,
        *,
        carry: Sequence[Variable] = (),
        logs: LogListener | None = None,
    ) -> None:
        self._cluster = cluster
        self._follower: Follower | None = None
        self._ray = import_ray()
        lend_to(self._ray)
        super().__init__(
            "ray",
            loop_factory,
            lifespan,
            make_place=self._make_actor,
            prepare=_nothing,
            # The main module is not imported there: other machines may not have it.
            imports_main=False,
            stall_limit=stall_limit,
            carry=carry,
            logs=logs,
        )

    def opened(self, pool: Resizable, /) -> None:
        """See `Backend`."""
        if self._cluster.most_loops is not None:
            self._follower = Follower(pool, self._room, self._cluster.most_loops)
            self._follower.start()

    def pack(self, call: Call) -> None:
        """See `Backend`. The references of a call are all that is left of its arguments."""
        if call.packed is None:
            # Spelt out, as in make_link(): this is the hot path.
            before, of_thread.lent = of_thread.lent, ()
            try:
                super().pack(call)
                call.args = of_thread.lent
            finally:
                of_thread.lent = before

    def make_link(self, worker: Worker, reports: Reports, delay: float) -> Link:
        """See `Backend`."""
        before, of_thread.lent = of_thread.lent, ()
        try:
            return super().make_link(worker, reports, delay)
        finally:
            of_thread.lent = before

    def _make_actor(self, worker: Worker) -> Actor:
        return Actor(self._cluster, self._ray, of_thread.lent or (), worker)

    def close(self) -> Future[None] | None:
        """See `Backend`."""
        if self._follower is not None:
            self._follower.stop()
        return super().close()

    def _room(self) -> Room:
        calls = RayCalls(self._ray)
        nodes = [node["Resources"] for node in calls.nodes() if node["Alive"]]
        return Room(sum(map(self._cluster.fitting, nodes)), self._cluster.fitting(calls.free()))


def _nothing(_name: str) -> None:
    """What a worker needs before anything can be unpacked there."""
