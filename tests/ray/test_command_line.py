"""The command line on a Ray cluster: jobs outlive a node, modules get there, and what is told if not.

It runs in the process of the tests, which is connected to their cluster, but for one command that starts a
cluster of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from polyloop.cli import main
from polyloop.cli._crawl import Visit, crawl
from polyloop.cli._ray_choice import ray_choice
from polyloop.cli._server import pages_server
from polyloop.cli._tally import Tally
from polyloop.ray import Cluster
from tests._gate import PATIENCE
from tests.ray._cluster import CPUS, ROOT

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

ON_RAY = ["--backend", "ray"]
LINES = 20_000
PAGES = 1000
MISSING = 404
"""The page that the demo's web server does not have."""


@pytest.fixture(scope="module")
def second_node(ray_cluster: Any) -> Iterator[None]:
    """A node beside the head."""
    node = ray_cluster.add_node(num_cpus=2)
    yield
    ray_cluster.remove_node(node)


@pytest.fixture
def third_node(ray_cluster: Any, second_node: None) -> Iterator[Any]:
    """A node beside the head and another one, to be taken away in the middle of something."""
    node = ray_cluster.add_node(num_cpus=2)
    ray_cluster.wait_for_nodes()
    yield node
    if node in ray_cluster.list_all_nodes():
        ray_cluster.remove_node(node)


def pages(address: str) -> list[str]:
    """The pages of the demo's web server."""
    return [f"{address}/page/{number}" for number in range(1, PAGES + 1)]


@contextlib.contextmanager
def dying(ray_cluster: Any, node: Any) -> Generator[threading.Event]:
    """The node dies as soon as the event is set."""
    is_time = threading.Event()

    def kill() -> None:
        is_time.wait()
        ray_cluster.remove_node(node)

    with ThreadPoolExecutor(1) as threads:
        killing = threads.submit(kill)
        try:
            yield is_time
        finally:
            is_time.set()
        killing.result(PATIENCE)


def lines_of(pipe: Path, is_half_done: threading.Event) -> list[str]:
    """What the command writes to a named pipe."""
    lines: list[str] = []
    with pipe.open() as file:
        for line in file:
            lines.append(line)
            if len(lines) == LINES // 2:
                is_half_done.set()
    return lines


@pytest.mark.timeout(120)
def test_a_map_outlives_a_node(
    tmp_path: Path, ray_cluster: Any, third_node: Any, expected_logs: list[logging.LogRecord]
) -> None:
    """Twenty thousand lines on three nodes, of which one dies when half of the output is there: all are."""
    items, output = tmp_path / "in.txt", tmp_path / "out"
    items.write_text("".join(f"line {number}\n" for number in range(LINES)))
    os.mkfifo(output)

    with ThreadPoolExecutor(1) as threads, dying(ray_cluster, third_node) as is_half_done:
        reading = threads.submit(lines_of, output, is_half_done)
        options = ["--loops", "3", "--limit", "100", "--resubmits", "3"]
        status = main(["map", "tests.ray._where:where", str(items), "-o", str(output), *ON_RAY, *options])
        records = [json.loads(line) for line in reading.result(PATIENCE)]

    assert status == 0
    assert [record["index"] for record in records] == list(range(LINES))
    assert [record["result"][0] for record in records] == [f"line {number}" for number in range(LINES)]
    assert len({record["result"][1] for record in records}) == 3
    assert third_node.node_id in {record["result"][1] for record in records[: LINES // 2]}
    assert third_node.node_id not in {record["result"][1] for record in records[-1000:]}
    assert any("was lost" in record.getMessage() for record in expected_logs)


@pytest.mark.timeout(120)
@pytest.mark.usefixtures("expected_logs")
def test_a_crawl_outlives_a_node(ray_cluster: Any, third_node: Any) -> None:
    """The demo's crawl on three nodes, of which one dies when half of the pages are there: all are."""

    def half(address: str, is_half_done: threading.Event) -> Iterator[str]:
        for number, url in enumerate(pages(address)):
            if number == PAGES // 2:
                is_half_done.set()
            yield url

    with pages_server() as address, dying(ray_cluster, third_node) as is_half_done:
        urls = half(address, is_half_done)
        outcomes, statistics = asyncio.run(crawl(urls, 3, Cluster(spread=True), Tally()))

    assert [url for url, _ in outcomes] == pages(address)
    missing = [url for url, outcome in outcomes if not isinstance(outcome, Visit)]
    assert missing == [f"{address}/page/{MISSING}"]
    assert sorted(worker.generation for worker in statistics.workers) == [0, 0, 1]


def test_the_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both of its parts run there."""
    folder = tmp_path / "demo"

    status = main(["demo", *ON_RAY, "--loops", "1", "--pages", "50", "--folder", str(folder)])

    assert status == 0, capsys.readouterr().err
    assert len((folder / "results.jsonl").read_text().splitlines()) == 50


PROGRAM = """
from neighbour import GREETING

async def greet(name):
    print("printed there")
    return f"{GREETING} {name}"
"""


@pytest.mark.timeout(120)
def test_modules_of_the_folder_are_sent_along(tmp_path: Path) -> None:
    """The target's module and what it imports from there; what it prints is not among the results."""
    (tmp_path / "app" / "neighbour").mkdir(parents=True)
    (tmp_path / "app" / "greeter.py").write_text(PROGRAM)
    (tmp_path / "app" / "neighbour" / "__init__.py").write_text("GREETING = 'hello'\n")

    command = [sys.executable, "-m", "polyloop", "map", "greeter:greet", "--app-dir", "app"]
    done = subprocess.run(
        [*command, *ON_RAY, "--address", "local", "--loops", "1"],
        cwd=tmp_path,
        input=b"Ada\nBob\n",
        capture_output=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        timeout=100,
        check=False,
    )

    assert done.returncode == 0, done.stderr.decode()
    assert [json.loads(line)["result"] for line in done.stdout.splitlines()] == ["hello Ada", "hello Bob"]


def test_a_module_that_the_nodes_do_not_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong usage, told in a sentence before anything is begun; the output has what it had."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "only_here", raising=False)
    (tmp_path / "only_here.py").write_text("async def same(item): return item\n")
    items, output = tmp_path / "in.txt", tmp_path / "out.jsonl"
    items.write_text("a\n")
    output.write_text("kept")

    # As this program is connected already, nothing is sent along.
    command = ["map", "only_here:same", str(items), "--app-dir", str(tmp_path), "-o", str(output)]
    status = main([*command, *ON_RAY, "--loops", "1"])

    assert status == 2
    assert output.read_text() == "kept"
    [line] = capsys.readouterr().err.splitlines()
    assert "cannot import only_here:same: ModuleNotFoundError: No module named 'only_here'" in line


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address at which nobody listens, for as long as the test lasts."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{sock.getsockname()[1]}"


def test_there_is_no_cluster(nobody: str) -> None:
    """Wrong usage, told in a sentence at once, and not in the two minutes that Ray takes."""
    # A program of its own, for this one is connected.
    command = [
        sys.executable,
        "-m",
        "polyloop",
        "map",
        "tests.ray._where:where",
        *ON_RAY,
        "--address",
        nobody,
    ]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith(f"polyloop: no Ray cluster answers at {nobody}: [Errno ")


@pytest.mark.usefixtures("second_node")
def test_doctor_sees_the_cluster(ray_cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the one that RAY_ADDRESS names it says how large it is."""
    monkeypatch.setenv("RAY_ADDRESS", ray_cluster.address)

    is_usable, remark = ray_choice()

    assert is_usable, remark
    assert remark.endswith(f"RAY_ADDRESS={ray_cluster.address}: 2 nodes with {CPUS + 2} CPUs")


def test_doctor_sees_no_cluster(nobody: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none is named, or nobody is there, it says so; and it starts none."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert ray_choice()[0]
    monkeypatch.setenv("RAY_ADDRESS", "local")
    assert ray_choice()[0]
    monkeypatch.setenv("RAY_ADDRESS", nobody)

    is_usable, remark = ray_choice()

    assert not is_usable
    assert f"RAY_ADDRESS={nobody}: no Ray cluster answers at {nobody}: [Errno" in remark


def test_doctor_refuses_an_address_of_rays_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which a pool would refuse, in the same words."""
    monkeypatch.setenv("RAY_ADDRESS", "ray://127.0.0.1:10001")

    is_usable, remark = ray_choice()

    assert not is_usable
    assert "; RAY_ADDRESS='ray://127.0.0.1:10001' is not auto, local or the HOST:PORT" in remark


def test_doctor_does_not_wait_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody is there who takes connections and says nothing: it gives up."""
    monkeypatch.setattr("polyloop.cli._ray_choice.PATIENCE", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{server.getsockname()[1]}")

        is_usable, remark = ray_choice()

    assert not is_usable
    assert remark.endswith("it did not answer within 1 s")
