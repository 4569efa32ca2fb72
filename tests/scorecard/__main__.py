"""``python -m tests.scorecard FILE... [--into PAGE]``: what the tests measured, in Markdown.

The files are those that tests append to when ``POLYLOOP_SCORECARD`` names one; see `tests._scorecard`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from tests.scorecard._items import ITEMS
from tests.scorecard._ranges import Measured, merged

__all__ = ["page"]

# In a page: everything between them is replaced.
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"

BACKENDS = {
    "": "",
    "thread": "threads",
    "process": "processes",
    "interpreter": "sub-interpreters",
    "ray": "Ray",
}


def page(lines: list[str]) -> str:
    """The Markdown of these JSON lines; an item that nobody measured stays visible as such."""
    entries: list[dict[str, Any]] = [json.loads(line) for line in lines]
    pythons = sorted({entry["python"] for entry in entries}, key=_version)
    sections = [_section(number, entries, pythons) for number in ITEMS]
    return "\n".join([_measured(entries, pythons), *sections])


def _measured(entries: list[dict[str, Any]], pythons: list[str]) -> str:
    days = sorted({entry["day"] for entry in entries if "day" in entry})
    machines = sorted({entry["machine"] for entry in entries if "machine" in entry})
    when = " to ".join(dict.fromkeys([days[0], days[-1]])) if days else "on an unknown day"
    return (
        f"Measured {when}, {'; '.join(machines) or 'on an unknown machine'}, with CPython "
        f"{', '.join(pythons)} (t: free-threaded). Where these differ, a line has the smallest and the "
        "greatest of their numbers.\n"
    )


def _section(number: int, entries: list[dict[str, Any]], pythons: list[str]) -> str:
    what, aim = ITEMS[number]
    lines = [f"## {number}. {what}", "", f"To reach: {aim}.", ""]
    for backend, name in BACKENDS.items():
        found = [
            Measured(entry["python"], entry["figure"])
            for entry in entries
            if entry["item"] == number and entry.get("backend", "") == backend
        ]
        prefix = f"**{name}**: " if name else ""
        lines += [f"* {prefix}{line}" for line in merged(found, pythons)]
    if not lines[-1]:
        lines.append("* Not measured.")
    return "\n".join([*lines, ""])


def _version(python: str) -> tuple[list[int], bool]:
    return [int(part) for part in python.removesuffix("t").split(".") if part.isdigit()], python.endswith("t")


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.scorecard", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument(
        "--into", type=Path, metavar="PAGE", help="replace what is between the marks for figures"
    )
    options = parser.parse_args()
    figures = page([line for path in options.files for line in path.read_text("utf-8").splitlines()])
    print(figures)
    if options.into is not None:
        head, _, rest = options.into.read_text("utf-8").partition(BEGIN)
        tail = rest.partition(END)[2]
        options.into.write_text(f"{head}{BEGIN}\n{figures}\n{END}{tail}", "utf-8")


if __name__ == "__main__":
    _main()
