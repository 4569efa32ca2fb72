"""What is logged of an error that nobody collected, and when."""

from __future__ import annotations

import logging

from polyloop._nag import Nag


class Dropping(logging.Handler):
    """Drops a nag in the middle of its first record, and notes where records begin and end."""

    def __init__(self, nags: list[Nag]) -> None:
        super().__init__()
        self._nags = nags
        self.notes: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Note it."""
        self.notes.append(f"begin {record.args[0]}" if isinstance(record.args, tuple) else "")
        if self._nags:
            self._nags.pop()
        self.notes.append("end")


def test_one_that_goes_while_another_is_logged_is_logged_after_it(
    expected_logs: list[logging.LogRecord],
) -> None:
    """A finaliser in a handler, which holds its lock, calls no handler: two could wait for each other."""
    nags = [Nag(LookupError(name), name, None, 0) for name in ("second", "first")]
    handler = Dropping(nags)
    logger = logging.getLogger("polyloop")
    logger.addHandler(handler)
    try:
        nags.pop()
    finally:
        logger.removeHandler(handler)

    assert handler.notes == ["begin first", "end", "begin second", "end"]
    assert len(expected_logs) == 2
