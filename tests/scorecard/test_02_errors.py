"""Errors that end loops and programs, in a task and in a done-callback: who suffers?

All of it measured from the moment the task may raise to the moment its caller has the error.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

import pytest

from tests._calls import double
from tests._gate import PATIENCE, Gate
from tests._scorecard import report

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from tests._open_pool import OpenPool

ERRORS = [SystemExit, KeyboardInterrupt, GeneratorExit, BaseException, StopIteration, MemoryError]
BYSTANDERS = 100


async def _fail_behind(gate: Gate, error: type[BaseException] | None) -> None:
    await gate.passage()
    if error is not None:
        raise error("from a task")


@pytest.mark.parametrize("place", ["task", "callback"])
def test_an_error_hurts_nobody_else(
    open_pool: OpenPool, backend: str, expected_logs: list[logging.LogRecord], place: str
) -> None:
    """The caller has it within 0.1 s, 100 bystanders get their results, and no loop is lost."""
    slowest, unharmed = 0.0, 0
    with open_pool(2) as pool:
        for error in ERRORS:
            gate, later = Gate(), Gate()
            bystanders = [pool.submit(later.passage, number) for number in range(BYSTANDERS)]
            future = pool.submit(_fail_behind, gate, error if place == "task" else None)
            if place == "callback":
                future.add_done_callback(_raiser(error))
            gate.wait_started()
            begin = perf_counter()
            gate.open()
            assert future.wait(PATIENCE)
            slowest = max(slowest, perf_counter() - begin)
            assert (future.exception() is not None) == (place == "task")
            later.open()
            unharmed += sum(b.result(PATIENCE) == number for number, b in enumerate(bystanders))
            pool.broadcast(double, 0).result(PATIENCE)
        lost = sum(worker.generation for worker in pool.statistics().workers)

    report(
        2,
        f"{len(ERRORS)} kinds of errors in a {place}: "
        f"caller has the outcome after at most {slowest * 1000:.1f} ms, "
        f"{unharmed} of {BYSTANDERS * len(ERRORS)} bystanders well, {lost} loops lost",
    )
    # How soon another process has its turn depends on what else the machine does.
    assert slowest <= (0.1 if backend == "thread" else 2)
    assert unharmed == BYSTANDERS * len(ERRORS)
    assert lost == 0


def _raiser(error: type[BaseException]) -> Callable[[object], None]:
    def raises(_: object) -> None:
        raise error("from a callback")

    return raises
