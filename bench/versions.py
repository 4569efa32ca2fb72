"""``python -m bench.versions FILE... [--into PAGE]``: what several Pythons reached, side by side.

The files are those of ``python -m bench --json FILE``. Only ratios are shown, where there are any: absolute
figures of different runs cannot be compared. A page gets the table in the place of the one below its line
``<!-- figures -->``, so that nobody types figures.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from bench._measure import aligned

__all__: list[str] = []

# The mark, and whatever table is below it.
PLACE = re.compile(r"<!-- figures -->\n(\n(\|.*\n)*)?")


def main() -> None:
    """Print one table with a column for each file, and put it into pages."""
    parser = argparse.ArgumentParser(prog="python -m bench.versions", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--into", action="append", default=[], type=Path, metavar="PAGE")
    options = parser.parse_args()
    table = versions([json.loads(path.read_text("utf-8")) for path in options.files])
    print(table)
    for page in options.into:
        text = PLACE.sub(lambda _: f"<!-- figures -->\n\n{table}\n", page.read_text("utf-8"))
        page.write_text(text, "utf-8")


def versions(documents: list[dict[str, Any]]) -> str:
    """The table of these answers."""
    columns = [_ratios(document) for document in documents]
    cases = list(dict.fromkeys(case for column in columns for case in column))
    head = ["", *(document["python"] for document in documents)]
    return aligned([head, *([case, *(column.get(case, "") for column in columns)] for case in cases)])


def _ratios(document: dict[str, Any]) -> dict[str, str]:
    """The middle of each ratio, by what it is the ratio of; and what has a figure and no ratio."""
    column: dict[str, str] = {}
    compared = {row["question"] for row in document["rows"] if row["ratios"]}
    for row in document["rows"]:
        question = re.sub(", with(out)? the GIL", "", row["question"])
        for other, (middle, _, _) in row["ratios"].items():
            column[f"{question}: {row['side']} / {other}"] = f"{middle:.2f}"
        if row["question"] not in compared:
            column[f"{question}: {row['side']}"] = row["figure"]
    return column


if __name__ == "__main__":
    main()
