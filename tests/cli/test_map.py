"""`polyloop map`: items in, a line of JSON out for each."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import pytest

from ._command import polyloop, records, started

if TYPE_CHECKING:
    from pathlib import Path


def test_each_item_becomes_a_line(folder: Path) -> None:
    """A line of the output has the item's index, the item and its result, in the order of the input."""
    done = polyloop("map", "jobs:backwards", "-", folder=folder, stdin=b"0\n1\n2\n")

    assert done.returncode == 0, done.stderr
    assert records(done.stdout) == [{"index": n, "item": str(n), "result": str(n)} for n in range(3)]
    assert "3 items" in done.stderr
    assert "3 well, 0 failed" in done.stderr


def test_unordered(folder: Path) -> None:
    """With --unordered a line is written as soon as its result is there."""
    done = polyloop("map", "jobs:backwards", "--unordered", folder=folder, stdin=b"0\n1\n2\n")

    assert done.returncode == 0, done.stderr
    assert [record["index"] for record in records(done.stdout)] == [2, 1, 0]


def test_failures(folder: Path) -> None:
    """An item that fails has an error in place of a result, the others go on, and the status is 1."""
    done = polyloop("map", "jobs:odd_fails", folder=folder, stdin=b"0\n1\n2\n")

    assert records(done.stdout) == [
        {"index": 0, "item": "0", "result": 0},
        {"index": 1, "item": "1", "error": {"type": "ValueError", "message": "1 is odd"}},
        {"index": 2, "item": "2", "result": 2},
    ]
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_timeout(folder: Path) -> None:
    """With --timeout an item that takes longer is an item that failed, and the others are not held up."""
    done = polyloop("map", "jobs:waits", "--timeout", "2", "--limit", "1", folder=folder, stdin=b"0\n60\n0\n")

    first, late, last = records(done.stdout)
    assert (first["result"], last["result"]) == ("0", "0")
    assert late["error"]["type"] == "DeadlineExceeded"
    assert "jobs:waits() had a deadline of 2 s" in late["error"]["message"]
    assert done.returncode == 1


DEADLY = """
import os, pathlib, signal

async def once(item):
    if item == "deadly":
        try:
            pathlib.Path("was-here").touch(exist_ok=False)
        except FileExistsError:
            return "survived"
        os.kill(os.getpid(), signal.SIGKILL)
    return item
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs the process backend")
@pytest.mark.parametrize("resubmits", [0, 1])
def test_resubmits(folder: Path, resubmits: int) -> None:
    """An item whose process is lost runs again with --resubmits; without, it has failed as others do."""
    (folder / "deadly.py").write_text(DEADLY)
    (folder / "in.txt").write_text("".join(f"{n}\n" for n in range(50)) + "deadly\n")
    places = ["--backend", "process", "--loops", "2", "--limit", "1", "--resubmits", str(resubmits)]
    done = polyloop("map", "deadly:once", "in.txt", *places, folder=folder)

    *others, last = records(done.stdout)
    assert [record["result"] for record in others] == [str(n) for n in range(50)]
    assert last["item"] == "deadly"
    if resubmits:
        assert last["result"] == "survived"
    else:
        assert last["error"]["type"] == "WorkerLost"
    assert done.returncode == (0 if resubmits else 1)


def test_error_group(folder: Path) -> None:
    """The message of an error group says what is in the group."""
    done = polyloop("map", "jobs:group", folder=folder, stdin=b"7\n")

    assert "ValueError: no 7" in records(done.stdout)[0]["error"]["message"]


def test_exit_in_a_function(folder: Path) -> None:
    """A function that calls sys.exit() fails its own item and ends nothing."""
    done = polyloop("map", "jobs:leaves", folder=folder, stdin=b"1\n2\n")

    assert [record["error"]["type"] for record in records(done.stdout)] == ["SystemExit"] * 2
    assert done.returncode == 1


@pytest.mark.parametrize("loops", [1, 3])
def test_loops(folder: Path, loops: int) -> None:
    """--loops says on how many threads the items run."""
    done = polyloop("map", "jobs:thread", "--loops", str(loops), folder=folder, stdin=b"x\n" * 30)

    assert len({record["result"] for record in records(done.stdout)}) == loops


def test_limit(folder: Path) -> None:
    """--limit bounds how many items run at a time on each loop."""
    script = folder / "counted.py"
    script.write_text(
        "import asyncio\nrunning = 0\n"
        "async def count(item):\n"
        "    global running\n"
        "    running += 1\n"
        "    seen = running\n"
        "    await asyncio.sleep(0.01)\n"
        "    running -= 1\n"
        "    return seen\n"
    )
    done = polyloop("map", "counted:count", "--loops=1", "--limit=4", folder=folder, stdin=b"x\n" * 30)

    assert max(record["result"] for record in records(done.stdout)) == 4


def test_output_file(folder: Path) -> None:
    """-o names the file to write, which is replaced; standard output stays empty."""
    output = folder / "out.jsonl"
    output.write_text("what was there before, and was longer than what comes\n" * 10)
    done = polyloop("map", "jobs:same", "-o", output, folder=folder, stdin=b"a\n")

    assert records(output.read_text()) == [{"index": 0, "item": "a", "result": "a"}]
    assert not done.stdout
    assert str(output) in done.stderr


def test_results_come_while_the_input_is_open(folder: Path) -> None:
    """A result is written when it is there, though the input's writer has more to write some day."""
    with started("map", "jobs:same", folder=folder) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for word in ("one", "two"):
            process.stdin.write(word + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["result"] == word
        process.stdin.close()
        assert process.wait() == 0


RESULTS = [
    ("bytes", {"result": "text"}),
    ("image", {"result": {"base64": "/9g="}}),
    ("tuple", {"result": [1, 2]}),
    ("umlaut", {"result": "\u00e4\u2028"}),
    ("surrogate", {"result": "\ud800"}),
    ("set", {"error": {"type": "TypeError", "message": "set cannot be written as JSON"}}),
]


@pytest.mark.parametrize(("item", "expected"), RESULTS)
def test_results(folder: Path, item: str, expected: dict[str, object]) -> None:
    """Bytes become text or base64; what JSON cannot hold is an error of its item."""
    done = polyloop("map", "jobs:result", folder=folder, stdin=item.encode())

    assert records(done.stdout) == [{"index": 0, "item": item, **expected}]


@pytest.mark.parametrize("item", ["nan", "keys"])
def test_results_that_are_almost_json(folder: Path, item: str) -> None:
    """What Python would write and no other JSON reader understands is an error of its item."""
    done = polyloop("map", "jobs:result", folder=folder, stdin=item.encode())

    assert "error" in records(done.stdout)[0]


def test_item_is_shown_as_it_was(folder: Path) -> None:
    """A function that changes its item does not change what is written as the item."""
    (folder / "in.jsonl").write_text('{"a": 1}\n')
    done = polyloop("map", "jobs:spoils", "in.jsonl", folder=folder)

    assert records(done.stdout)[0]["item"] == {"a": 1}


def test_broken_pipe(folder: Path) -> None:
    """When nobody reads the output any more, the command ends without a word."""
    (folder / "in.txt").write_text("x\n" * 100_000)
    with started("map", "jobs:same", "in.txt", folder=folder) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()

        assert process.wait() == 141
        assert not process.stderr.read()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")  # noqa: PTH110
def test_full_disk(folder: Path) -> None:
    """An output that cannot be written any more ends the job with one sentence and status 2."""
    done = polyloop("map", "jobs:same", "-o", "/dev/full", folder=folder, stdin=b"a\n" * 10)

    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "polyloop: cannot write to /dev/full any more: No space left on device"
    )
    assert "Traceback" not in done.stderr


def test_python_m(folder: Path) -> None:
    """`python -m polyloop` is the same command."""
    command = [sys.executable, "-m", "polyloop"]
    done = polyloop("map", "jobs:same", folder=folder, stdin=b"a\n", command=command)

    assert records(done.stdout) == [{"index": 0, "item": "a", "result": "a"}]
