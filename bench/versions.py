"""``python -m bench.versions FILE...``: what several Pythons reached, side by side.

The files are those of ``python -m bench --json FILE``. Only ratios are shown, where there are any: absolute
figures of different runs cannot be compared.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from bench._measure import aligned

__all__: list[str] = []


def main(paths: list[str]) -> None:
    """Print one table with a column for each file."""
    documents = [json.loads(Path(path).read_text("utf-8")) for path in paths]
    ratios = [_ratios(document) for document in documents]
    cases = list(dict.fromkeys(case for column in ratios for case in column))
    head = [
        "case",
        *(
            document["machine"].split(",")[0].removeprefix("CPython ") + _gil(document)
            for document in documents
        ),
    ]
    print(aligned([head, *([case, *(column.get(case, "") for column in ratios)] for case in cases)]))


def _gil(document: dict[str, Any]) -> str:
    return "t" if ", no GIL" in document["machine"] else ""


def _ratios(document: dict[str, Any]) -> dict[str, str]:
    """The middle of each ratio, by what it is the ratio of; and what has a figure and no ratio."""
    column: dict[str, str] = {}
    alone = {row["question"] for row in document["rows"]} - {
        row["question"] for row in document["rows"] if row["ratios"]
    }
    for row in document["rows"]:
        question = row["question"].removesuffix(", with the GIL").removesuffix(", without the GIL")
        for other, (middle, _, _) in row["ratios"].items():
            column[f"{question}: {row['side']} / {other}"] = f"{middle:.2f}"
        if row["question"] in alone:
            column[f"{question}: {row['side']}"] = row["figure"]
    return column


if __name__ == "__main__":
    main(sys.argv[1:])
