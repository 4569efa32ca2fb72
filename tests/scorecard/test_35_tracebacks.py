"""The traceback of an error that is raised a thousand times: how long is it?"""

from __future__ import annotations

import asyncio
import traceback
from typing import TYPE_CHECKING

from tests._gate import PATIENCE
from tests._scorecard import report

if TYPE_CHECKING:
    import polyloop
    from tests._open_pool import OpenPool


async def _fail() -> None:
    try:
        raise LookupError("the cause")
    except LookupError as error:
        raise ValueError("the consequence") from error


def test_a_traceback_does_not_grow(open_pool: OpenPool) -> None:
    """After 1,000 result() calls, and 1,000 awaits, it has at most 10 frames, and its cause is there (C6)."""
    with open_pool() as pool:
        future = pool.submit(_fail)
        errors = [_error_of_result(future) for _ in range(1000)]
        blocking = len(traceback.extract_tb(errors[-1].__traceback__))
        errors.append(asyncio.run(_error_of_await(future)))
        awaiting = len(traceback.extract_tb(errors[-1].__traceback__))

    with_cause = sum("the cause" in "".join(traceback.format_exception(error)) for error in errors)
    report(
        35,
        f"traceback after 1000 result(): {blocking} frames, after 1000 awaits: {awaiting}; "
        f"the cause is shown by {with_cause} of {len(errors)}",
    )
    assert max(blocking, awaiting) <= 10
    assert with_cause == len(errors)


def _error_of_result(future: polyloop.Future[None]) -> ValueError:
    try:
        future.result(PATIENCE)
    except ValueError as error:
        return error
    raise AssertionError


async def _error_of_await(future: polyloop.Future[None]) -> ValueError:
    caught: list[ValueError] = []
    for _ in range(1000):
        try:
            await future
        except ValueError as error:
            caught.append(error)
    return caught[-1]
