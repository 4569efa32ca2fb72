"""The backends, and how a behaviour test makes a pool on each of them."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from tests._shared import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _pytest.mark import ParameterSet

    from polyloop import LoopPool

__all__ = ["BACKENDS", "OpenPool", "backends_of", "wait_until_idle"]

ON_RAY = bool(os.environ.get("POLYLOOP_RAY"))
"""Whether tests of pools run on a Ray cluster, and on nothing else."""

BACKENDS: list[str] = [
    "thread",
    *(["process"] if hasattr(os, "fork") else []),
    *(["interpreter"] if sys.version_info >= (3, 14) else []),
]
"""Those that there are on this system and this Python."""

if ON_RAY:
    BACKENDS = ["ray"]


class OpenPool(Protocol):
    """The fixture `open_pool`: makes a pool on the backend that the test runs on.

    The pool opens as any other, by ``with``, ``async with`` or ``open()``.
    """

    def __call__(self, loops: int = 1, **options: Any) -> LoopPool:
        """A `LoopPool` of so many loops; `options` are its other parameters."""
        ...


def wait_until_idle(pool: LoopPool) -> None:
    """Wait until nothing of what was handed in runs or waits, and fail the test if that never ends."""
    end = time.monotonic() + PATIENCE
    while pool.statistics().in_flight or pool.statistics().backlog:  # nothing tells
        assert time.monotonic() < end, "calls of the test still run on a pool that others use as well"
        time.sleep(0.001)


def backends_of(metafunc: pytest.Metafunc) -> Sequence[str | ParameterSet]:
    """Those that a test is for: all, or those of ``@pytest.mark.backends("thread", why="...")``.

    One that is for none of those that there are here is skipped, and says that.
    """
    marker = metafunc.definition.get_closest_marker("backends")
    if marker is None:
        return BACKENDS
    assert marker.kwargs.keys() == {"why"}, "a test that is not for all backends says why"
    chosen = [backend for backend in BACKENDS if backend in marker.args]
    missing = pytest.mark.skip(reason=f"it is for {' and '.join(marker.args)}: {marker.kwargs['why']}")
    return chosen or [pytest.param(BACKENDS[0], marks=missing)]
