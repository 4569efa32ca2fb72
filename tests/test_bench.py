"""The benchmarks run, and say what they found. What they find is not for a test to judge."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run_module(*arguments: str) -> str:
    """Run a module of the project as the program it is; returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", *arguments],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=50,
    )
    return done.stdout


def test_a_question_is_answered_with_a_table(tmp_path: Path) -> None:
    """One question can be asked alone, and its answer shown beside those of other Pythons."""
    answers = tmp_path / "answers.json"

    printed = run_module("bench", "parallel", "--rounds", "1", "--json", str(answers))
    compared = run_module("bench.versions", str(answers), str(answers))

    assert "| 2 loops |" in printed
    assert "JSON between awaits: 2 loops / 1 loop" in compared


def test_a_question_that_does_not_exist_is_refused() -> None:
    """The command says which questions there are."""
    done = subprocess.run(
        [sys.executable, "-m", "bench", "nonsense"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert "there is no nonsense; there are burst," in done.stderr
