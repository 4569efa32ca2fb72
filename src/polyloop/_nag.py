"""What becomes of an error that nobody collects: it is logged, with where its call came from."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import CodeType

__all__ = ["Nag"]

logger = logging.getLogger("polyloop")


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
        if not self.is_armed:
            return
        where = "somewhere"
        if self.site_code is not None:
            code = self.site_code
            line = next(
                (line for start, end, line in code.co_lines() if start <= self.site_offset < end), None
            )
            where = f"{code.co_filename}:{line}"
        logger.error(
            "%s, submitted at %s, failed and nobody collected its error",
            self.title,
            where,
            exc_info=self.error,
        )
