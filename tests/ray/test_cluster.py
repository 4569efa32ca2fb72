"""Loops on a Ray cluster: what can go wrong with nodes and actors, and what is settled then."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import polyloop
from polyloop import LoopPool, StartupError, WorkerLost
from polyloop.ray import Cluster
from tests._calls import double
from tests._gate import PATIENCE, Gate
from tests._processes import run_python
from tests._shared import Flag

# A worker that is lost is logged.
pytestmark = pytest.mark.usefixtures("expected_logs")

# A worker that comes up on a machine with two cores, beside others that do the same.
STARTING = 60.0


async def pid() -> int:
    """Where it runs."""
    return os.getpid()


async def half(number: int) -> float:
    """A little waiting, so that many are under way."""
    await asyncio.sleep(0.001)
    return number / 2


def test_large_things_cross() -> None:
    """Ten megabytes there and twenty back, by way of Ray's object store."""
    with LoopPool(1, backend="ray") as pool:
        assert len(pool.call(double, b"x" * 10_000_000)) == 20_000_000  # type: ignore[arg-type]


def test_each_loop_has_a_process_of_its_own() -> None:
    """And none is Ray's loop, nor this process's."""
    with LoopPool(3, backend=Cluster(num_cpus=0.5)) as pool:
        pids = pool.broadcast(pid).result(PATIENCE)
    assert len({os.getpid(), *pids}) == 4


def test_a_killed_worker_loses_what_was_sent_to_it() -> None:
    """It may have run; what waited in the backlog runs on the one that comes after it."""
    gate = Gate()
    with LoopPool(1, backend="ray", limit=2) as pool:
        process = pool.call(pid)
        lost = [pool.submit(gate.passage) for _ in range(2)]
        waiting = [pool.submit(double, number) for number in range(10)]
        gate.wait_started(2)  # both: one that waits for its company to be sent would move
        os.kill(process, signal.SIGKILL)

        for future in lost:
            error = future.exception(PATIENCE)
            assert isinstance(error, WorkerLost)
            assert error.may_have_run
        assert [future.result(STARTING) for future in waiting] == [2 * number for number in range(10)]


@pytest.mark.timeout(180)
def test_workers_are_killed_under_load() -> None:
    """Calls that may run again all have their values; nothing is left pending."""
    calls = 5000
    with LoopPool(2, backend="ray", limit=50) as pool:
        futures = [pool.options(resubmits=5).submit(half, number) for number in range(calls)]
        for turn in range(4):
            assert futures[(turn + 1) * calls // 8].wait(STARTING)
            os.kill(pool.options(worker=turn % 2, resubmits=5).call(pid), signal.SIGKILL)

        assert [future.result(STARTING) for future in futures] == [number / 2 for number in range(calls)]


def test_there_is_no_room() -> None:
    """The pool says for what, and what there is, instead of waiting for ever."""
    pool = LoopPool(1, backend=Cluster(num_cpus=1000, patience=0.5))

    with pytest.raises(StartupError, match=r"it takes \{'CPU': 1000\}, and free are"):
        pool.open()


def test_a_pool_that_waits_for_room_can_be_given_up() -> None:
    """Closing does not wait for the room."""

    async def main() -> None:
        pool = LoopPool(1, backend=Cluster(num_cpus=1000))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await pool.aopen()

    asyncio.run(main())


def test_ray_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence that says what to install."""
    monkeypatch.setitem(sys.modules, "ray", None)

    with pytest.raises(RuntimeError, match=r"pip install polyloop\[ray\]"):
        LoopPool(1, backend="ray")


NO_POLYLOOP = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name == "polyloop":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""


def test_polyloop_is_not_installed_there(tmp_path: Path) -> None:
    """One sentence that says what to do."""
    (tmp_path / "sitecustomize.py").write_text(NO_POLYLOOP)
    environment = {"env_vars": {"PYTHONPATH": str(tmp_path)}}
    pool = LoopPool(1, backend=Cluster(runtime_env=environment))

    with pytest.raises(
        StartupError, match=r"this polyloop is not installed where .* is to be: install polyloop=="
    ):
        pool.open()


def test_another_polyloop_is_installed_there(tmp_path: Path) -> None:
    """One sentence that names both, and says what to do."""
    shutil.copytree(Path(polyloop.__file__).parent, tmp_path / "polyloop")
    (tmp_path / "polyloop/_version.py").write_text('__version__ = "0.0.1"')
    environment = {"env_vars": {"PYTHONPATH": str(tmp_path)}}
    pool = LoopPool(1, backend=Cluster(runtime_env=environment))

    here = f"polyloop {polyloop.__version__}"
    with pytest.raises(
        StartupError, match=f"would be polyloop 0.0.1 on .*, and this is {here} on .*: install"
    ):
        pool.open()


CONNECTING = """
import sys
import polyloop
from polyloop.ray import Cluster

try:
    polyloop.LoopPool(1, backend=Cluster(address=sys.argv[1], patience=float(sys.argv[2]))).open()
except polyloop.StartupError as error:
    print(error.__cause__)
"""


def test_there_is_no_cluster(tmp_path: Path) -> None:
    """It is said at once, and what to do; Ray itself would go on trying for minutes."""
    script = tmp_path / "script.py"
    script.write_text(CONNECTING)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"

    ended = run_python(script, address, "1000", limit=STARTING)

    assert ended.output.startswith(f"no Ray cluster answers at {address}: [Errno 111]"), ended.errors
    assert ended.output.count("\n") == 1


def test_no_cluster_answers(tmp_path: Path) -> None:
    """Something else may be there: it is waited for as long as that may take."""
    script = tmp_path / "script.py"
    script.write_text(CONNECTING)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        ended = run_python(script, address, "0.5", limit=STARTING)

    assert ended.output == f"no Ray cluster has answered at {address} so far\n", ended.errors


def test_the_cluster_is_another_ray(tmp_path: Path, ray_cluster: Any) -> None:
    """One sentence that names both."""
    script = tmp_path / "script.py"
    script.write_text(f"import ray; ray.__version__ = '2.0.0'\n{CONNECTING}")

    ended = run_python(script, ray_cluster.address, "60", limit=STARTING)

    where = f"no Ray cluster could be used at {ray_cluster.address}: Version mismatch: "
    assert ended.output.startswith(where), ended.errors
    assert "Ray: 2.0.0" in ended.output
    assert ended.output.count("\n") == 1


PROGRAM = """
import polyloop
from polyloop.ray import Cluster

FACTOR = 3

async def times(number):
    return FACTOR * number

with polyloop.LoopPool(1, backend=Cluster(address="local")) as pool:
    print(sum(pool.map(times, range(10))))
"""


@pytest.mark.timeout(120)
def test_the_functions_of_a_program_cross(tmp_path: Path) -> None:
    """Nodes need not have the program, so it needs no main guard. It has a cluster of its own, which goes."""
    script = tmp_path / "script.py"
    script.write_text(PROGRAM)

    ended = run_python(script, limit=STARTING)

    assert (ended.status, ended.output) == (0, "135\n"), ended.errors


@pytest.mark.timeout(120)
def test_ray_is_shut_down_before_the_pool(tmp_path: Path) -> None:
    """Then its workers are gone, and closing does not start a cluster anew."""
    script = tmp_path / "script.py"
    script.write_text(f"{PROGRAM}    import ray; ray.shutdown()\nprint(ray.is_initialized())\n")

    ended = run_python(script, limit=STARTING)

    assert (ended.status, ended.output) == (0, "135\nFalse\n"), ended.errors


AFTER_A_SHUTDOWN = """
import ray
from polyloop._ray_calls import RayCalls
from polyloop._ray_worker import Host

ray.init(address="local", include_dashboard=False)
calls = RayCalls(ray)
actor = calls.create(Host, {"down": 1, "up": 1}, {"num_cpus": 0})
word = calls.method(actor, "word", "up")
ref = calls.method(actor, "ready")()
calls.get(ref)
ray.shutdown()
for call in (
    word,
    calls.free,
    lambda: calls.get(ref),
    lambda: calls.wait([ref]),
    lambda: calls.kill(actor),
    lambda: calls.create(Host, {"down": 1, "up": 1}, {"num_cpus": 0}),
):
    try:
        call()
    except Exception:
        print(ray.is_initialized())
"""


@pytest.mark.timeout(120)
def test_no_call_of_a_link_connects_anew(tmp_path: Path) -> None:
    """A thread that has not heard of the shutdown gets an error, and the program is left as it is."""
    script = tmp_path / "script.py"
    script.write_text(AFTER_A_SHUTDOWN)

    ended = run_python(script, limit=STARTING)

    assert (ended.status, ended.output) == (0, 6 * "False\n"), ended.errors


def test_a_task_that_blocks_its_loop_ends_with_its_actor() -> None:
    """Closing does not wait for it longer than the grace; Ray's own loop is not what it blocks."""
    began = Flag()

    async def block() -> None:
        began.set()
        threading.Event().wait()

    with LoopPool(1, backend="ray", grace=0.5) as pool:
        future = pool.submit(block)
        began.block()
        pool.close(drain=0)
    assert future.exception(0) is not None
