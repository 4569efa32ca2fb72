"""The pool's entrance: calls are taken in here, by whoever makes them, and cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._ancestry import hand_down
from ._coroutines import fail, raised_by
from ._deadlines import Deadlines
from ._desks import Desks
from ._errors import BlockingCall, ForkedPool, WorkerLost
from ._local import here

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._desks import Desk
    from ._elastic import ElasticRoster
    from ._local import Worker
    from ._messages import Call

__all__ = ["Dispatch"]


class Dispatch(Desks):
    """Takes calls in, and has them sent to workers.

    Args:
        roster: As for `Desks`.
        refusal: As for `Desks`.
        name: The pool's name.
        slots: How many workers there are to be.
        timeout_grace: Seconds that a task has to end once its deadline has passed.
        pack: See `Backend`.

    Attributes:
        slots: How many workers calls can be pinned to. Written by whoever resizes the pool.
    """

    def __init__(
        self,
        roster: ElasticRoster,
        refusal: Callable[[], Exception],
        *,
        name: str = "polyloop",
        slots: int = 1,
        timeout_grace: float = 0.5,
        pack: Callable[[Call], None] | None = None,
    ) -> None:
        super().__init__(roster, refusal)
        self.slots = slots
        self._pack = pack
        self.deadlines = Deadlines(name, timeout_grace, self.cancel, self._check_taking)
        self.is_forked = False
        # The pool as its user sees it, for code that asks where it runs.
        self.face: Callable[[], object | None] = lambda: None

    def accept(self, call: Call, *, is_awaited: bool = False) -> None:
        """Take a call in. From here on it is settled exactly once, whatever happens.

        Args:
            call: The call.
            is_awaited: Whether the caller waits for it right here: that is back-pressure enough, and a
                bound on the backlog does not apply.

        Raises:
            PoolFull: The backlog is full.
            Exception: Whatever the refusal makes, when the pool is not open.
        """
        if self._pack is not None:
            self._pack(call)
        worker = here.worker
        if worker is not None:
            # Its parent waits, and may hold a place here, so it must not wait for a place itself.
            call.is_nested = self._is_above(call, worker)
        with self._lock:
            if self._refusal is not None or (
                self._is_bounded and not is_awaited and self._roster.is_full_for(call)
            ):
                self._refuse(call.is_nested)
            if self._is_busy:
                self._aside.append((self._place, (call,)))
                return
            self._is_busy = True
            try:
                self._place(call)
            finally:
                self._is_busy = False
                if self._aside:
                    self._do_aside()
        if self._withdrawn:
            self._settle_withdrawn()

    def accept_all(self, calls: Sequence[Call]) -> None:
        """Take several calls in at the price of one hop: all of them, or none.

        A bounded backlog does not apply: who calls this bounds the calls itself.
        """
        if self._pack is not None:
            calls = self._packed(calls, self._pack)
            if not calls:
                return
        worker = here.worker
        if worker is not None:
            for call in calls:
                call.is_nested = self._is_above(call, worker)
        with self._lock:
            if self._refusal is not None:
                self._refuse(calls[0].is_nested)
            self._do(self._place_all, calls)

    def prepare(self, call: Call) -> None:
        """What `accept` does first, for calls that are made under the lock: for `accept_everywhere`.

        Raises:
            Exception: It cannot be sent to a worker.
        """
        if self._pack is not None:
            self._pack(call)

    def accept_everywhere(self, calls: Callable[[int], Sequence[Call]]) -> int:
        """Take one call in for each worker, past the limit; returns how many workers there are.

        Args:
            calls: Makes so many calls; their order is that of the workers.
        """
        with self._lock:
            if self._refusal is not None:
                self._refuse(is_nested=False)
            if self._is_opening:
                # Each for the worker that is to come.
                for pin, call in enumerate(calls(self.slots)):
                    call.pin = pin
                    self._do(self._place, call)
                return self.slots
            # The next worker of a vacant place gets it when it is up.
            desks: dict[int, Desk | None] = dict.fromkeys(self._roster.vacant)
            desks.update((desk.index, desk) for desk in self._desks())
            if not desks:
                raise WorkerLost(
                    "there is no loop to run it on: all are being replaced just now", may_have_run=False
                )
            worker = here.worker
            for index, call in zip(sorted(desks), calls(len(desks)), strict=True):
                if worker is not None:
                    self._is_above(call, worker)
                call.pin = index  # should that worker be lost, its replacement is who gets it
                desk = desks[index]
                if desk is None:
                    self._do(self._place, call)
                else:
                    self._do(self._place_on, desk, call)
        return len(desks)

    def cancel(self, call: Call) -> None:
        """Ask a task to stop; if it has ended already, nothing happens."""
        if self.is_forked:
            return  # and not a word to the parent's loops
        # Whoever is about to start the call sees this and does not.
        call.is_cancelling = True
        with self._lock:
            self._do(self._cancel, call)
        self._settle_withdrawn()

    def check_wait(self, title: str) -> None:
        """Raise BlockingCall on one of this pool's own loops, ForkedPool in a forked child."""
        if self.is_forked:
            raise ForkedPool(
                f"{title} belongs to a pool that the parent of this process opened; its result arrives there"
            )
        worker = here.worker
        # A thread beside the loop may wait: nothing runs there but what waits.
        if worker is not None and worker.home is self and here.beside is None:
            raise BlockingCall(
                f"waiting for {title} here would block {worker.name}, one of the pool's own loops, "
                "and sooner or later what it waits for; await it instead"
            )
        if here.carries is self:
            raise BlockingCall(
                f"waiting for {title} in a callback would block the thread that carries such results; use "
                "submit() and a callback of its own"
            )
        if self.deadlines.is_here:
            raise BlockingCall(
                f"waiting for {title} in a callback of a call whose deadline has passed would block the "
                f"watch of {self.deadlines.name}'s deadlines; use submit() and a callback of its own"
            )

    def check_worker(self, index: int) -> None:
        """Raise ValueError if there is no worker with this index."""
        if index >= self.slots:
            raise ValueError(
                f"worker={index} is out of range: {self.deadlines.name} has {self.slots} loops, from 0 to "
                f"{self.slots - 1}"
            )

    @property
    def is_here(self) -> bool:
        """Whether this thread is one of its workers'."""
        worker = here.worker
        return worker is not None and worker.home is self

    def fork(self, refusal: Callable[[], Exception]) -> None:
        """This is a forked child: nothing here works any more, and no lock can be trusted."""
        self.is_forked = True
        self._begin_in_child()
        self._refusal = refusal
        self._lets_nested_in = False

    @staticmethod
    def _packed(calls: Sequence[Call], pack: Callable[[Call], None]) -> list[Call]:
        """Those that can be sent; the others are settled: they must not keep their companions from it."""
        packed: list[Call] = []
        for call in calls:
            if call.fn is fail:
                call.sink.settle_error(raised_by(call.args[0]))  # it need not travel, and some cannot
                continue
            try:
                pack(call)
                packed.append(call)
            except Exception as error:  # noqa: BLE001 - it is the call's own
                call.sink.settle_error(error)
        return packed

    def _is_above(self, call: Call, worker: Worker) -> bool:
        """Whether this pool runs the caller of a call that `worker` makes, or one above that."""
        if worker.home is self and here.beside is None:
            return True  # the child inherits the rest
        return hand_down(call.context, worker.home, here.beside, self)
