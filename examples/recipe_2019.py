"""Many loops by hand, as the recipe of 2019 has it: three loops, three threads, nine calls of one second.

It needs the standard library alone and takes one second. `recipe_polyloop.py` is the same on polyloop.

What a program in production would have to add: cancelling, closing that neither hangs nor loses a call,
errors that nobody collects, limits, one client per loop, workers that die.
"""

from __future__ import annotations

import asyncio
import threading
from time import perf_counter

LOOPS = 3
CALLS = 9


async def work(number: int) -> str:
    """Take one second, as a slow server would."""
    await asyncio.sleep(1)
    return f"call {number} on {threading.current_thread().name}"


def main() -> None:
    """Run nine calls on three loops and say how long that took."""
    loops = [asyncio.new_event_loop() for _ in range(LOOPS)]
    threads = [
        threading.Thread(target=loop.run_forever, name=f"recipe-{index}") for index, loop in enumerate(loops)
    ]
    for thread in threads:
        thread.start()
    begin = perf_counter()

    futures = [
        asyncio.run_coroutine_threadsafe(work(number), loops[number % LOOPS]) for number in range(CALLS)
    ]
    for future in futures:
        print(future.result(timeout=2))

    print(f"{CALLS} seconds of work in {perf_counter() - begin:.1f} s")
    for loop, thread in zip(loops, threads, strict=True):
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


if __name__ == "__main__":
    main()
