"""A folder with functions to run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

JOBS = '''
import asyncio, functools, signal, sys, threading, time

async def same(item): return item
async def fails(item): raise ValueError(f"no {item}")
async def odd_fails(item):
    if int(item) % 2:
        raise ValueError(f"{item} is odd")
    return int(item)
async def thread(item):
    await asyncio.sleep(0.01)
    return threading.current_thread().name
async def keywords(name, price, currency="EUR"): return f"{name}: {price} {currency}"
async def backwards(item):
    """The later items come first."""
    await asyncio.sleep(0.3 - 0.1 * int(item))
    return item
async def spoils(item):
    item["spoilt"] = True
    return None
async def group(item):
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fails(item))
async def leaves(item): sys.exit(3)
async def result(item):
    return {
        "bytes": b"text", "image": b"\\xff\\xd8", "set": {1}, "nan": float("nan"), "umlaut": "\\u00e4\\u2028",
        "surrogate": "\\ud800", "keys": {(1, 2): 3}, "tuple": (1, 2),
    }[item]

async def waits(item):
    """An item is the seconds it takes; says when it begins."""
    sys.stderr.write(f"begun {item}\\n")  # one write: print() makes several, and loops would mix them
    await asyncio.sleep(float(item))
    return item
async def blocks(item):
    sys.stderr.write(f"begun {item}\\n")
    time.sleep(60)
async def resists(item):
    sys.stderr.write(f"begun {item}\\n")
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            print("resisted", file=sys.stderr, flush=True)
async def big(item): return "x" * 100_000

def plain(item): return item
async def generator(item): yield item
class Client:
    async def fetch(self, item): return f"fetched {item}"
client = Client()
bound = functools.partial(keywords, currency="USD")
number = 3
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory in which `jobs.py` lies."""
    (tmp_path / "jobs.py").write_text(JOBS)
    return tmp_path
