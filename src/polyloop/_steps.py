"""A procedure that has to wait, written once for those who block and those who await.

It is a generator that yields what it waits for, and for how many seconds at most. It does not know who
drives it. An interruption of the waiting - Ctrl-C, a cancellation - is thrown into it, for it to decide
what that means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from inspect import GEN_CLOSED, getgeneratorstate
from typing import TypeAlias, cast

from ._future import Future

__all__ = ["Steps", "adrive", "drive"]

# None instead of seconds is without limit.
Step: TypeAlias = tuple[Future[None], float | None]
Steps: TypeAlias = Generator[Step, None, None]


def drive(steps: Steps) -> None:
    """Wait for each step in this thread."""
    interruption: BaseException | None = None
    try:  # noqa: PLR1702 - a loop inside two guards, which a helper would only hide
        while True:
            try:
                step = next(steps, None) if interruption is None else steps.throw(interruption)
                if step is None:
                    return
                interruption = None
                future, timeout = step
                future.wait(timeout)
            except StopIteration:
                return
            except BaseException as error:
                if getgeneratorstate(steps) == GEN_CLOSED:
                    raise  # by the steps themselves, which have ended with it
                interruption = error  # they decide what it means
    finally:
        # Ctrl-C can land between any two lines of this; left to the garbage collector the steps would
        # stay half-done for some time.
        steps.close()


async def adrive(steps: Steps) -> None:
    """Wait for each step on the running loop, which stays free."""
    interruption: BaseException | None = None
    try:  # noqa: PLR1702 - a loop inside two guards, which a helper would only hide
        while True:
            try:
                step = next(steps, None) if interruption is None else steps.throw(interruption)
                if step is None:
                    return
                interruption = None
                future, timeout = step
                if not future.done():
                    await asyncio.wait(
                        [cast("asyncio.Future[None]", future)], timeout=timeout
                    )  # it takes ours
            except StopIteration:
                return
            except BaseException as error:
                if getgeneratorstate(steps) == GEN_CLOSED:
                    raise
                interruption = error
    finally:
        steps.close()
