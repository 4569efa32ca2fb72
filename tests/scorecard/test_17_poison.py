"""A task that kills the process it runs in: what does it cost?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from polyloop import PoisonTask
from tests._gate import PATIENCE
from tests._scorecard import report
from tests.process._poison_jobs import Referee, die, pass_by

if TYPE_CHECKING:
    import logging

    from tests._open_pool import OpenPool

BYSTANDERS = 20
# What the error says of the end of the last worker: Ray does not tell the status.
ENDS = {"process": "status 3", "ray": "actor died unexpectedly"}

pytestmark = pytest.mark.backends("process", "ray", why="threads and interpreters end with their process")


@pytest.mark.parametrize("loops", [1, 2])
def test_a_task_that_kills_its_worker_kills_three_and_all_others_finish(
    open_pool: OpenPool, backend: str, expected_logs: list[logging.LogRecord], loops: int
) -> None:
    """Though twenty others were in flight, and were lost with it, on the first worker and on the second."""
    with Referee() as referee, open_pool(loops) as pool:
        view = pool.options(resubmits=5)
        bystanders = [view.submit(pass_by, referee.port, number) for number in range(BYSTANDERS)]
        referee.wait_for(BYSTANDERS)
        killer = view.submit(die, referee.port)
        referee.wait_for(1)
        lost_first = let_it_kill(referee)
        referee.wait_for(lost_first + 1)
        referee.let_all_pass()
        lost_again = let_it_kill(referee)

        error = killer.exception(PATIENCE)
        results = [future.result(PATIENCE) for future in bystanders]

    lost = sum("was lost" in record.getMessage() for record in expected_logs)
    assert isinstance(error, PoisonTask)
    assert ENDS[backend] in error.end
    assert results == list(range(BYSTANDERS))
    assert len({run.pid for run in referee.runs_of("killer")}) == error.killed == lost == 3
    report(
        17,
        f"os._exit in a task, {loops} processes: {lost} workers killed, then PoisonTask; {len(results)} of "
        f"{BYSTANDERS} bystanders finished, of which {lost_first} and {lost_again} were lost with it",
    )


def let_it_kill(referee: Referee) -> int:
    """Let the killer go on; returns how many others are in flight on its worker."""
    killer = referee.runs_of("killer")[-1]
    beside = sum(run.pid == killer.pid for run in referee.runs_of("bystander"))
    assert beside
    killer.line.close()
    return beside
