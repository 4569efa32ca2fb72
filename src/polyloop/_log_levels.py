"""Which records a worker makes: those that its pool's process would have made.

The levels of the loggers there are what decides here. A worker has a copy of them, which is as old as itself.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Levels", "adopt_levels", "levels_here"]


@dataclass(frozen=True, slots=True)
class Levels:
    """The levels of a process.

    Attributes:
        disabled: What `logging.disable` was called with.
        root: That of the root logger.
        others: Those of the loggers that have one of their own, by their names.
    """

    disabled: int
    root: int
    others: Mapping[str, int]


def levels_here() -> Levels:
    """What this process's loggers are set to now."""
    others = {logger.name: logger.level for logger in _loggers() if logger.level != logging.NOTSET}
    return Levels(logging.root.manager.disable, logging.root.level, others)


def adopt_levels(levels: Levels, handler: logging.Handler) -> None:
    """Set the loggers of this process up anew: `handler` gets everything, and nobody else anything.

    What the import of the program has set up is meant for its own process: here its handlers would tell
    everything a second time.
    """
    for logger in (logging.root, *_loggers()):
        for former in list(logger.handlers):
            logger.removeHandler(former)
        logger.propagate = True
        logger.disabled = False
        logger.setLevel(logging.NOTSET)
    logging.disable(levels.disabled)
    logging.root.setLevel(levels.root)
    for name, level in levels.others.items():
        logging.getLogger(name).setLevel(level)
    logging.root.addHandler(handler)


def _loggers() -> Iterator[logging.Logger]:
    """All loggers but the root."""
    # Between them are placeholders, for names that only have loggers below them.
    for logger in list(logging.root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            yield logger
