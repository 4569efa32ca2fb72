"""The servers: started once, before the first test that needs them looks at what the process holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.services._servers import postgres_server, redis_server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def postgres() -> Iterator[int]:
    """The port of a PostgreSQL server."""
    with postgres_server() as port:
        yield port


@pytest.fixture(scope="session")
def redis_port() -> Iterator[int]:
    """The port of a Redis server."""
    with redis_server() as port:
        yield port
