"""Ctrl-C at any place in the ringing of a doorbell where CPython looks for signals."""

from __future__ import annotations

import threading

from polyloop import _doorbell
from polyloop._doorbell import Doorbell
from tests._gate import PATIENCE
from tests.model.looks import interrupted_at_each_look
from tests.model.steps import codes_of

CODES = frozenset(codes_of(_doorbell))


def test_ctrl_c_at_every_look_of_a_ring() -> None:
    """Wherever Ctrl-C lands, another thread can ring the bell and take it away afterwards."""
    at = 0
    for at, bell in interrupted_at_each_look(CODES, Doorbell, Doorbell.ring):
        thread = threading.Thread(target=lambda bell=bell: (bell.ring(), bell.close()), daemon=True)
        thread.start()
        thread.join(PATIENCE)
        assert not thread.is_alive(), f"its lock is held for ever after Ctrl-C at look {at}"
    assert at > 2
