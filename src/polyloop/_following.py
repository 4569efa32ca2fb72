"""A pool that follows the room there is: as many workers as fit, within bounds."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._errors import PoolClosed
from ._threads import daemon_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._future import Future
    from ._link import Resizable

__all__ = ["Follower", "Room", "wanted"]

logger = logging.getLogger("polyloop")

# How often to look, in seconds: Ray tells nobody when a node comes or goes. A guess; one look takes 2 ms.
LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Room:
    """How many workers there is room for.

    Attributes:
        whole: Were there nobody else.
        free: Beside all who are there.
    """

    whole: int
    free: int


def wanted(room: Room, loops: int, asked: int, *, is_growing: bool, least: int, most: int) -> int:
    """How many workers a pool is to have.

    Args:
        room: What there is.
        loops: How many it has; while it grows, those that it had before.
        asked: How many were asked for last.
        is_growing: Whether some of these are still to come. They may have taken their room already, so what
            is free says nothing then.
        least: No fewer.
        most: No more.
    """
    fitting = min(room.whole, asked if is_growing else loops + room.free)
    return max(least, min(fitting, most))


class Follower:
    """A thread that looks for room, and has a pool resized.

    Args:
        pool: The pool.
        room: Looks; what it raises is the end of the following.
        most: No more workers than this. No fewer than the pool has now.
    """

    def __init__(self, pool: Resizable, room: Callable[[], Room], most: int) -> None:
        self._pool = pool
        self._room = room
        self._least = self._asked = pool.loops
        self._most = most
        self._resizing: Future[int] | None = None
        self._is_over = threading.Event()
        self._thread = daemon_thread(self._main, f"{pool.name}-follower")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more. Does not wait: it may be called in any thread."""
        self._is_over.set()

    def _main(self) -> None:
        try:
            while not self._is_over.wait(LOOK_SECONDS):
                self._look()
        except PoolClosed:
            pass  # it is being closed, and this is told next
        except Exception:
            if not self._is_over.is_set():
                logger.exception("%s does not follow the room that there is any more", self._pool.name)

    def _look(self) -> None:
        loops = self._pool.loops
        is_growing = self._asked > loops and self._resizing is not None and not self._resizing.done()
        loops_wanted = wanted(
            self._room(), loops, self._asked, is_growing=is_growing, least=self._least, most=self._most
        )
        if loops_wanted != (self._asked if is_growing else loops):
            logger.info("%s goes from %d loops to %d", self._pool.name, loops, loops_wanted)
            self._asked = loops_wanted
            self._resizing = self._pool.resize(loops_wanted)
            self._resizing.add_done_callback(_tell)


def _tell(resizing: Future[int]) -> None:
    if not resizing.cancelled() and (error := resizing.exception()) is not None:
        logger.warning("%s", error)  # there is another look, when somebody else may have left
