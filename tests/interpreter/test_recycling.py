"""Interpreters that get so many calls and no more."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from polyloop import LoopPool
from tests._gate import PATIENCE
from tests.interpreter import _jobs
from tests.interpreter._needs import needs_interpreters

if TYPE_CHECKING:
    from tests.interpreter.conftest import Pipe

pytestmark = needs_interpreters


def test_each_interpreter_gets_so_many_calls_at_most() -> None:
    """What a module has kept in one is not there in the next one."""
    with LoopPool(1, backend="interpreter", max_tasks_per_worker=5) as pool:
        counts = Counter(future.result(PATIENCE) for future in [pool.submit(_jobs.count) for _ in range(20)])

    assert counts == {1: 4, 2: 4, 3: 4, 4: 4, 5: 4}


def test_what_runs_in_a_leaving_interpreter_goes_on(said: Pipe, gate: Pipe) -> None:
    """The next one serves meanwhile."""
    with LoopPool(1, backend="interpreter", max_tasks_per_worker=1) as pool:
        staying = pool.submit(_jobs.block, said.writer, gate.reader)
        said.hear()
        between = [pool.call(_jobs.double, number) for number in range(3)]
        gate.open()

        assert between == [0, 2, 4]
        assert staying.exception(PATIENCE) is None
