"""``python -m bench``: asks the questions and prints one table."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sys
from pathlib import Path
from time import perf_counter

from bench import (
    burst,
    cluster,
    interpreter,
    map,  # noqa: A004 - named after LoopPool.map
    memory,
    options,
    parallel,
    process,
    round_trip,
    scale,
)
from bench._measure import Row, tables

QUESTIONS = {
    module.__name__.rpartition(".")[2]: module.measure
    for module in (burst, round_trip, map, options, memory, parallel, process, interpreter, cluster, scale)
}


def main() -> None:
    """Ask what the command line names; everything if it names nothing."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(QUESTIONS)}")
    parser.add_argument("--rounds", type=int, default=5, help="how often each side runs (default: 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to this file too")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(QUESTIONS))
    if unknown:
        parser.error(f"there is no {unknown[0]}; there are {', '.join(QUESTIONS)}")
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")

    begin = perf_counter()
    rows: list[Row] = []
    for name in options.names or QUESTIONS:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        rows += QUESTIONS[name](options.rounds)
    print(f"{_machine()}; {options.rounds} rounds; median (lowest-highest)\n")
    print(tables(rows))
    print(f"\n{perf_counter() - begin:.0f} s", file=sys.stderr)
    if options.json is not None:
        document = {
            "machine": _machine(),
            "python": _python(),
            "rounds": options.rounds,
            "rows": [dataclasses.asdict(row) for row in rows],
        }
        options.json.write_text(json.dumps(document, indent=2) + "\n", "utf-8")


def _machine() -> str:
    return f"CPython {_python()}, {platform.system()}, {os.cpu_count()} cores"


def _python() -> str:
    """The version, with a t where threads do not share a GIL."""
    return platform.python_version() + ("" if getattr(sys, "_is_gil_enabled", lambda: True)() else "t")


if __name__ == "__main__":
    main()
