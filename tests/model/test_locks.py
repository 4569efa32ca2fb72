"""Ctrl-C at any place in the use of a lock where CPython looks for signals."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from polyloop import _locks
from polyloop._locks import Lock, make_condition
from tests._gate import PATIENCE
from tests.model.looks import Looks
from tests.model.steps import codes_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager


def interrupt() -> None:
    """Ctrl-C."""
    raise KeyboardInterrupt


def use(lock: AbstractContextManager[Any], inside: list[None]) -> None:
    """What is done with locks."""
    with lock:
        inside.append(None)


@pytest.mark.parametrize("make", [Lock, make_condition])
def test_ctrl_c_at_every_look_of_a_block(make: Callable[[], AbstractContextManager[Any]]) -> None:
    """Wherever Ctrl-C lands, another thread can have the lock afterwards."""
    codes = frozenset({use.__code__, threading.Condition.__enter__.__code__, *codes_of(_locks)})
    at = 0
    is_interrupted = True
    while is_interrupted:
        at += 1
        lock = make()
        with suppress(KeyboardInterrupt), Looks(codes, {at: interrupt}) as looks:
            use(lock, [])

        thread = threading.Thread(target=use, args=(lock, []), daemon=True)
        thread.start()
        thread.join(PATIENCE)
        assert not thread.is_alive(), f"it is held for ever after Ctrl-C at look {at}"
        is_interrupted = looks.seen >= at
    assert at > 2
