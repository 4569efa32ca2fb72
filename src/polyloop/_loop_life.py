"""A worker's loop: made, run until the worker has ended, and closed, in the thread that it has to itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["checked_loop", "close_loop", "run_until_done"]

logger = logging.getLogger("polyloop")


def run_until_done(
    loop: asyncio.AbstractEventLoop, main: asyncio.Task[None], name: str
) -> BaseException | None:
    """Run the loop until the runner has ended; returns what ended it, None if it was told to.

    Args:
        loop: The loop.
        main: The task of `Runner.main`.
        name: The worker's name.
    """
    main.add_done_callback(lambda _: loop.stop())
    while not main.done():
        try:
            loop.run_forever()
        except (SystemExit, KeyboardInterrupt):
            # Raised by a bare callback or a task of the user's own. asyncio lets it end the
            # loop, and with it everything else that lives there.
            if not main.done():
                logger.exception("%s goes on: one of its callbacks raised that", name)
        except BaseException as error:  # noqa: BLE001 - the loop is broken: reported as the loss of the worker
            return error
    return main.exception() if not main.cancelled() else None


def close_loop(loop: asyncio.AbstractEventLoop, name: str) -> None:
    """Close the loop of the worker `name`, and whatever still is on it."""
    # Tasks that would not end are closed here, in their own thread. Left to the garbage
    # collector, their clean-up would run in whatever thread that happens to run in.
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # it has been reported already
        with contextlib.suppress(BaseException):
            cast("Any", task.get_coro()).close()
    try:
        loop.close()
    except Exception:
        logger.exception("the loop of %s could not be closed", name)
    asyncio.set_event_loop(None)


def checked_loop(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> asyncio.AbstractEventLoop:
    """A fresh loop.

    Raises:
        TypeError: `loop_factory` has made something else.
        ValueError: It has made one that is not fresh.
        RuntimeError: It has made one that does not work on this Python.
    """
    loop = loop_factory()
    if not isinstance(cast("object", loop), asyncio.AbstractEventLoop):
        raise TypeError(f"loop_factory must return an asyncio event loop, not {type(loop).__name__}")
    if loop.is_running() or loop.is_closed():
        state = "closed" if loop.is_closed() else "running"
        raise ValueError(
            f"loop_factory returned a loop that is {state}; each worker needs a fresh one of its own"
        )
    _refuse_old_uvloop(loop)
    return loop


def _refuse_old_uvloop(loop: asyncio.AbstractEventLoop) -> None:
    if not type(loop).__module__.startswith("uvloop") or getattr(sys, "_is_gil_enabled", lambda: True)():
        return
    version = sys.modules["uvloop"].__version__
    if tuple(int(part) for part in version.split(".")[:2]) < (0, 23):
        loop.close()
        raise RuntimeError(
            f"uvloop {version} loses wake-ups on free-threaded Python (MagicStack/uvloop#720); "
            "install uvloop 0.23 or later"
        )
