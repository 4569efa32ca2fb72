"""`polyloop` with loops in interpreters."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.interpreter._needs import HAS_INTERPRETERS, needs_interpreters

if TYPE_CHECKING:
    from pathlib import Path

JOBS = """
async def double(number):
    return 2 * int(number)
"""


def polyloop(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the command there."""
    pytest.importorskip("typer")
    return subprocess.run(
        [sys.executable, "-m", "polyloop", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


def map_there(folder: Path) -> subprocess.CompletedProcess[str]:
    """Map three numbers in interpreters."""
    (folder / "jobs.py").write_text(JOBS)
    (folder / "numbers.txt").write_text("1\n2\n3\n")
    where = ("--backend", "interpreter", "--loops", "2")
    return polyloop("map", "jobs:double", "numbers.txt", "-o", "-", *where, folder=folder)


@needs_interpreters
def test_map(tmp_path: Path) -> None:
    """`polyloop map --backend interpreter` gives the results."""
    done = map_there(tmp_path)

    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3
    assert all(str(value) in line for value, line in zip((2, 4, 6), done.stdout.splitlines(), strict=True))


@pytest.mark.skipif(HAS_INTERPRETERS, reason="this Python has interpreters")
def test_map_on_an_older_python(tmp_path: Path) -> None:
    """Where there are none, it says so in one sentence, with the status of wrong usage."""
    done = map_there(tmp_path)

    assert done.returncode == 2
    assert "needs CPython 3.14" in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor(tmp_path: Path) -> None:
    """`polyloop doctor` says whether this Python has them."""
    done = polyloop("doctor", folder=tmp_path)

    [line] = [line for line in done.stdout.splitlines() if line.strip().startswith("interpreter")]
    assert ("yes" if HAS_INTERPRETERS else "no") in line.split()
