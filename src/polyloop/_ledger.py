"""The values of one loop: which there are, in which order they were opened, and who waits for whom.

The values are closed in the opposite order: a value may use those that were opened before it. On a worker
the runner says when; elsewhere the end of the loop does, in either of the ways that ``asyncio.run`` ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from typing import TYPE_CHECKING, Any

from ._holding import Holding, Phase, current_holding, holding_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Generator

    from ._recipe import Recipe

__all__ = ["Ledger", "close_value", "value_of"]

logger = logging.getLogger("polyloop")

# How long an owner that is cancelled gives tasks that are cancelled too, and may use its value in their
# clean-up. A guess, as long as the grace of a pool: asyncio.run() itself would wait for ever.
CLEAN_UP = 5.0

# By loop, which is compared by identity. Each entry is read and written in the thread that its loop runs in,
# and each operation on the dict is atomic. It refers to its loops, and not weakly: what it holds does so, and
# if a loop is dropped while it holds values, these must not be left to the garbage collector, which would
# run their clean-up in any thread. An entry goes with its last value, or when the loop is seen to be closed.
_ledgers: dict[asyncio.AbstractEventLoop, Ledger] = {}


async def value_of(key: object, recipe: Recipe) -> Any:
    """The running loop's value of a loop-local, opened if it is not there.

    Args:
        key: The loop-local.
        recipe: How it is made.

    Cancellation: only ends the waiting.
    """
    loop = asyncio.get_running_loop()
    while True:
        # Looked up each time: a ledger goes with its last value.
        ledger = _ledgers.get(loop)
        if ledger is None:
            ledger = Ledger(loop)
        holding = ledger.holding(key, recipe)
        if holding.phase is Phase.OPEN or (holding.phase is Phase.CLOSING and ledger.asker() is holding):
            return holding.value  # what closes it may ask for it too
        try:
            with ledger.waiting_for(holding):
                await holding.turn()
            if holding.failure is not None:
                holding.failure.throw()
        finally:
            del holding  # an error's traceback refers to this frame


async def close_value(key: object) -> None:
    """Close the running loop's value of a loop-local, if there is one.

    Cancellation: only ends the waiting.
    """
    loop = asyncio.get_running_loop()
    while (ledger := _ledgers.get(loop)) is not None:
        holding = ledger.holding_or_none(key)
        if holding is None:
            return
        with ledger.waiting_for(holding):
            if holding.phase is not Phase.OPENING:
                await holding.closed()
                return
            await holding.turn()


class Ledger:
    """The values of one loop. Owned by that loop: everything is called there.

    Args:
        loop: The loop, which runs here.
        is_looked_after: Whether somebody will call `close` and `retire` before the loop ends.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, is_looked_after: bool = False) -> None:
        for other in list(_ledgers):
            if other.is_closed():
                _ledgers.pop(other, None)
        self._loop = loop
        self._holdings: dict[object, Holding] = {}
        # Those that are open, or closing, in the order in which they were opened. Not that in which they were
        # asked for: an opening that asks for another value uses it.
        self._opened: list[Holding] = []
        self._parked: AsyncGenerator[None, None] | None = None
        if not is_looked_after:
            self._parked = self._until_shutdown()
            # Started, without a step of the loop: there is nothing in it to wait for.
            with contextlib.suppress(StopIteration):
                self._parked.__anext__().send(None)
        _ledgers[loop] = self

    # -- asking ------------------------------------------------------------------------------

    def holding(self, key: object, recipe: Recipe) -> Holding:
        """That of a loop-local; its opening is begun if there is none."""
        holding = self._holdings.get(key)
        if holding is None:
            holding = self._holdings[key] = Holding(self, key, recipe)
            holding.begin()
        return holding

    def holding_or_none(self, key: object) -> Holding | None:
        """That of a loop-local, if there is one."""
        return self._holdings.get(key)

    def asker(self) -> Holding | None:
        """The holding of this loop whose opening, holding or closing the calling code belongs to."""
        holding = current_holding()
        return holding if holding is not None and holding.keeper is self else None

    @contextlib.contextmanager
    def waiting_for(self, target: Holding) -> Generator[None]:
        """Note who waits for whom, and refuse what would close a circle: nobody in it could ever go on.

        Raises:
            RuntimeError: It would.
        """
        asker = self.asker()
        if asker is None or asker.phase not in {Phase.OPENING, Phase.CLOSING}:
            yield
            return
        path = _path(target, asker)
        if path is not None:
            names = " -> ".join(holding.name for holding in (asker, *path))
            raise RuntimeError(
                f"a cycle of loop-locals: {names}: each waits for the next, so none can be opened or closed; "
                "one of them has to do without the other (what an opening starts counts as the opening)"
            )
        asker.waits_for.append(target)
        try:
            yield
        finally:
            asker.waits_for.remove(target)

    # -- closing -----------------------------------------------------------------------------

    def holdings(self) -> set[Holding]:
        """All that there are at the moment."""
        return set(self._holdings.values())

    def tasks(self) -> set[asyncio.Task[Any]]:
        """The owners, and the tasks that were started by one."""
        mine = self.holdings()
        return {task for task in asyncio.all_tasks(self._loop) if holding_of(task) in mine} if mine else set()

    async def close(
        self, deadline: float = math.inf, last_grace: float = 0.0, *, but: Collection[Holding] = ()
    ) -> None:
        """Close the values, last opened first closed.

        Args:
            deadline: When to give up those that will not close, by the loop's clock.
            last_grace: Seconds that each may take all the same, and three times that for all together.
            but: Those to leave alone.
        """
        end = max(deadline, self._loop.time() + 3 * last_grace)
        opening = [
            holding
            for holding in self._holdings.values()
            if holding.phase is Phase.OPENING and holding not in but
        ]
        for holding in opening:
            holding.task.cancel()  # nobody is there to use it
        for holding in opening:
            await self._see_out(holding, deadline, last_grace, end)
        while left := [holding for holding in self._opened if holding not in but]:
            left[-1].close()
            await self._see_out(left[-1], deadline, last_grace, end)

    async def _see_out(self, holding: Holding, deadline: float, last_grace: float, end: float) -> None:
        """Wait for an owner to end, and give it up if it will not."""
        task = holding.task
        now = self._loop.time()
        # Once it is cancelled, what can end at all ends soon.
        for until in (max(deadline, now + last_grace), now + last_grace / 5):
            timeout = max(0.0, min(until, end) - now)
            await asyncio.wait([task], timeout=timeout if timeout < math.inf else None)
            if task.done():
                return
            logger.error("the loop-local %s would not close within the grace: given up", holding.name)
            task.cancel()
        self.gone(holding)

    async def see_users_out(self, holding: Holding) -> None:
        """See `Keeper`."""
        if holding not in self._opened:
            return  # given up
        earlier = self._opened[: self._opened.index(holding) + 1]
        later = {other.task for other in self.holdings().difference(earlier) if other.is_ending}
        owners = {other.task for other in self.holdings()}
        users = {task for task in asyncio.all_tasks(self._loop) - owners if task.cancelling()}
        if users:
            await asyncio.wait(users, timeout=CLEAN_UP)
        if later:
            await asyncio.wait(later)

    # -- what owners say ---------------------------------------------------------------------

    def opened(self, holding: Holding) -> None:
        """See `Keeper`."""
        self._opened.append(holding)

    def gone(self, holding: Holding) -> None:
        """See `Keeper`."""
        if holding in self._opened:
            self._opened.remove(holding)
        if self._holdings.get(holding.key) is holding:
            del self._holdings[holding.key]
        if not self._holdings and self._parked is not None:
            self.retire()

    def retire(self) -> None:
        """There are no values any more, and this ledger gets no new ones."""
        if _ledgers.get(self._loop) is self:
            del _ledgers[self._loop]
        if self._parked is not None:
            # Left to itself, it would be closed by a task, on a loop that may be about to end. If it is the
            # one that closes the values just now, it cannot be closed and ends by itself.
            with contextlib.suppress(StopIteration, StopAsyncIteration, RuntimeError):
                self._parked.aclose().send(None)

    async def _until_shutdown(self) -> AsyncGenerator[None, None]:
        """Parked on a loop to hear of its end, should that come without cancelling the tasks."""
        try:
            yield
        finally:
            await self.close()


def _path(start: Holding, goal: Holding) -> list[Holding] | None:
    """From one holding to another along what they wait for; None if there is no way."""
    if start is goal:
        return [start]
    for holding in start.waits_for:
        rest = _path(holding, goal)
        if rest is not None:
            return [start, *rest]
    return None
