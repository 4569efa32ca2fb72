"""Errors that nobody collects: are they all logged, once, with the place of the submit?"""

from __future__ import annotations

import gc
import inspect
from typing import TYPE_CHECKING

from tests._scorecard import report

if TYPE_CHECKING:
    import logging

    from tests._open_pool import OpenPool

TASKS = 1000


async def _fail(number: int) -> None:
    raise LookupError(number)


def test_every_error_that_nobody_collects_is_logged(
    open_pool: OpenPool, expected_logs: list[logging.LogRecord]
) -> None:
    """Each of them is logged exactly once, with file and line of its submit (A11)."""
    with open_pool(2) as pool:
        for number in range(TASKS):
            pool.submit(_fail, number).running()  # and it is dropped
        frame = inspect.currentframe()
        assert frame is not None
        site = f"{__file__}:{frame.f_lineno - 3}"
    gc.collect()

    numbers = [
        record.exc_info[1].args[0] for record in expected_logs if record.exc_info and record.exc_info[1]
    ]
    sites = sum(f"submitted at {site}," in record.getMessage() for record in expected_logs)
    report(
        19,
        f"{len(set(numbers))} of {TASKS} uncollected errors logged, in {len(numbers)} lines, "
        f"{sites} of them with the site",
    )
    assert sorted(numbers) == list(range(TASKS))
    assert sites == TASKS
