"""The life of a worker, as a table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyloop._lifecycle import ENDED, Event, Phase, advance


@pytest.mark.parametrize(
    ("events", "phase"),
    [
        ([Event.READY, Event.LEAVE, Event.LEFT], Phase.LEFT),
        ([Event.READY, Event.LOST], Phase.LOST),
        ([Event.READY, Event.LEAVE, Event.LOST], Phase.LOST),
        ([Event.FAILED], Phase.FAILED),
        ([Event.LEAVE, Event.READY], Phase.LEAVING),
        ([Event.LEAVE, Event.FAILED], Phase.FAILED),
        ([Event.READY, Event.LEAVE, Event.LEAVE], Phase.LEAVING),
    ],
    ids=lambda value: "-".join(event.value for event in value) if isinstance(value, list) else value.value,
)
def test_the_ways_a_worker_can_take(events: list[Event], phase: Phase) -> None:
    """A worker comes up, runs, is told to leave and leaves; or it fails or is lost on the way."""
    reached = Phase.STARTING
    for event in events:
        reached = advance(reached, event)

    assert reached is phase


@pytest.mark.parametrize(
    ("phase", "event"),
    [(Phase.STARTING, Event.LEFT), (Phase.RUNNING, Event.READY), (Phase.RUNNING, Event.FAILED)],
)
def test_what_cannot_happen_is_refused(phase: Phase, event: Event) -> None:
    """An event that makes no sense is a bug of the caller, and the error names both."""
    with pytest.raises(ValueError, match=rf"{phase.value}.*'{event.value}'"):
        advance(phase, event)


@given(st.sampled_from(sorted(ENDED, key=lambda phase: phase.value)), st.sampled_from(Event))
def test_an_end_is_final(phase: Phase, event: Event) -> None:
    """Whatever is reported of a worker that has ended changes nothing."""
    assert advance(phase, event) is phase


@given(st.lists(st.sampled_from(Event)))
def test_nobody_comes_back(events: list[Event]) -> None:
    """A phase that was left is never entered again."""
    path = [Phase.STARTING]
    for event in events:
        try:
            path.append(advance(path[-1], event))
        except ValueError:
            continue  # it cannot happen now

    changes = [phase for phase, before in zip(path, [None, *path], strict=False) if phase is not before]
    assert len(changes) == len(set(changes))
