"""Every link inside the README and the documentation leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.test_docs import PAGES, ROOT

LINK = re.compile(r"\]\((?!https?://)(?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")
HEADING = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)


def broken_links(page: Path) -> list[str]:
    """The links of a page whose file, or whose heading in it, does not exist."""
    broken: list[str] = []
    for link in LINK.finditer(page.read_text("utf-8")):
        target = (page.parent / link["path"]).resolve() if link["path"] else page
        if not target.exists() or (link["anchor"] and link["anchor"] not in anchors(target)):
            broken.append(link.group())
    return broken


def anchors(page: Path) -> set[str]:
    """The names that headings get: small letters, no punctuation, hyphens for spaces."""
    return {
        re.sub(r"[^\w\- ]", "", heading["title"].lower()).replace(" ", "-")
        for heading in HEADING.finditer(page.read_text("utf-8"))
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """A reader who follows a link inside the project finds what it promises."""
    assert broken_links(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    """A missing file and a missing heading are both told; what exists is not."""
    page = tmp_path / "page.md"
    page.write_text("# One two\n[a](#one-two) [b](#three) [c](gone.md) [d](page.md#one-two)\n", "utf-8")

    assert broken_links(page) == ["](#three)", "](gone.md)"]
