"""What ends a worker's loop, and what does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from polyloop import LoopPool, WorkerLost
from tests._gate import PATIENCE
from tests.interpreter import _jobs
from tests.interpreter._needs import needs_interpreters

if TYPE_CHECKING:
    import logging

    from tests.interpreter.conftest import Pipe

pytestmark = needs_interpreters


def test_a_broken_loop_is_replaced(said: Pipe, expected_logs: list[logging.LogRecord]) -> None:
    """What ran on a loop that broke fails with WorkerLost; a new interpreter takes its place."""
    with LoopPool(1, backend="interpreter") as pool:
        bystander = pool.submit(_jobs.stay, said.writer)
        assert said.hear() == b"s"
        assert pool.call(_jobs.count) == 1

        with pytest.raises(WorkerLost):
            pool.submit(_jobs.break_loop).result(PATIENCE)

        with pytest.raises(WorkerLost):
            bystander.result(PATIENCE)
        assert pool.submit(_jobs.who).result(PATIENCE)[1] == 1
        assert pool.call(_jobs.count) == 1

    assert any("was lost" in record.getMessage() for record in expected_logs)


def test_a_callback_that_exits(pool: LoopPool) -> None:
    """A bare callback that raises SystemExit ends neither its loop nor anything else."""
    view = pool.options(worker=0)

    view.call(_jobs.call_soon_exit)

    assert view.call(_jobs.who)[1] == 0
