"""What may be asked of a Ray cluster: a slip is told before there is any. None of this needs Ray."""

from __future__ import annotations

from typing import Any

import pytest

from polyloop._ray_connection import connect
from polyloop.ray import Cluster


class _NotConnected:
    """A Ray that this program has not used yet."""

    @staticmethod
    def is_initialized() -> bool:
        """It is not."""
        return False


@pytest.mark.parametrize(
    "slip",
    [
        {"address": 6379},
        {"num_cpus": "1"},
        {"num_cpus": True},
        {"memory": 1.5},
        {"resources": ["other"]},
        {"resources": {"other": "1"}},
        {"resources": {1: 1}},
        {"spread": "SPREAD"},
        {"runtime_env": "requirements.txt"},
        {"runtime_env": {1: "pip"}},
        {"patience": "60"},
    ],
)
def test_what_is_of_another_type_is_refused(slip: dict[str, Any]) -> None:
    """And named."""
    (name,) = slip

    with pytest.raises(TypeError, match=name):
        Cluster(**slip)


@pytest.mark.parametrize(
    "slip",
    [
        {"address": "ray://localhost:10001"},
        {"address": "localhost"},
        {"address": ""},
        {"num_cpus": -1},
        {"num_cpus": 1.5},
        {"num_cpus": float("inf")},
        {"memory": 0},
        {"resources": {"other": -1}},
        {"resources": {"other": 1.5}},
        {"resources": {"CPU": 1}},
        {"resources": {"memory": 1}},
        {"resources": {"GPU": 1}},
        {"patience": 0},
    ],
)
def test_what_there_cannot_be_is_refused(slip: dict[str, Any]) -> None:
    """And named."""
    (name,) = slip

    with pytest.raises(ValueError, match=name):
        Cluster(**slip)


@pytest.mark.parametrize("address", [None, "auto"])
def test_an_address_of_the_environment_is_checked_too(
    address: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is what counts; Ray itself would take it, and have no actors for a pool."""
    monkeypatch.setenv("RAY_ADDRESS", "ray://localhost:10001")

    with pytest.raises(ValueError, match=r"^RAY_ADDRESS='ray://localhost:10001' is not "):
        connect(_NotConnected, address, deadline=0)


def test_what_is_asked_for_reaches_ray() -> None:
    """By the names that Ray has for it; what is not asked for does not."""
    asked = Cluster(
        num_cpus=0.5, memory=1 << 30, resources={"other": 2}, spread=True, runtime_env={"pip": []}
    )

    assert asked.options() == {
        "num_cpus": 0.5,
        "memory": 1 << 30,
        "resources": {"other": 2},
        "scheduling_strategy": "SPREAD",
        "runtime_env": {"pip": []},
        "max_restarts": 0,
    }
    assert Cluster().options().keys() == {"num_cpus", "resources", "scheduling_strategy", "max_restarts"}
