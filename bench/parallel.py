"""Do two loops do more Python work than one?

JSON is written and read between awaits, as a service does that talks JSON. On a build without the GIL two
loops on two cores should do nearly twice as much; under the GIL they cannot, and the figure says so.
"""

from __future__ import annotations

import asyncio
import json
import sys

from bench._measure import Row, in_turns, paired, spread
from polyloop import LoopPool

CALLS = 400
STEPS = 5
RECORDS = 60


def measure(rounds: int) -> list[Row]:
    """Ask the question."""
    with asyncio.Runner() as runner, LoopPool(1) as one, LoopPool(2) as two:
        seconds = in_turns(
            {"2 loops": lambda: runner.run(all_calls(two)), "1 loop": lambda: runner.run(all_calls(one))},
            rounds,
        )
    gil = "with" if getattr(sys, "_is_gil_enabled", lambda: True)() else "without"
    return [
        Row(
            f"JSON between awaits, {gil} the GIL",
            name,
            f"{CALLS / spread(took)[0]:,.0f} calls/s",
            {} if name == "1 loop" else {"1 loop": paired(seconds["1 loop"], took)},
        )
        for name, took in seconds.items()
    ]


async def all_calls(pool: LoopPool) -> None:
    """So many calls at once."""
    await asyncio.gather(*[pool.run(talk_json, number) for number in range(CALLS)])


async def talk_json(number: int) -> int:
    """Write and read JSON, with an await after each step.

    Its data is its own: sharing would measure the sharing.
    """
    length = 0
    for step in range(STEPS):
        document = [
            {"id": number * at, "name": f"record {at}", "tags": ["a", "b", str(step)]}
            for at in range(RECORDS)
        ]
        length += len(json.loads(json.dumps(document)))
        await asyncio.sleep(0)
    return length
