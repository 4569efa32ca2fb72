"""Where am I: the worker whose thread this is, and the way back into the running loop.

A worker's loop lives in one thread for all its life, so a thread-local answers for tasks,
callbacks and whatever else runs there.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from contextvars import Context
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary, ref

from ._ancestry import Ancestry, ancestry
from ._mailbox import Mailbox

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator

__all__ = ["Letter", "Standing", "Worker", "current_worker", "here", "replies", "report_callback_error"]

logger = logging.getLogger("polyloop")


class Letter(Protocol):
    """What comes back to a loop that waits."""

    def arrive(self, mailbox: Mailbox[Letter], /) -> None:
        """Called on the loop behind `mailbox`; must not raise."""


class Worker:
    """One loop and the place it lives in, as seen from inside.

    Attributes:
        index: Its place in the pool, from 0.
        generation: How many workers had this index before it. State kept on a loop is gone
            when this changes.
        name: The pool's name and the index, as in ``polyloop-0``.
        backend: The kind of place it lives in: ``"thread"``, ``"process"``, ``"interpreter"`` or ``"ray"``.
        loops: How many workers there were to be when it was started: see `LoopPool.resize`.
        state: What the pool's ``lifespan`` yielded on this loop; None without one.
    """

    __slots__ = ("backend", "generation", "home", "index", "loops", "name", "state")

    def __init__(
        self, index: int, generation: int, *, name: str, backend: str, loops: int, home: object
    ) -> None:
        self.index = index
        self.generation = generation
        self.name = name
        self.backend = backend
        self.loops = loops
        self.state: Any = None
        # Compared by identity only: whether two ends belong to the same pool.
        self.home = home

    def __repr__(self) -> str:
        """For messages and logs."""
        return f"<Worker {self.name} generation={self.generation} backend={self.backend!r}>"


class _Here(threading.local):
    # Of a worker's own thread, and of a thread beside its loop for as long as that runs something for it.
    worker: Worker | None = None
    # Of a thread beside a loop: who is above the calls that are made there. None where a loop runs.
    beside: Ancestry | None = None
    # Of such a thread: the function of run_sync() that it runs.
    errand: object | None = None
    # Of a thread that carries what comes from a worker elsewhere: the worker's pool.
    carries: object | None = None
    replies: Mailbox[Letter] | None = None
    loop: asyncio.AbstractEventLoop | None = None

    def __init__(self) -> None:
        # Of loops that take turns in this thread. Weak on both sides, for a mailbox knows its loop.
        self.known: WeakKeyDictionary[asyncio.AbstractEventLoop, ref[Mailbox[Letter]]] = WeakKeyDictionary()


here = _Here()


class Standing:
    """Where a plain function stands that is to run in a thread beside the loop that runs here.

    Inside ``with``, which is for the thread, `here` says so.

    Attributes:
        depth: How many threads wait for what the function does.
    """

    __slots__ = ("_before", "_beside", "_worker", "depth")

    def __init__(self) -> None:
        above = ancestry.get()
        self.depth = above.threads
        self._worker = here.worker
        self._beside = above.below(here.worker.home, threads=1) if here.worker is not None else None

    def __enter__(self) -> None:
        self._before = here.worker, here.beside
        here.worker, here.beside = self._worker, self._beside

    def __exit__(self, *exc_info: object) -> None:
        here.worker, here.beside = self._before


def current_worker() -> Worker:
    """The worker that runs the calling code, or beside whose loop it runs in a thread.

    Raises:
        RuntimeError: This thread is not a worker's: the code runs outside the pool.
    """
    worker = here.worker
    if worker is None:
        raise RuntimeError(
            "current_worker() was called outside a worker: it is for what a pool runs, as in pool.run(fn)"
        )
    return worker


def replies(loop: asyncio.AbstractEventLoop) -> Mailbox[Letter]:
    """The mailbox through which other threads answer `loop`, which is the one running here."""
    if here.loop is loop and here.replies is not None:
        return here.replies
    known = here.known.get(loop)
    mailbox = known() if known is not None else None
    if mailbox is None:
        mailbox = _make_replies(loop)
        here.known[loop] = ref(mailbox)
    here.loop, here.replies = loop, mailbox
    return mailbox


def _make_replies(loop: asyncio.AbstractEventLoop) -> Mailbox[Letter]:
    # The mailbox keeps its parked generator, and the loop, which watches for wake-ups, keeps the
    # mailbox. Were it kept by the thread, it would be closed as soon as another loop runs there.
    kept: list[object] = []

    def handle(letter: Letter, _kept: object = kept) -> None:
        letter.arrive(mailbox)

    mailbox: Mailbox[Letter] = Mailbox(loop, handle)
    parked = _until_shutdown(mailbox)
    kept.append(parked)
    # Started, without a step of the loop: there is nothing in it to wait for. In a context of its own, for it
    # belongs to the loop and not to the loop-local value whose opening may be what comes here.
    with contextlib.suppress(StopIteration):
        Context().run(parked.__anext__).send(None)
    return mailbox


async def _until_shutdown(mailbox: Mailbox[Letter]) -> AsyncGenerator[None, None]:
    """Parked on a loop to hear of its end: asyncio.run() closes the async generators it finds."""
    try:
        yield
    finally:
        mailbox.let_go()


def report_callback_error(fn: object, error: BaseException) -> None:
    """Log that a done-callback raised: it may not take the loop, or the other callbacks, with it.

    Raises:
        KeyboardInterrupt: It was that, in the main thread: Ctrl-C, which landed in the callback by chance.
    """
    if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
        raise error
    logger.error("a done-callback raised %s: %r", type(error).__name__, fn, exc_info=error)
