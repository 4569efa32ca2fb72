"""How everything here is measured: side by side, in turns, and reported as ratios.

Absolute times on a shared machine mean little, so each round runs every side once, one after the other, and
a ratio is taken within its round: a noisy minute hurts all sides alike. What is reported is the median of the
rounds, with the lowest and the highest beside it.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Row", "aligned", "in_turns", "paired", "spread", "tables"]


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


def tables(rows: Sequence[Row]) -> str:
    """A Markdown table for each question, readable as it is."""
    return "\n\n".join(
        f"{question}\n\n{_table(question_rows)}"
        for question in dict.fromkeys(row.question for row in rows)
        if (question_rows := [row for row in rows if row.question == question])
    )


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table of these cells, the first line being its head."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    head, *body = lines
    return "\n".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |"
        for line in [head, ["-" * width for width in widths], *body]
    )


def _table(rows: Sequence[Row]) -> str:
    others = list(dict.fromkeys(name for row in rows for name in row.ratios))
    head = ["side", "median", *(f"ratio to {name}" for name in others)]
    return aligned([head, *([row.side, row.figure, *(_ratio(row, name) for name in others)] for row in rows)])


def _ratio(row: Row, other: str) -> str:
    if other not in row.ratios:
        return ""
    middle, low, high = row.ratios[other]
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"
