"""`polyloop map --key`: items with the same field on the same loop."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ._command import polyloop, records

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [{"user": f"user {number % 7}", "number": str(number)} for number in range(70)]

KEYED = """
import asyncio
import threading

running = {}

async def thread(item):
    await asyncio.sleep(0)
    return threading.current_thread().name

async def count(item):
    running[item["user"]] = running.get(item["user"], 0) + 1
    seen = running[item["user"]]
    await asyncio.sleep(0)
    running[item["user"]] -= 1
    return seen
"""


@pytest.fixture
def keyed(folder: Path) -> Path:
    """A folder with functions and rows to run them over, in both formats that have fields."""
    (folder / "keyed.py").write_text(KEYED)
    (folder / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (folder / "in.csv").write_text(
        "user,number\n" + "".join(f"{row['user']},{row['number']}\n" for row in ROWS)
    )
    return folder


@pytest.mark.parametrize("name", ["in.jsonl", "in.csv"])
def test_items_with_the_same_field_run_on_the_same_loop(keyed: Path, name: str) -> None:
    """--key names a field of a JSON object or of a CSV row."""
    done = polyloop("map", "keyed:thread", name, "--key", "user", "--loops=3", folder=keyed)

    loops = {(record["item"]["user"], record["result"]) for record in records(done.stdout)}
    assert done.returncode == 0, done.stderr
    assert len(records(done.stdout)) == 70
    assert len(loops) == 7


def test_so_many_of_one_key_at_a_time(keyed: Path) -> None:
    """--per-key bounds how many items with the same field run at a time."""
    done = polyloop("map", "keyed:count", "in.jsonl", "--key=user", "--per-key=2", "--loops=2", folder=keyed)

    assert done.returncode == 0, done.stderr
    assert len(records(done.stdout)) == 70
    assert max(record["result"] for record in records(done.stdout)) <= 2


def test_an_item_without_a_key_fails_alone(folder: Path) -> None:
    """No such field, no object, a value that is no key, no JSON: each is told, and the others go on."""
    lines = b'{"user": 1}\n{"name": 2}\n3\n{"user": [4]}\n{\n{"user": null}\n'
    done = polyloop("map", "jobs:same", "--key=user", "--format=jsonl", folder=folder, stdin=lines)

    first, other, number, list_, broken, last = records(done.stdout)
    assert (first["result"], last["result"]) == ({"user": 1}, {"user": None})
    assert other["error"]["message"] == "line 2 has no field 'user', which --key names"
    assert number["error"]["message"] == "line 3 has no field 'user', which --key names"
    assert "key=[4] must be hashable" in list_["error"]["message"]
    assert broken["error"]["message"].startswith("line 5 is not JSON")
    assert done.returncode == 1
