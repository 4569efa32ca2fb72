"""Anything a program can do with a pool, in any order: what was accepted is settled, and truthfully."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from polyloop import _deadlines, _patience
from tests._killing_machine import KillingMachine
from tests._options_machine import OptionsMachine
from tests._passing_time import clock
from tests._resizing_machine import ResizingMachine
from tests._scorecard import report

if TYPE_CHECKING:
    import logging

    from tests._pool_machine import PoolMachine

# Opening a pool of anything but threads takes most of an example's time, and so do replacements.
EXAMPLES = {"thread": 50, "process": 6, "interpreter": 10, "ray": 3}
STEPS = 30
LOGGED = ("nobody collected", "ends with SystemExit('exit') and leaves this error out")
LOGGED_OF_LOSSES = ("was lost", "a task that was given up at its deadline failed after that")


@pytest.mark.timeout(3000)
def test_any_program_gets_true_outcomes(
    backend: str, expected_logs: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is done with a pool, in whatever order, no promise of it is broken."""
    monkeypatch.setattr(_deadlines, "monotonic", clock)
    monkeypatch.setattr(_patience, "FIRST_DELAY", 0.001)
    kind = KillingMachine if backend in {"process", "ray"} else OptionsMachine

    examples = run(kind, backend)

    expected = (*LOGGED, *(LOGGED_OF_LOSSES if kind is KillingMachine else ()))
    messages = [entry.getMessage() for entry in expected_logs]
    assert not [message for message in messages if not any(text in message for text in expected)]
    report(13, f"{backend} backend: {examples} examples x {STEPS} steps, 0 violations")


@pytest.mark.timeout(3000)
def test_any_program_gets_true_outcomes_while_loops_come_and_go(
    backend: str, expected_logs: list[logging.LogRecord]
) -> None:
    """Nor is one when the pool is resized in the middle of it."""
    examples = run(ResizingMachine, backend)

    messages = [entry.getMessage() for entry in expected_logs]
    assert not [message for message in messages if not any(text in message for text in LOGGED)]
    report(13, f"{backend} backend, resized: {examples} examples x {STEPS} steps, 0 violations")


def run(kind: type[PoolMachine], backend: str) -> int:
    """Run a state machine on a backend; returns how many examples there were."""
    examples = 300 if os.environ.get("POLYLOOP_NIGHTLY") else EXAMPLES[backend]
    run_state_machine_as_test(
        type(kind.__name__, (kind,), {"backend": backend}),
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    return examples
