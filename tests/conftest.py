"""What every test gets: a look at what it leaves behind, and pools on every backend.

The time limit of each test is in ``pyproject.toml``; `pytest.mark.timeout` gives a test another.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests._leaks import expected_logs, log_watch, no_late_logs, no_leaks
from tests._open_pool import BACKENDS, OpenPool, wait_until_idle
from tests._shared import PATIENCE, put_away
from tests._stage import nothing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyloop import LoopPool

# A shell starts what it runs in the background with Ctrl-C ignored, and children inherit that: the tests
# that send it would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)

__all__ = [
    "backend",
    "expected_logs",
    "log_watch",
    "no_late_logs",
    "no_leaks",
    "nothing_shared",
    "open_pool",
    "pytest_generate_tests",
    "steady_pool",
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test of `open_pool` or `steady_pool` once on each backend, or on those that it is about."""
    for fixture in {"open_pool", "steady_pool"}.intersection(metafunc.fixturenames):
        marker = metafunc.definition.get_closest_marker("backends")
        backends = BACKENDS if marker is None else _named_by(marker)
        metafunc.parametrize(fixture, backends, indirect=True)


def _named_by(marker: pytest.Mark) -> list[str]:
    """``backends("thread", why="...")``: a test that is not for all of them says why."""
    assert marker.kwargs.keys() == {"why"}, "a test that is not for all backends says why"
    return [backend for backend in BACKENDS if backend in marker.args]


@pytest.fixture
def open_pool(request: pytest.FixtureRequest) -> OpenPool:
    """Makes pools on one backend; the test runs once on each."""
    # Imported late, so that tests which need no pool still run while the package cannot be imported.
    from polyloop import LoopPool  # noqa: PLC0415

    def make(loops: int = 1, **options: Any) -> LoopPool:
        return LoopPool(loops, backend=request.param, **options)

    return make


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> str:
    """The name of the backend that a test of `open_pool` or `steady_pool` runs on now."""
    parameters = request.node.callspec.params
    name: str = parameters.get("open_pool") or parameters["steady_pool"]
    return name


@pytest.fixture(scope="module")
def steady_pool(request: pytest.FixtureRequest) -> Iterator[LoopPool]:
    """Two loops on one backend, which all tests of a file share: for those that do them no harm."""
    from polyloop import LoopPool  # noqa: PLC0415 - as above

    with LoopPool(2, backend=request.param, grace=1.0) as pool:
        # What is made when it is first needed, and stays until the pool is closed, is made before the first
        # test looks at what there is.
        pool.options(timeout=PATIENCE).call(nothing)
        yield pool
        pool.close(drain=1)  # what a test that failed has left behind may never end


@pytest.fixture(autouse=True)
def nothing_shared(request: pytest.FixtureRequest, no_leaks: None) -> Iterator[None]:
    """End what `tests._shared` has made for the test, before anybody looks at what it left behind.

    What the test has begun on the pool that it shares with others has to end first.
    """
    yield
    if "steady_pool" in request.fixturenames:
        wait_until_idle(request.getfixturevalue("steady_pool"))
    put_away()
