"""`polyloop doctor`: what it finds, and what it makes of it."""

from __future__ import annotations

import importlib.util
import platform
import sys
from typing import TYPE_CHECKING

import pytest

from polyloop.cli._doctor import advice
from polyloop.cli._machine import gil, has_wal_reset_bug

from ._command import polyloop

if TYPE_CHECKING:
    from pathlib import Path


def test_doctor(folder: Path) -> None:
    """It names the Python, the GIL, the CPUs, the limits, and what can be used and why not."""
    done = polyloop("doctor", folder=folder)

    assert done.returncode == 0
    assert not done.stderr
    for word in (
        platform.python_version(), "GIL", "CPUs", "open files", "SQLite", "asyncio", "uvloop",
        "thread", "interpreter", "LoopPool() opens",
    ):  # fmt: skip
        assert word in done.stdout


def test_ray(folder: Path) -> None:
    """It says whether Ray is installed, and what to do about it."""
    done = polyloop("doctor", folder=folder)

    [line] = [line for line in done.stdout.splitlines() if line.strip().startswith("ray")]
    if importlib.util.find_spec("ray") is None:
        assert line.strip().split(maxsplit=2)[1:] == ["no", "not installed; pip install 'polyloop[ray]'"]
    else:
        assert line.split()[1] == "yes"


SQLITE = [
    ((3, 6, 23), False),
    ((3, 7, 0), True),
    ((3, 40, 1), True),
    ((3, 44, 5), True),
    ((3, 44, 6), False),
    ((3, 45, 0), True),
    ((3, 50, 6), True),
    ((3, 50, 7), False),
    ((3, 51, 2), True),
    ((3, 51, 3), False),
    ((3, 52, 0), False),
    ((4, 0, 0), False),
]


@pytest.mark.parametrize(("version", "expected"), SQLITE)
def test_sqlite(version: tuple[int, ...], expected: bool) -> None:
    """The bug is in 3.7.0 and later, and mended in 3.44.6, 3.50.7 and 3.51.3."""
    assert has_wal_reset_bug(version) is expected


def test_gil_switched_back_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a free-threaded build whose GIL is on, it says what switched it on."""
    monkeypatch.setattr("polyloop.cli._machine.is_free_threaded", lambda: True)
    monkeypatch.setattr("polyloop.cli._machine.is_gil_enabled", lambda: True)

    monkeypatch.delenv("PYTHON_GIL", raising=False)
    assert "by an extension module" in gil()
    monkeypatch.setenv("PYTHON_GIL", "1")
    assert "by PYTHON_GIL=1" in gil()


def test_few_descriptors() -> None:
    """Where few files may be open, it says how many connections that allows."""
    assert "about 916 connections" in " ".join(advice(2, 1024, has_uvloop=False))
    assert "connections" not in " ".join(advice(2, 20_000, has_uvloop=False))


@pytest.mark.skipif(sys.platform == "win32", reason="needs ulimit")
def test_real_limit(folder: Path) -> None:
    """The limit it names is the one of its own process."""
    command = ["sh", "-c", 'ulimit -n 300; exec "$0" -P -m polyloop "$@"', sys.executable]
    done = polyloop("doctor", folder=folder, command=command)

    assert "at most 300" in done.stdout
