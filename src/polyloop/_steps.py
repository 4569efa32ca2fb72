"""A procedure that has to wait, written once for those who block and those who await.

It is a generator that yields what it waits for, and for how many seconds at most. It does not know who
drives it. An interruption of the waiting - Ctrl-C, a cancellation - is thrown into it, for it to decide
what that means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import TypeAlias, cast

from ._future import Future

__all__ = ["Steps", "adrive", "drive"]

# None instead of seconds is without limit.
Step: TypeAlias = tuple[Future[None], float | None]
Steps: TypeAlias = Generator[Step, None, None]


def drive(steps: Steps) -> None:
    """Wait for each step in this thread."""
    wait = next(steps, None)
    while wait is not None:
        future, timeout = wait
        try:
            future.wait(timeout)
        except BaseException as error:  # noqa: BLE001 - the steps decide what an interruption means
            wait = _throw(steps, error)
        else:
            wait = next(steps, None)


async def adrive(steps: Steps) -> None:
    """Wait for each step on the running loop, which stays free."""
    wait = next(steps, None)
    while wait is not None:
        future, timeout = wait
        try:
            if not future.done():
                await asyncio.wait([cast("asyncio.Future[None]", future)], timeout=timeout)  # it takes ours
        except BaseException as error:  # noqa: BLE001 - the steps decide what an interruption means
            wait = _throw(steps, error)
        else:
            wait = next(steps, None)


def _throw(steps: Steps, error: BaseException) -> Step | None:
    try:
        return steps.throw(error)
    except StopIteration:
        return None
