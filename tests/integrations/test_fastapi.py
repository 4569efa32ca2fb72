"""The FastAPI app of the how-to guide, on a real uvicorn server, with real requests."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn

from tests._gate import PATIENCE, Gate
from tests.integrations._pages import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = "how-to/fastapi.md"
PATHS = ["/reports/3", "/long-reports/3"]


@contextlib.contextmanager
def served(page: Any) -> Iterator[httpx.Client]:
    """Serve the page's app on a loop in a thread; yields a client of it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        host, port = listening.getsockname()
        # Whatever a test has to wait for is over long before it leaves this block.
        config = uvicorn.Config(page.app, lifespan="on", log_config=None, timeout_graceful_shutdown=20)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])), name="uvicorn")
        thread.start()
        try:
            with httpx.Client(base_url=f"http://{host}:{port}", timeout=PATIENCE, trust_env=False) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


def request_by_hand(client: httpx.Client, path: str) -> socket.socket:
    """Send a request, and let the test do what it likes with the connection."""
    connection = socket.create_connection((client.base_url.host, client.base_url.port))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return connection


@pytest.mark.parametrize("path", PATHS)
def test_the_app_answers(tmp_path: Path, path: str) -> None:
    """A request is answered with what the pool's loops have made of it."""
    with served(load(PAGE, 0, tmp_path, timeout=f"{PATIENCE}")) as client:
        response = client.get(path)

    assert response.status_code == 200
    assert response.json() == {"report": sum(range(3000))}


@pytest.mark.parametrize("path", PATHS)
def test_slow_work_does_not_hold_up_other_requests(tmp_path: Path, path: str) -> None:
    """While work blocks its loop, and with it everything there, the server answers what comes in."""
    page = load(PAGE, 0, tmp_path, timeout=f"{PATIENCE}")
    started, released = threading.Event(), threading.Event()

    async def block(number: int) -> dict[str, int]:
        started.set()
        assert released.wait(PATIENCE)
        return {"report": number}

    async def release() -> str:
        released.set()
        return threading.current_thread().name

    page.make_report = block
    page.app.get("/release")(release)  # answered on the server's own loop
    with served(page) as client, request_by_hand(client, path) as slow:
        assert started.wait(PATIENCE)
        assert client.get("/release").json() == "uvicorn"

        assert slow.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("path", PATHS)
def test_a_request_that_takes_too_long_is_answered(tmp_path: Path, path: str) -> None:
    """At the deadline the task is cancelled on its loop, cleans up, and the client gets status 504."""
    page = load(PAGE, 0, tmp_path, timeout="0.05")
    gate = Gate()
    page.make_report = gate.passage

    with served(page) as client:
        response = client.get(path)

    assert response.status_code == 504


def test_a_client_that_goes_away_cancels_its_work(tmp_path: Path) -> None:
    """The task of a request whose connection is closed is cancelled, and its clean-up runs."""
    page = load(PAGE, 0, tmp_path, timeout=f"{PATIENCE}")
    started, cleaned = threading.Event(), threading.Event()

    async def stay(number: int) -> Any:
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    page.make_report = stay
    with served(page) as client:
        connection = request_by_hand(client, "/long-reports/3")
        assert started.wait(PATIENCE)
        connection.close()

        assert cleaned.wait(PATIENCE)


def test_an_error_of_the_work_is_an_error_of_the_request(tmp_path: Path) -> None:
    """What the work raises on its loop is the request's own error, as FastAPI knows it."""
    page = load(PAGE, 0, tmp_path, timeout=f"{PATIENCE}")

    async def refuse(number: int) -> Any:
        raise page.HTTPException(418, f"no report {number}")

    page.make_report = refuse
    with served(page) as client:
        answers = [client.get(path) for path in PATHS]

    assert [(answer.status_code, answer.json()) for answer in answers] == [
        (418, {"detail": "no report 3"})
    ] * 2
