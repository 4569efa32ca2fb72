"""The timeline picture: lanes, bars, and names that may hold anything."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from polyloop.cli._timeline import Bar, timeline_page

SVG = "{http://www.w3.org/2000/svg}"
TIMES = st.floats(min_value=0, max_value=1e6)


def make_bar(lane: int, begin: float, length: float) -> Bar:
    """A bar that does not end before it begins."""
    return Bar(lane, begin, begin + length, "x")


BARS = st.builds(make_bar, st.integers(0, 2), TIMES, TIMES)


def picture(page: str) -> ElementTree.Element:
    """The SVG element of a page, which has to be well-formed."""
    found = re.search(r"<svg.*</svg>", page, re.DOTALL)
    assert found is not None
    return ElementTree.fromstring(found[0])


def test_names_are_escaped() -> None:
    """A name that looks like HTML is shown and not obeyed, wherever it stands."""
    evil = "<script>alert(1)</script>\"'&"
    page = timeline_page(evil, [evil], [Bar(0, 0.0, 1.0, evil)])

    assert "<script" not in page
    label = picture(page).find(f"{SVG}rect/{SVG}title")
    assert label is not None
    assert label.text == f"{evil}: 1000 ms"


def test_nothing_happened() -> None:
    """A picture of no calls at all has its lanes."""
    assert len(picture(timeline_page("none", ["a", "b"], [])).findall(f"{SVG}rect")) == 2


@given(st.lists(BARS, max_size=30))
def test_bars(bars: list[Bar]) -> None:
    """Every bar is drawn inside the picture."""
    page = picture(timeline_page("t", ["a", "b", "c"], bars))
    drawn = [rect for rect in page.findall(f"{SVG}rect") if rect.get("class") == "well"]

    assert len(drawn) == len(bars)
    width, height = float(page.get("width", 0)), float(page.get("height", 0))
    for rect in drawn:
        assert float(rect.get("x", -1)) + float(rect.get("width", 0)) <= width + 1
        assert float(rect.get("y", -1)) + float(rect.get("height", 0)) <= height


def test_overlapping_calls() -> None:
    """Calls that overlap are drawn one below the other; a later one goes where there is room."""
    bars = [Bar(0, 0, 2, "first"), Bar(0, 1, 3, "second"), Bar(0, 2, 4, "third")]
    page = picture(timeline_page("t", ["a"], bars))
    first, second, third = [r.get("y") for r in page.findall(f"{SVG}rect") if r.get("class") == "well"]

    assert first == third
    assert first != second
