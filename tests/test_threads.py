"""How the library starts its threads."""

from __future__ import annotations

import threading

import pytest

from polyloop._threads import start_thread


class Interrupted(threading.Thread):
    """One whose start is hit by Ctrl-C inside the locks of threading, which make another error of it."""

    def start(self) -> None:
        """As the base class."""
        super().start()
        try:
            raise KeyboardInterrupt
        finally:
            threading.Lock().release()


class Impossible(threading.Thread):
    """One that there is no room for."""

    def start(self) -> None:
        """Fail."""
        raise RuntimeError("can't start new thread")


def test_ctrl_c_stays_ctrl_c() -> None:
    """What threading makes of a Ctrl-C is not taken for a thread that could not be started."""
    thread = Interrupted(target=lambda: None)
    with pytest.raises(KeyboardInterrupt):
        start_thread(thread)
    thread.join()


def test_a_thread_that_cannot_be_started() -> None:
    """An error that is none of Ctrl-C's is raised as it is."""
    with pytest.raises(RuntimeError, match="can't start new thread"):
        start_thread(Impossible())
