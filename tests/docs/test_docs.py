"""Every Python block of the README and of the documentation runs as it stands.

A block is a program of its own. One that cannot run here says why, on the line before it:
``<!-- no-run: reason -->``.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests._programs import LIMIT, run_program

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

FENCE = re.compile(r"\s*(?P<fence>`{3,}|~{3,})\s*(?P<language>\w*)")
NO_RUN = re.compile(r"\s*<!--\s*no-run\b:?(?P<reason>.*?)-->\s*$")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced Python block: its first line of code, the code, and why it is not run (None: it is)."""

    page: str
    line: int
    code: str
    no_run: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def python_blocks(page: str, text: str) -> list[Block]:
    """Find the Python blocks of a Markdown page, in order."""
    lines = text.splitlines()
    blocks: list[Block] = []
    at = 0
    while at < len(lines):
        opening = FENCE.match(lines[at])
        if opening is None:
            at += 1
            continue
        start = at + 1
        at = start
        while at < len(lines) and lines[at].strip() != opening["fence"]:
            at += 1
        if opening["language"] in {"python", "py"}:
            code = textwrap.dedent("\n".join(lines[start:at]) + "\n")
            blocks.append(Block(page, start + 1, code, _no_run_reason(lines[: start - 1])))
        at += 1
    return blocks


def _no_run_reason(lines_before: list[str]) -> str | None:
    # Markdown wants an empty line between a comment and a block in some places, so one is allowed for.
    before = next((line for line in reversed(lines_before[-2:]) if line.strip()), "")
    marker = NO_RUN.match(before)
    return marker["reason"].strip() if marker else None


BLOCKS = [
    block for page in PAGES for block in python_blocks(str(page.relative_to(ROOT)), page.read_text("utf-8"))
]


@pytest.mark.timeout(LIMIT + 30)  # the program's own limit is the first to act: it shows the program's stacks
@pytest.mark.parametrize("block", [block for block in BLOCKS if block.no_run is None], ids=str)
def test_code_in_the_documentation_runs(block: Block, tmp_path: Path) -> None:
    """A reader can paste the block into a file and run it."""
    # Not by the page's bare name: the page on FastAPI would hide the library.
    script = tmp_path / f"page-{Path(block.page).stem}.py"
    # The empty lines make the line numbers of a traceback those of the page.
    script.write_text("\n" * (block.line - 1) + block.code, "utf-8")

    run_program(script, folder=tmp_path)


def test_the_readme_has_code() -> None:
    """The search for blocks finds the README's; if it found nothing, nothing would be checked."""
    assert any(block.page == "README.md" and block.no_run is None for block in BLOCKS)


def test_a_block_that_is_not_run_says_why() -> None:
    """A marker without a reason is refused."""
    assert [str(block) for block in BLOCKS if block.no_run == ""] == []


def test_blocks_are_found_with_their_lines_and_markers() -> None:
    """Only Python is taken, with its line in the page; a marker belongs to the block that follows it."""
    page = textwrap.dedent("""\
        ```python
        first
        ```
        ```console
        $ python
        ```
        <!-- no-run: needs a cluster -->
        ```python
        second
        ```
        - in a list:
          ```py
          if third:
              pass
          ```
        <!-- no-run -->

        ~~~python
        fourth
        ~~~
        """)

    blocks = python_blocks("page.md", page)

    assert blocks == [
        Block("page.md", 2, "first\n", None),
        Block("page.md", 9, "second\n", "needs a cluster"),
        Block("page.md", 13, "if third:\n    pass\n", None),
        Block("page.md", 19, "fourth\n", ""),
    ]
