"""The Flask and the Django app of the how-to guide on sync faces, on a real server, with real requests."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from polyloop import LoopPool
from tests._gate import PATIENCE
from tests._processes import Program
from tests.integrations import _wsgi
from tests.integrations._pages import save
from tests.integrations._prices import Prices

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = "how-to/sync-facade.md"
BASKET = "/baskets/tea,milk,bread"

both = pytest.mark.parametrize("block", [pytest.param(1, id="flask"), pytest.param(2, id="django")])


@pytest.fixture
def prices(monkeypatch: pytest.MonkeyPatch) -> Iterator[Prices]:
    """The service that the apps ask, on a loop of its own."""
    service = Prices()
    with LoopPool(1, lifespan=service.lifespan):
        monkeypatch.setenv("PRICES", service.url)
        yield service


@contextlib.contextmanager
def served(file: Path, *options: object, workers: int = 1) -> Iterator[list[httpx.Client]]:
    """Serve the file's app; yields a client for each worker. All has to end well, and in silence."""
    program_text = Path(_wsgi.__file__).read_text("utf-8")
    with Program(program_text, file, *options) as program, contextlib.ExitStack() as clients:
        ports = [program.wait_for_line() for _ in range(workers)]
        assert all(ports), program.end().errors
        yield [
            clients.enter_context(
                httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE, trust_env=False)
            )
            for port in ports
        ]
        clients.close()
        ended = program.end()
    assert (ended.errors, ended.status) == ("", 0)


@both
def test_requests_share_one_session(prices: Prices, block: int, tmp_path: Path) -> None:
    """One request after another uses one connection of one session, though each has a thread of its own."""
    save(PAGE, block, shop := tmp_path / "shop.py", timeout=f"{PATIENCE}")

    with served(shop) as [client]:
        totals = [client.get("/baskets/tea", headers={"Connection": "close"}).json() for _ in range(5)]
        assert totals == [{"total": 3}] * 5
        assert len(prices.visitors) == 1

        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(client.get, [BASKET] * 40))
        assert [answer.json() for answer in answers] == [{"total": 9}] * 40

        # What the client raises on its loop is raised in the view.
        answer = client.get("/baskets/tea,gold")
        assert (answer.status_code, answer.text) == (404, "there is no such price")


@both
def test_a_request_ends_at_its_deadline(prices: Prices, block: int, tmp_path: Path) -> None:
    """A service that never answers costs a view no more than the time it has."""
    save(PAGE, block, shop := tmp_path / "shop.py", timeout="0.1")

    with served(shop) as [client]:
        answer = client.get("/baskets/nothing")

    assert (answer.status_code, answer.text) == (504, "the prices did not come in time")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize(
    ("block", "is_warm"),
    [
        pytest.param(1, False, id="flask"),
        pytest.param(1, True, id="flask, warm"),
        pytest.param(2, True, id="django, warm"),
    ],
)
def test_it_works_in_the_workers_of_a_preloading_server(
    prices: Prices, block: int, is_warm: bool, tmp_path: Path
) -> None:
    """Each forked worker has a loop and a session of its own, also when the parent has used the pool."""
    save(PAGE, block, shop := tmp_path / "shop.py", timeout=f"{PATIENCE}")
    warm_up = ["--warm-up", "/baskets/tea"] if is_warm else []

    with served(shop, "--workers", 2, *warm_up, workers=2) as clients:
        answers = [client.get("/baskets/tea") for client in clients * 2]
        visitors = len(prices.visitors)

    assert [answer.json() for answer in answers] == [{"total": 3}] * 4
    assert len({answer.headers["X-Process"] for answer in answers}) == 2
    assert visitors == 2 + is_warm
