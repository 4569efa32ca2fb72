"""What every test gets: a look at what it leaves behind, and pools on every backend.

The time limit of each test is in ``pyproject.toml``; `pytest.mark.timeout` gives a test another.
"""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests._leaks import expected_logs, log_watch, logged, no_late_logs, no_leaks
from tests._leftovers import no_leftovers
from tests._open_pool import ON_RAY, OpenPool, backends_of, wait_until_idle
from tests._shared import put_away
from tests._steady import open_steady_pool
from tests.ray._cluster import running_cluster

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
    "logged",
    "no_late_logs",
    "no_leaks",
    "no_leftovers",
    "nothing_shared",
    "open_pool",
    "other_node",
    "pytest_generate_tests",
    "ray_cluster",
    "steady_pool",
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test of pools once on each backend, or on those that it is about.

    That is one with `open_pool` or `steady_pool`, or with `backend` alone: one of a program of its own.
    """
    names = set(metafunc.fixturenames)
    for fixture in {"open_pool", "steady_pool"} & names or {"backend"} & names:
        metafunc.parametrize(fixture, backends_of(metafunc), indirect=True)


@pytest.fixture(scope="session", autouse=True)
def ray_cluster() -> Iterator[Any]:
    """A Ray cluster, if that is where the pools of this run are, otherwise None."""
    with running_cluster() if ON_RAY else contextlib.nullcontext() as cluster:
        yield cluster


@pytest.fixture
def other_node(ray_cluster: Any) -> Iterator[Any]:
    """A node beside the head, with room for two workers that ask for the resource ``other``."""
    node = ray_cluster.add_node(num_cpus=2, resources={"other": 2})
    ray_cluster.wait_for_nodes()
    yield node
    if node in ray_cluster.list_all_nodes():
        ray_cluster.remove_node(node)


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
    """The name of the backend that the test runs on now."""
    parameters = request.node.callspec.params
    name: str = parameters.get("open_pool") or parameters.get("steady_pool") or parameters["backend"]
    return name


@pytest.fixture(scope="module")
def steady_pool(request: pytest.FixtureRequest) -> Iterator[LoopPool]:
    """Two loops on one backend, which all tests of a file share: for those that do them no harm."""
    with open_steady_pool(request.param) as pool:
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
