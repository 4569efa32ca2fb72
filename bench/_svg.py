"""Plots of powers of ten against powers of ten, as SVG: dots for what was measured, lines for a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from math import ceil, floor, log10

__all__ = ["Dots", "Line", "Panel", "plot"]

WIDTH, HEIGHT = 400, 320
# Around a panel: left, top, right, bottom.
LEFT, TOP, RIGHT, BOTTOM = 62, 34, 14, 46
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")  # told apart by everybody: Okabe and Ito, 2008

Where = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """Points that are joined; those of one name have one colour."""

    name: str
    points: Sequence[Where]
    is_dashed: bool = False


@dataclass(frozen=True, slots=True)
class Dots:
    """Points with, from top to bottom, what each was at most, in the middle, and at least."""

    name: str
    points: Sequence[tuple[float, tuple[float, float, float]]]


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot of several."""

    title: str
    lines: Sequence[Line] = ()
    dots: Sequence[Dots] = field(default=())


def plot(panels: Sequence[Panel], across: str, up: str) -> str:
    """The panels side by side, with the same axes, which are called that."""
    names = [dots.name for panel in panels for dots in panel.dots]
    names += [line.name for panel in panels for line in panel.lines]
    colours = {name: COLOURS[at % len(COLOURS)] for at, name in enumerate(dict.fromkeys(names))}
    points = [where for panel in panels for where in _points(panel)]
    axes = tuple(_decades([where[axis] for where in points]) for axis in (0, 1))
    width = WIDTH * len(panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" font-family="sans-serif">',
        f'<rect width="{width}" height="{HEIGHT}" fill="white"/>',
    ]
    for at, panel in enumerate(panels):
        parts += [f'<g transform="translate({at * WIDTH} 0)">', *_panel(panel, axes, colours)]
        parts += [_text(WIDTH / 2, HEIGHT - 8, across), _text(14, HEIGHT / 2, up, turned=True), "</g>"]
    return "\n".join([*parts, "</svg>", ""])


def _points(panel: Panel) -> Iterator[Where]:
    for line in panel.lines:
        yield from line.points
    for dots in panel.dots:
        yield from ((x, y) for x, ys in dots.points for y in ys)


def _decades(values: Sequence[float]) -> tuple[int, int]:
    return floor(log10(min(values))), ceil(log10(max(values)))


def _panel(panel: Panel, axes: tuple[tuple[int, int], ...], colours: dict[str, str]) -> Iterator[str]:
    (first, last), (least, most) = axes

    def at(x: float, y: float) -> Where:
        across = (log10(x) - first) / (last - first) * (WIDTH - LEFT - RIGHT)
        up = (log10(y) - least) / (most - least) * (HEIGHT - TOP - BOTTOM)
        return round(LEFT + across, 1), round(HEIGHT - BOTTOM - up, 1)

    yield _text(WIDTH / 2, 18, panel.title, size=13)
    for power in range(first, last + 1):
        x, _ = at(10**power, 10**least)
        yield f'<path d="M{x} {TOP}V{HEIGHT - BOTTOM}" stroke="#ddd"/>'
        yield _text(x, HEIGHT - BOTTOM + 16, f"{10**power:,}")
    for power in range(least, most + 1):
        _, y = at(10**first, 10**power)
        yield f'<path d="M{LEFT} {y}H{WIDTH - RIGHT}" stroke="#ddd"/>'
        yield _text(LEFT - 5, y + 4, f"{10**power:,}", anchor="end")
    for line in panel.lines:
        path = "L".join(f"{x} {y}" for x, y in (at(*where) for where in line.points))
        dash = ' stroke-dasharray="5 4"' if line.is_dashed else ""
        yield f'<path d="M{path}" fill="none" stroke="{colours[line.name]}"{dash}/>'
    for dots in panel.dots:
        for x, ys in dots.points:
            (across, top), (_, middle), (_, low) = (at(x, y) for y in ys)
            yield f'<path d="M{across} {top}V{low}" stroke="{colours[dots.name]}"/>'
            yield f'<circle cx="{across}" cy="{middle}" r="3" fill="{colours[dots.name]}"/>'
    for number, (name, colour) in enumerate(colours.items()):
        yield _text(LEFT + 8, TOP + 14 + 14 * number, name, anchor="start", colour=colour)


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 11,
    anchor: str = "middle",
    colour: str = "#333",
    turned: bool = False,
) -> str:
    turn = f' transform="rotate(-90 {x} {y})"' if turned else ""
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" fill="{colour}"{turn}>'
        f"{escape(text)}</text>"
    )
