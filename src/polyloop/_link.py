"""The seam between the pool and the places its workers live in.

A backend is one `Link` class. The pool sends it commands and knows nothing else of it; the link
and the runner behind it tell the pool what happened through `Reports` and know nothing of the
pool.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._future import Future
    from ._local import Worker
    from ._messages import Call, Command
    from ._seat import Tally

__all__ = ["Backend", "Leftovers", "Link", "NoRoom", "Parting", "Reports", "Resizable"]


class Resizable(Protocol):
    """A pool, as a backend knows it that has it resized."""

    name: str

    @property
    def loops(self) -> int:
        """How many workers it has."""
        ...

    def resize(self, loops: int, /) -> Future[int]:
        """Have it go on with so many: see `LoopPool.resize`."""
        ...


class Backend(Protocol):
    """A kind of place that workers can live in."""

    @property
    def name(self) -> str:
        """What ``Worker.backend`` says."""
        ...

    def make_link(self, worker: Worker, reports: Reports, delay: float, /) -> Link:
        """The link to a worker that is to be.

        Args:
            worker: Who it is to be.
            reports: Where it tells what happens.
            delay: Seconds to wait before it comes up.
        """
        ...

    @property
    def pack(self) -> Callable[[Call], None] | None:
        """Makes a call ready to be sent, where it is submitted and outside all locks; None is not needed.

        What it raises, the submitter is told, and the call was not accepted.
        """
        ...

    def opened(self, pool: Resizable, /) -> None:
        """The pool is open, and may be resized from here until `close`."""

    def close(self) -> Future[None] | None:
        """The pool's last worker is gone or given up; returns what is to be waited for, if anything is."""
        ...


class Parting(Exception):
    """Why a worker is gone, in words: the reason of a loss that no exception has told."""

    def __repr__(self) -> str:
        """The words alone: there is no more to it."""
        return str(self)


class NoRoom(RuntimeError):
    """There is no room for a worker just now, which is no fault of the pool's or the worker's."""


class Leftovers:
    """What a worker had when it was given up: claimed, so nobody else settles it."""

    __slots__ = ("started", "unstarted")

    def __init__(self, started: Sequence[Call], unstarted: Sequence[Call]) -> None:
        self.started = started
        self.unstarted = unstarted


class Link(Protocol):
    """The pool's end of the line to one worker."""

    def start(self) -> None:
        """Bring the worker up; `Reports.ready` or `Reports.failed` follows.

        Raises:
            Exception: It could not even begin; no report follows.
        """

    def send(self, command: Command, /) -> None:
        """Hand one command down, from any thread.

        Raises:
            MailboxClosed: The worker has ended or is about to; it was not accepted.
        """

    def send_calls(self, calls: Sequence[Call], /) -> None:
        """Hand several calls down at the price of one."""

    def abandon(self) -> Leftovers:
        """Give the worker up: from now on nothing it does settles anything. Never blocks."""
        ...

    @property
    def can_be_ended(self) -> bool:
        """Whether `abandon` ends the place too. A thread cannot be ended."""
        ...

    def join(self, timeout: float) -> bool:
        """Wait for the place itself to be gone, once `Reports.left` or `lost` came; whether it is."""
        ...

    def forked(self) -> None:
        """This is a forked child: let go of what would keep the parent's worker from seeing its end."""

    @property
    def is_unheard(self) -> bool:
        """Whether a call may have begun of which the word is not here yet: one that has been sent."""
        ...

    @property
    def lag(self) -> float:
        """The longest the worker's loop took to answer a wake-up, in seconds."""
        ...


class Reports(Protocol):
    """What a worker tells the pool, from the worker's own thread or whatever stands for it."""

    def ready(self) -> None:
        """The worker is up: its loop runs and its lifespan has been entered."""

    def failed(self, error: BaseException) -> None:
        """The worker did not come up; nothing of it is left."""

    @property
    def tally(self) -> Tally:
        """Where the worker counts what it has done."""
        ...

    @property
    def is_wanted(self) -> bool:
        """Whether `ended` has to be called; looked at after counting."""
        ...

    is_choked: bool
    """Set by the link: whether so much is on its way to the worker that nothing fits in any more."""

    def ended(self) -> None:
        """Tasks have been settled and counted."""

    def stuck(self, calls: Sequence[Call]) -> None:
        """These would not end within the grace. They are the receiver's to settle."""

    def left(self, leftovers: Leftovers) -> None:
        """The worker has ended as it was told to; what came in too late for it is left over."""

    def lost(self, reason: BaseException | None, leftovers: Leftovers) -> None:
        """The worker is gone without having been told to."""
