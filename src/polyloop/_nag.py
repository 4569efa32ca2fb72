"""What becomes of an error that nobody collects: it is logged, with where its call came from."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import CodeType

__all__ = ["Nag"]

logger = logging.getLogger("polyloop")

# Of any thread, and said by any.
_unsaid: deque[tuple[BaseException, str, CodeType | None, int]] = deque()


class _Here(threading.local):
    is_saying = False


_here = _Here()


class Nag:
    """Logs an error that nobody collected, when the last reference to its future goes.

    An object of its own, so that only futures with an error pay for a finaliser.
    """

    __slots__ = ("error", "is_armed", "site_code", "site_offset", "title")

    def __init__(
        self, error: BaseException, title: str, site_code: CodeType | None, site_offset: int
    ) -> None:
        self.error = error
        self.title = title
        self.site_code = site_code
        self.site_offset = site_offset
        self.is_armed = True

    def __del__(self) -> None:
        if self.is_armed:
            _unsaid.append((self.error, self.title, self.site_code, self.site_offset))
            _say_all()


def _say_all() -> None:
    """Log what is to be said, unless this thread is in the middle of that: then it is said after that.

    A finaliser runs anywhere, also in a handler of the log, which holds its lock. If it logged there, two
    threads that hold one handler's lock each would wait for the other's.
    """
    while _unsaid and not _here.is_saying:
        try:
            unsaid = _unsaid.popleft()
        except IndexError:
            return  # another thread says it
        _here.is_saying = True
        try:
            _say(*unsaid)
        finally:
            _here.is_saying = False


def _say(error: BaseException, title: str, site_code: CodeType | None, site_offset: int) -> None:
    where = "somewhere"
    if site_code is not None:
        line = next((line for start, end, line in site_code.co_lines() if start <= site_offset < end), None)
        where = f"{site_code.co_filename}:{line}"
    logger.error("%s, submitted at %s, failed and nobody collected its error", title, where, exc_info=error)
