"""Ctrl-C at any place in the use of a lock where CPython looks for signals."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from polyloop import Future, _locks
from polyloop._locks import Lock, make_condition
from tests._gate import PATIENCE
from tests.model.looks import interrupt, interrupted_at_each_look
from tests.model.steps import codes_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager


def use(lock: AbstractContextManager[Any]) -> None:
    """What is done with locks."""
    inside: list[None] = []
    with lock:
        inside.append(None)


@pytest.mark.parametrize("make", [Lock, make_condition])
def test_ctrl_c_at_every_look_of_a_block(make: Callable[[], AbstractContextManager[Any]]) -> None:
    """Wherever Ctrl-C lands, another thread can have the lock afterwards."""
    codes = frozenset({use.__code__, threading.Condition.__enter__.__code__, *codes_of(_locks)})
    at = 0
    for at, lock in interrupted_at_each_look(codes, make, use):
        thread = threading.Thread(target=use, args=(lock,), daemon=True)
        thread.start()
        thread.join(PATIENCE)
        assert not thread.is_alive(), f"it is held for ever after Ctrl-C at look {at}"
    assert at > 2


WAITS = frozenset(
    function.__code__
    for function in (threading.Condition.wait, threading.Condition.wait_for, threading.Event.wait)
)


def wait_for_future() -> None:
    """What `Future.result` does."""
    future: Future[None] = Future()
    assert not future.wait(0.001)


def wait_for_event() -> None:
    """What the consumer of a map does."""
    _locks.as_raised(threading.Event().wait, 0.001)


@pytest.mark.parametrize("wait", [wait_for_future, wait_for_event])
def test_ctrl_c_at_every_look_of_a_wait(wait: Callable[[], None]) -> None:
    """Wherever it lands in the code of threading, it is raised as what it is."""
    looks = [at for at, _ in interrupted_at_each_look(WAITS, lambda: None, lambda _: wait())]

    assert len(looks) > 5


def test_other_errors_of_what_waits_are_raised_as_they_are() -> None:
    """Also while Ctrl-C is being handled."""

    def fail() -> None:
        raise RuntimeError("of another kind")

    try:
        interrupt()
    except KeyboardInterrupt:
        with pytest.raises(RuntimeError, match="of another kind"):
            _locks.as_raised(fail)
