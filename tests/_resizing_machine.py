"""The state machine of pools that are resized in the middle of everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tests._gate import PATIENCE
from tests._pool_machine import PoolMachine
from tests._records import KINDS, Record, act

if TYPE_CHECKING:
    from polyloop import Future

__all__ = ["ResizingMachine"]


class ResizingMachine(PoolMachine):
    """The same, and loops come and go."""

    @initialize()
    def begin(self) -> None:
        """With nothing asked for."""
        self.resizings: list[Future[int]] = []

    @precondition(lambda self: self.is_open)
    @rule(loops=st.integers(1, 3))
    def resize(self, loops: int) -> None:
        """It is asked for, and nobody waits for it: what runs for ever may have to end first."""
        self.fewest = 1
        self.resizings.append(self.pool.resize(loops))

    @precondition(lambda self: self.is_open)
    @rule(kind=st.sampled_from(KINDS), key=st.integers(0, 9))
    def submit_by_key(self, kind: str, key: int) -> None:
        """A call for a loop that may be about to leave."""
        record = Record(kind)
        self.tasks.append((self.pool.options(key=key).submit(act, record), record))

    @precondition(lambda self: self.is_open)
    @rule()
    def broadcast(self) -> None:
        """One call on each loop that there is."""
        record = Record("value")

        values = self.pool.broadcast(act, record).result(PATIENCE)

        assert len(values) == len(set(record.places)) == len({index for index, _ in record.places})

    @precondition(lambda self: self.is_open and not self.count_endless())
    @rule(loops=st.integers(1, 3))
    def resize_and_wait(self, loops: int) -> None:
        """When nothing runs for ever, it is done some time, and so is what was asked for before."""
        self.open_gates()
        assert self.pool.resize(loops).result(PATIENCE) == self.pool.loops == loops
        assert all(future.done() for future in self.resizings)
        self.fewest = loops

    def close_pool(self, drains: bool, is_async: bool) -> None:
        """As always; nobody waits for another size any more."""
        super().close_pool(drains, is_async)
        for future in self.resizings:
            assert future.wait(PATIENCE)
