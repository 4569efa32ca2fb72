"""The page of what was measured: is it short, and does it hide nothing?"""

from __future__ import annotations

import json

import pytest

from tests.scorecard.__main__ import page
from tests.scorecard._ranges import Measured, merged

PYTHONS = ["3.11.7", "3.12.1", "3.14.8"]


def on_each(*figures: str) -> list[Measured]:
    """One figure for each Python."""
    return [Measured(*pair) for pair in zip(PYTHONS, figures, strict=False)]


@pytest.mark.parametrize(
    ("figures", "lines"),
    [
        (["in 3 s"] * 3, ["in 3 s"]),
        (["0 of 5, in 1,000 s", "0 of 5, in 3 s", "0 of 5, in 20 s"], ["0 of 5, in 3 to 1,000 s"]),
        (["+0.5 s, p99", "-0.1 s, p99", "+2 s, p99"], ["-0.1 to +2 s, p99"]),
        (
            ["5 of 5 well", "7 of 7 well", "8 of 9 well"],
            ["all 5 to 7 well (not on 3.14.8)", "8 of 9 well (on 3.14.8)"],
        ),
        (["1 of 10 well"] * 3, ["1 of 10 well"]),
        (["here: 1 s", "there: 2 s"], ["here: 1 s (on 3.11.7)", "there: 2 s (on 3.12.1)"]),
    ],
)
def test_figures_of_several_pythons_become_one_line(figures: list[str], lines: list[str]) -> None:
    """With the smallest and the greatest of each number; one that is not like the others stands apart."""
    assert merged(on_each(*figures), PYTHONS) == lines


def test_many_lines_that_say_the_same_become_one() -> None:
    """What they are of is named behind it."""
    found = [
        Measured("3.11.7", f"model {name}: {len(name)} tried, 0 violations")
        for name in ["a", "bb", "ccc"] * 3
    ]
    few = merged(found, ["3.11.7"])
    many = merged(
        [Measured("3.11.7", f"model {chr(97 + n)}: {n} tried, 0 violations") for n in range(9)], ["3.11.7"]
    )

    assert few == [f"model {name}: {len(name)} tried, 0 violations" for name in ("a", "bb", "ccc")]
    assert many == ["0 to 8 tried, 0 violations: " + "; ".join(f"model {chr(97 + n)}" for n in range(9))]


def test_each_item_has_its_place_and_backends_stand_beside_each_other() -> None:
    """Threads first, and what nobody has measured says so."""
    lines = [
        json.dumps({"item": 2, "python": "3.11.7", "backend": backend, "figure": f"{backend} done"})
        for backend in ("process", "thread")
    ]

    sections = page(lines).split("\n## ")

    assert "* **threads**: thread done\n* **processes**: process done\n" in sections[2]
    assert sections[1].endswith("* Not measured.\n")
