"""A picture of who did what when: one lane per loop, one bar per call.

It makes text and does nothing else. The page is self-contained: no script, nothing loaded from anywhere.
"""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Bar", "timeline_page"]

WIDTH = 1100
LEFT = 110  # of the lanes: the names stand there
ROW = 5
BAR = 4
GAP = 14  # between two lanes
TOP = 26
MOST_TICKS = 10
SHORTEST = 0.001  # seconds that it shows; calls that took no time at all would have no scale

STYLE = """
body { font: 14px system-ui, sans-serif; margin: 2em; background: #fff; color: #222 }
svg { max-width: 100%; height: auto } text { font-size: 12px; fill: #222 }
.lane { fill: #f2f4f7 } .tick { stroke: #ccd2da; stroke-width: 0.5 }
.well { fill: #2f7ed8 } .failed { fill: #d9372b }
@media (prefers-color-scheme: dark) {
  body { background: #16181c; color: #ddd } text { fill: #ddd } .lane { fill: #22262c }
  .tick { stroke: #4a515b } .well { fill: #5aa2f0 } .failed { fill: #ff6a5e }
}
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One call.

    Attributes:
        lane: The index of the lane.
        begin: In seconds, on any clock that all bars share.
        end: The same.
        name: Shown when the mouse is over it.
        has_failed: Whether it is red.
    """

    lane: int
    begin: float
    end: float
    name: str
    has_failed: bool = False


def timeline_page(title: str, lanes: Sequence[str], bars: Iterable[Bar]) -> str:
    """An HTML page with the picture; names may hold anything.

    Args:
        title: Stands above it.
        lanes: The names of the lanes, by index.
        bars: In any order.
    """
    bars = sorted(bars, key=lambda bar: bar.begin)
    begin = bars[0].begin if bars else 0.0
    length = max([SHORTEST, *(bar.end - begin for bar in bars)])
    scale = (WIDTH - LEFT) / length
    grounds: list[str] = []
    drawn: list[str] = []
    y = TOP
    for index, name in enumerate(lanes):
        own = [bar for bar in bars if bar.lane == index]
        rows = _rows(own)
        height = ROW * max(4, max(rows, default=0) + 1)
        grounds.append(f'<rect class="lane" x="{LEFT}" y="{y}" width="{WIDTH - LEFT}" height="{height}"/>')
        grounds.append(f'<text x="0" y="{y + height / 2 + 4:g}">{html.escape(name)}</text>')
        drawn += [
            _draw(bar, LEFT + (bar.begin - begin) * scale, y + ROW * row, scale)
            for bar, row in zip(own, rows, strict=True)
        ]
        y += height + GAP
    picture = "\n".join([*grounds, *_ticks(length, scale, y - GAP), *drawn])
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style>\n<h1>{html.escape(title)}</h1>\n"
        f'<svg viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" xmlns="http://www.w3.org/2000/svg">\n'
        f"{picture}\n</svg>\n</html>\n"
    )


def _rows(bars: Sequence[Bar]) -> list[int]:
    """A row for each bar, ordered by begin, so that no two of a row overlap: the first that is free."""
    ends: list[float] = []
    rows: list[int] = []
    for bar in bars:
        row = next((row for row, end in enumerate(ends) if end <= bar.begin), len(ends))
        if row == len(ends):
            ends.append(bar.end)
        else:
            ends[row] = bar.end
        rows.append(row)
    return rows


def _draw(bar: Bar, x: float, y: float, scale: float) -> str:
    width = max(1.0, (bar.end - bar.begin) * scale - 0.5)
    kind = "failed" if bar.has_failed else "well"
    label = html.escape(f"{bar.name}: {(bar.end - bar.begin) * 1000:.0f} ms")
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR}" rx="1">'
        f"<title>{label}</title></rect>"
    )


def _ticks(length: float, scale: float, bottom: float) -> list[str]:
    step = _round_up(length / MOST_TICKS)
    lines: list[str] = []
    for number in range(int(length / step) + 1):
        x = LEFT + number * step * scale
        lines.append(f'<line class="tick" x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{bottom}"/>')
        lines.append(f'<text x="{x:.1f}" y="{TOP - 10}">{number * step:g} s</text>')
    return lines


def _round_up(value: float) -> float:
    """The next of ..., 0.1, 0.2, 0.5, 1, 2, 5, 10, ..."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= value)
