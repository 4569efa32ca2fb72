"""The life of a pool: it is opened, changes its size, and is closed."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Self

from ._calls import Calls
from ._descriptors import check_descriptors
from ._errors import BlockingCall
from ._local import here
from ._parameters import count, seconds
from ._steps import adrive, drive
from ._threads import daemon_thread

if TYPE_CHECKING:
    from types import TracebackType

    from ._future import Future
    from ._supervisor import Supervisor

__all__ = ["MOST_LOOPS", "PoolLife"]

# More is a slip of the pen: each is a thread with four file descriptors.
MOST_LOOPS = 1024


class PoolLife(Calls):
    """The part of `LoopPool` that begins and ends.

    Attributes:
        _supervisor: Brings the workers up, and ends them.
        _is_lazy: Whether the first call opens the pool.
    """

    _supervisor: Supervisor
    _is_lazy: bool

    def open(self) -> None:
        """Bring all loops up.

        Raises:
            StartupError: A worker did not come up; the others have been stopped.
            PoolClosed: It has been opened before.
        """
        check_descriptors(self._supervisor.loops)
        drive(self._supervisor.opening())

    async def aopen(self) -> None:
        """As `open`, without blocking the running loop.

        Cancellation: stops those that have come up, then goes on.
        """
        check_descriptors(self._supervisor.loops)
        await adrive(self._supervisor.opening())

    def close(self, *, drain: float | None = None, grace: float | None = None) -> None:
        """Accept nothing more, let tasks finish, cancel what is left, and end all loops.

        A task that does not end within the grace is given up: its future gets an error that names it.

        Args:
            drain: Seconds to let tasks finish; None is without limit, 0 cancels at once.
            grace: Seconds for clean-up after that, for all workers together; None is the pool's own.

        Raises:
            BlockingCall: This is one of the pool's own loops, or a function that `run_sync` runs.
        """
        self._check_end()
        if self._supervisor.is_closing_here:
            # A signal handler came in the middle of a close(): all it can do is to make that hurry.
            if drain is not None:
                self._supervisor.hasten()
            return
        drive(self._supervisor.closing(*self._patience(drain, grace)))

    async def aclose(self, *, drain: float | None = None, grace: float | None = None) -> None:
        """As `close`, without blocking the running loop.

        Cancellation: ends the draining; a second one ends the grace. It is raised in the end.
        """
        self._check_end()
        await adrive(self._supervisor.closing(*self._patience(drain, grace)))

    def __enter__(self) -> Self:
        if not self._is_lazy:
            self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if not self._dispatch.is_forked:  # a child that leaves the block of its parent closes nothing
            self.close(drain=None if kind is None else 0)

    async def __aenter__(self) -> Self:
        if not self._is_lazy:
            await self.aopen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if not self._dispatch.is_forked:
            await self.aclose(drain=None if kind is None else 0)

    def __del__(self) -> None:
        supervisor = getattr(self, "_supervisor", None)
        if supervisor is None or not supervisor.is_open:
            return
        # In a thread of its own: this may be one of the pool's.
        steps = supervisor.closing(0.0, self._grace)
        daemon_thread(drive, f"{supervisor.name}-close", steps).start()
        warnings.warn(
            f"{self!r} was dropped without being closed", ResourceWarning, stacklevel=2, source=self
        )

    def resize(self, loops: int) -> Future[int]:
        """Have the pool go on with more loops or fewer. Never waits.

        A new loop gets calls as soon as it is there; keys and ``options(worker=...)`` count on the new ones
        when all of them are. Of those that are too many, the last by index get nothing more and finish what
        they were given, for as long as that takes; what was pinned there before still runs there.

        Of n + 1 loops one key in that many has another loop than of n. Calls with such a key that were
        accepted before may still run, on the loop that it had, while the first ones run on the other.

        Args:
            loops: How many there are to be.

        Returns:
            The future of how many there are when it is done: so many, or as many as another `resize` has
            asked for meanwhile. Cancelling it, or who awaits it, ends the waiting and changes nothing else.
            So does closing the pool. Its errors are `StartupError`, when a new loop did not come up and the
            pool goes on with those that it had, and `PoolBroken`.

        Raises:
            TypeError: `loops` is not a whole number.
            ValueError: It is less than 1, or far too many.
            PoolClosed: The pool is not open.
            StartupError: There are not file descriptors enough for so many.
        """
        count("loops", loops, most=MOST_LOOPS)
        check_descriptors(max(0, loops - self._supervisor.loops))
        frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]  # documented, and in every CPython
        return self._supervisor.resize(loops, frame.f_code, frame.f_lasti)

    def _check_end(self) -> None:
        """Raise where to wait for the pool's end is to wait for oneself."""
        end = f"the end of {self._supervisor.name}"
        self._dispatch.check_wait(end)
        if here.errand is not None and here.worker is not None and here.worker.home is self._dispatch:
            raise BlockingCall(
                f"{end} cannot be waited for in a function that the pool runs, and has to wait for itself"
            )

    def _patience(self, drain: float | None, grace: float | None) -> tuple[float | None, float]:
        return (
            None if drain is None else seconds("drain", drain),
            self._grace if grace is None else seconds("grace", grace),
        )
