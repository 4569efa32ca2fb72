"""The life of a worker, moved on by the pool's thread and the worker's own at the same time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from polyloop import LoopPool, _crew, _member
from polyloop._lifecycle import ENDED
from polyloop._member import Member
from polyloop.testing import FakeBackend
from tests._scorecard import report
from tests.model.doubles import ModelLock
from tests.model.explorer import Scheduler

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable


class LeaveAgainst:
    """A worker comes up, or is lost, while it is told to leave.

    Args:
        is_up: Whether it is up already, and is lost.
    """

    def __init__(self, *, is_up: bool) -> None:
        self.backend = FakeBackend(answers=False)
        self.supervisor = LoopPool(1, backend=self.backend)._supervisor
        # Not opened as a pool is: that would wait for the worker.
        self.supervisor.crew.hire(0)
        self.supervisor.is_open = is_up
        [self.link] = self.backend.links
        if is_up:
            self.link.come_up()
        self.threads: list[Callable[[], object]] = [
            lambda: self.supervisor.crew.tell_to_leave(0.0),
            self.link.lose if is_up else self.link.come_up,
        ]

    def check(self) -> None:
        """Everybody who was hired has left or is lost, and the pool knows."""
        for link in self.backend.links:
            link.deliver()
        for member in [link._reports for link in self.backend.links]:
            assert isinstance(member, Member)
            assert member.gone.done(), f"{member.worker} was not told to leave"
            assert member.phase in ENDED, f"the phase is {member.phase}"


@pytest.mark.parametrize("is_up", [False, True], ids=["ready", "lost"])
def test_a_worker_that_is_told_to_leave_meanwhile_ends(
    is_up: bool, expected_logs: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever comes first, its phase follows both, its end is noticed, and its replacement leaves too."""
    scheduler = Scheduler("_member.py", "_supervisor.py", "_succession.py", "_crew.py")
    monkeypatch.setattr(_member, "Lock", partial(ModelLock, scheduler))
    monkeypatch.setattr(_crew, "Lock", partial(ModelLock, scheduler))

    found = scheduler.explore(lambda: LeaveAgainst(is_up=is_up))

    assert found.order is None, found
    assert all("was lost" in entry.getMessage() for entry in expected_logs)
    report(12, f"leaving against coming up or loss: {found.interleavings} interleavings, 0 violations")
