"""Every program of examples/ runs as it stands, and ends well."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests._programs import LIMIT, run_program

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))


def test_there_are_examples() -> None:
    """If none were found, nothing would be checked."""
    assert EXAMPLES


@pytest.mark.timeout(LIMIT + 30)  # the program's own limit is the first to act: it shows the program's stacks
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_example_runs(example: Path, tmp_path: Path) -> None:
    """The example ends with status 0 and without a warning, from any folder."""
    run_program(example, folder=tmp_path)
