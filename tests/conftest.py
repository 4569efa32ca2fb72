"""What every test gets: a look at what it leaves behind, and pools on every backend.

The time limit of each test is in ``pyproject.toml``; `pytest.mark.timeout` gives a test another.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests._leaks import expected_logs, log_watch, no_late_logs, no_leaks
from tests._open_pool import BACKENDS, OpenPool

if TYPE_CHECKING:
    from polyloop import LoopPool

# A shell starts what it runs in the background with Ctrl-C ignored, and children inherit that: the tests
# that send it would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)

__all__ = ["expected_logs", "log_watch", "no_late_logs", "no_leaks", "open_pool"]


@pytest.fixture(params=BACKENDS)
def open_pool(request: pytest.FixtureRequest) -> OpenPool:
    """Makes pools on one backend; the test runs once on each."""
    # Imported late, so that tests which need no pool still run while the package cannot be imported.
    from polyloop import LoopPool  # noqa: PLC0415

    def make(loops: int = 1, **options: Any) -> LoopPool:
        return LoopPool(loops, backend=request.param, **options)

    return make
