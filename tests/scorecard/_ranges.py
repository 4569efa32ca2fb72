"""Makes one line of the same figure on many Pythons: where its numbers differ, the smallest and the greatest.

A figure is a sentence with numbers in it, ``cancelled: 3 of 20 in 0.5 s``. Two are the same but for their
numbers. What stands before the first colon says what it is a figure of.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

__all__ = ["Measured", "merged"]

_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:,\d{3})*(?:\.\d+)?(?!\w)")
_ALL = re.compile(rf"({_NUMBER.pattern}) of \1(?![\w,.]*\d)")
# So many lines that say the same of different things become one.
_MANY = 8


class Measured(NamedTuple):
    """A figure of one Python."""

    python: str
    figure: str


class _Sentence:
    """All figures that differ in their numbers only."""

    def __init__(self, text: str) -> None:
        self.label, _, self.rest = text.rpartition(": ") if text.count(": ") == 1 else ("", "", text)
        self.numbers: list[list[str]] = []
        self.pythons: set[str] = set()

    def line(self, pythons: Sequence[str]) -> str:
        """As a line, which says if some of the Pythons have no part in it."""
        text = f"{self.label}: {self.rest}" if self.label else self.rest
        ranges = iter([_range(column) for column in zip(*self.numbers, strict=True)])
        return _NUMBER.sub(lambda _: next(ranges), text) + self._where(pythons)

    def _where(self, pythons: Sequence[str]) -> str:
        has = [python for python in pythons if python in self.pythons]
        lacks = [python for python in pythons if python not in self.pythons]
        if not lacks:
            return ""
        return f" (not on {', '.join(lacks)})" if len(lacks) < len(has) else f" (on {', '.join(has)})"


def merged(found: Iterable[Measured], pythons: Sequence[str]) -> list[str]:
    """The lines for these figures, in the order of their first appearance.

    Args:
        found: The figures.
        pythons: All that might have a part in them.
    """
    sentences: dict[str, _Sentence] = {}
    for python, each in found:
        # So that one that is not all has a line of its own, and is seen.
        figure = _ALL.sub(r"all \1", each)
        sentence = sentences.setdefault(_NUMBER.sub("0", figure), _Sentence(figure))
        sentence.numbers.append(_NUMBER.findall(figure))
        sentence.pythons.add(python)
    alike: dict[str, list[_Sentence]] = {}
    for template, sentence in sentences.items():
        is_labelled = sentence.label and not _NUMBER.search(sentence.label)
        alike.setdefault(_NUMBER.sub("0", sentence.rest) if is_labelled else template, []).append(sentence)
    lines: list[str] = []
    for group in alike.values():
        if len(group) < _MANY:
            lines += [sentence.line(pythons) for sentence in group]
        else:
            lines.append(_together(group).line(pythons))
    return lines


def _together(group: list[_Sentence]) -> _Sentence:
    """One for many that say the same of different things, which are named behind it."""
    whole = _Sentence(group[0].rest)
    whole.numbers = [numbers for sentence in group for numbers in sentence.numbers]
    whole.pythons = {python for sentence in group for python in sentence.pythons}
    whole.rest += f": {'; '.join(sentence.label for sentence in group)}"
    return whole


def _range(numbers: Sequence[str]) -> str:
    least, most = (choose(numbers, key=_value) for choose in (min, max))
    if _value(least) == _value(most):
        return least
    return f"{least} to {most}"


def _value(number: str) -> float:
    return float(number.replace(",", ""))
