"""The same program as `recipe_2019.py`, on polyloop: nine calls of one second on three loops.

Nothing here makes a loop or a thread, chooses one, stops it or joins it.
"""

from __future__ import annotations

import asyncio
import threading
from time import perf_counter

from polyloop import LoopPool

LOOPS = 3
CALLS = 9


async def work(number: int) -> str:
    """Take one second, as a slow server would."""
    await asyncio.sleep(1)
    return f"call {number} on {threading.current_thread().name}"


def main() -> None:
    """Run nine calls on three loops and say how long that took."""
    with LoopPool(LOOPS, name="recipe") as pool:
        begin = perf_counter()

        futures = [pool.submit(work, number) for number in range(CALLS)]
        for future in futures:
            print(future.result(timeout=2))

        print(f"{CALLS} seconds of work in {perf_counter() - begin:.1f} s")


if __name__ == "__main__":
    main()
