"""``python -m tests.scorecard FILE... [--into PAGE]``: the Markdown table of what the tests measured.

The files are those that tests append to when ``POLYLOOP_SCORECARD`` names one; see `tests._scorecard`.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import defaultdict
from pathlib import Path

__all__ = ["table"]

# The mark in a page, and whatever table is below it.
PLACE = re.compile(r"<!-- figures -->\n(\n(\|.*\n)*)?")

# The numbers are those of the project's list of failures, which has more for backends to come.
ITEMS = {
    1: ("submit from 8 threads while the pool closes, 200 rounds", "0 futures unresolved 1 s after"),
    2: (
        "`SystemExit` and its like in a task and in a callback",
        "the caller gets it within 0.1 s, 100 bystanders are well, 0 loops lost",
    ),
    4: (
        "interpreter exit with 1,000 pending tasks, each with a `finally`, in four ways of exit",
        "in 2 s, right status, 99 % of the `finally` blocks run, nothing on stderr",
    ),
    5: (
        "close with tasks that swallow cancellation or block the loop",
        "within the grace + 0.5 s, every future settled, the report names them",
    ),
    6: ("cancel at a random instant, 20,000 times", "0 results lost, 0 that start after all"),
    7: (
        "2,000 timeouts over 2 loops, of tasks that obey, swallow it or block their loop",
        "tasks ended at most 50 ms after expiry (p99), or the error says `still_running`",
    ),
    12: (
        "model check of wake-up, submit/close, settling",
        "all interleavings hold, the 4 seeded bugs are found",
    ),
    13: ("random sequences of the public API", "300 examples of 30 steps, 0 violations"),
    14: (
        "a synchronous wait on a pool's own loop; A→B→A awaited with limit 1; 1,000 parents at the limit",
        "`BlockingCall` within 0.1 s; what is awaited succeeds, 0 hangs",
    ),
    15: (
        "map of 1,000,000 items with a slow consumer or a stuck first item, ordered and not",
        "memory grows by less than 30 MiB; started - delivered within the window",
    ),
    17: (
        "a task that kills its worker, with others in flight beside it",
        "at most 3 workers killed, then `PoisonTask`; the others finish",
    ),
    19: ("errors that nobody collects", "each logged once, with the place it was submitted from"),
    20: ("leak check after every test", "threads, descriptors, children back to what they were"),
    25: ("fork with a live pool", "`ForkedPool` within 0.1 s in the child; the parent unharmed"),
    29: (
        "Ctrl-C once and twice, SIGTERM, at random instants",
        "once: clean end within the grace; twice: within 0.5 s; 0 hangs",
    ),
    30: (
        "submit from a signal handler and from `__del__` in the middle of a submit, 100,000 times",
        "0 deadlocks",
    ),
    32: (
        "no descriptor, no thread, a failing lifespan at start-up, at each k-th",
        "a clear error, everything given back, no hang",
    ),
    33: (
        "async generators, lifespans and context managers at close",
        "closed on the thread of their own loop, all of them",
    ),
    34: (
        "garbage collection all the time, 5,000 calls whose futures are dropped",
        "0 destroyed while pending, 0 `finally` in a foreign thread",
    ),
    35: ("traceback of an error after 1,000 `result()` calls", "at most 10 frames, cause kept"),
    36: ("a timer while 300,000 submissions wait", "99 % less than 20 ms late"),
    39: (
        "context variables, by every way of calling: to the call, back, to the next one, to what a loop owns",
        "as documented, 100 %",
    ),
}


def table(lines: list[str]) -> str:
    """The Markdown table of these JSON lines; an item that nobody measured stays visible as such."""
    figures: defaultdict[tuple[int, str], list[str]] = defaultdict(list)
    for line in lines:
        entry = json.loads(line)
        noted = figures[entry["item"], entry["python"]]
        if entry["figure"] not in noted:
            noted.append(entry["figure"])
    pythons = sorted({python for _, python in figures}, key=_version)
    head = ["#", "what", "to reach", *pythons]
    rows = [
        [str(item), what, aim, *("<br>".join(figures[item, python]) or "not measured" for python in pythons)]
        for item, (what, aim) in ITEMS.items()
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def _version(python: str) -> tuple[list[int], bool]:
    return [int(part) for part in python.removesuffix("t").split(".") if part.isdigit()], python.endswith("t")


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.scorecard", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument(
        "--into", type=Path, metavar="PAGE", help="replace the table below `<!-- figures -->`"
    )
    options = parser.parse_args()
    figures = table([line for path in options.files for line in path.read_text("utf-8").splitlines()])
    print(figures)
    if options.into is not None:
        text = PLACE.sub(lambda _: f"<!-- figures -->\n\n{figures}\n", options.into.read_text("utf-8"))
        options.into.write_text(text, "utf-8")


if __name__ == "__main__":
    _main()
