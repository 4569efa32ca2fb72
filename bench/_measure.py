"""How everything here is measured: side by side, in turns, and reported as ratios.

Absolute times on a shared machine mean little, so each round runs every side once, one after the other, and a ratio
is taken within its round: a noisy minute hurts all sides alike. What is reported is the median of the rounds, with the
lowest and the highest beside it.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Row", "in_turns", "paired", "spread", "table"]


@dataclass(frozen=True, slots=True)
class Row:
    """One side of one question, as it is reported.

    Attributes:
        question: The module that asked.
        side: Who was measured.
        figure: What it reached, with its unit.
        ratios: How it compares, by the name of the other side; in each: median, lowest, highest.
    """

    question: str
    side: str
    figure: str
    ratios: dict[str, tuple[float, float, float]] = field(default_factory=dict)


def in_turns(sides: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Run every side `rounds` times, in turns, after one round that does not count.

    Returns:
        The seconds that each took, by round.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for at in range(rounds + 1):
        for name, run in sides.items():
            # The garbage of one side is not to be collected at the expense of the next.
            gc.collect()
            begin = perf_counter()
            run()
            if at:
                seconds[name].append(perf_counter() - begin)
    return seconds


def paired(numerators: Sequence[float], denominators: Sequence[float]) -> tuple[float, float, float]:
    """The ratio of two sides, taken within each round: its median, lowest and highest."""
    return spread([above / below for above, below in zip(numerators, denominators, strict=True)])


def spread(samples: Sequence[float]) -> tuple[float, float, float]:
    """The median, the lowest and the highest."""
    return median(samples), min(samples), max(samples)


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table, which is readable as it is."""
    others = list(dict.fromkeys(name for row in rows for name in row.ratios))
    cells = [["case", "side", "median", *(f"against {name}" for name in others)]]
    last = ""
    for row in rows:
        ratios = [_ratio(row.ratios.get(name)) for name in others]
        cells.append(["" if row.question == last else row.question, row.side, row.figure, *ratios])
        last = row.question
    widths = [max(len(line[at]) for line in cells) for at in range(len(cells[0]))]
    cells.insert(1, ["-" * width for width in widths])
    padded = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in cells)
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)


def _ratio(ratio: tuple[float, float, float] | None) -> str:
    if ratio is None:
        return ""
    middle, low, high = ratio
    return f"{middle:.2f}x ({low:.2f}-{high:.2f})"
