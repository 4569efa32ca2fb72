"""The life of one worker, as a table of pure transitions.

    STARTING --ready--> RUNNING --leave--> LEAVING --left--> LEFT
        |                  |                  |
        +--failed--> FAILED+------lost--------+----> LOST

Anything that is not in the table is a bug in the caller and raises, except that an end is
final: what is reported of a worker that has ended already is ignored.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["ENDED", "Event", "Phase", "advance"]


class Phase(Enum):
    """Where a worker is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    LEAVING = "leaving"
    LEFT = "left"
    LOST = "lost"
    FAILED = "failed"


class Event(Enum):
    """What can happen to a worker."""

    READY = "ready"
    FAILED = "failed"
    LEAVE = "leave"
    LEFT = "left"
    LOST = "lost"


ENDED = frozenset({Phase.LEFT, Phase.LOST, Phase.FAILED})

_TABLE = {
    (Phase.STARTING, Event.READY): Phase.RUNNING,
    (Phase.STARTING, Event.FAILED): Phase.FAILED,
    (Phase.STARTING, Event.LEAVE): Phase.LEAVING,
    (Phase.STARTING, Event.LOST): Phase.LOST,
    (Phase.RUNNING, Event.LEAVE): Phase.LEAVING,
    (Phase.RUNNING, Event.LOST): Phase.LOST,
    (Phase.LEAVING, Event.LEAVE): Phase.LEAVING,
    # A worker that was told to leave before it was up still says that it came up, or not.
    (Phase.LEAVING, Event.READY): Phase.LEAVING,
    (Phase.LEAVING, Event.FAILED): Phase.FAILED,
    (Phase.LEAVING, Event.LEFT): Phase.LEFT,
    (Phase.LEAVING, Event.LOST): Phase.LOST,
}


def advance(phase: Phase, event: Event) -> Phase:
    """The phase that follows `phase` when `event` happens.

    Raises:
        ValueError: The event cannot happen in this phase.
    """
    if phase in ENDED:
        return phase
    try:
        return _TABLE[phase, event]
    except KeyError:
        raise ValueError(f"a worker that is {phase.value} cannot have the event {event.value!r}") from None
