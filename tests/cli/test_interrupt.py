"""Ctrl-C and SIGTERM on a `polyloop map` that is in the middle of it."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
from typing import IO, TYPE_CHECKING, Any

import pytest

from polyloop.cli._interrupt import Interrupt
from tests._gate import PATIENCE

from ._command import read_line, records, started

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path


def wait_for(stream: IO[str] | None, text: str) -> str:
    """Read until a line has `text`; returns what came before it."""
    before = ""
    while line := read_line(stream):
        if text in line:
            return before
        before += line
    pytest.fail(f"{text!r} did not come; what came is:\n{before}")


def feed(process: subprocess.Popen[str], *items: str) -> None:
    """Write items, and leave the input open: there may be more some day."""
    assert process.stdin is not None
    process.stdin.write("".join(f"{item}\n" for item in items))
    process.stdin.flush()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_runs_is_finished(folder: Path, number: signal.Signals, status: int) -> None:
    """One signal stops the taking of items; what runs finishes and is written, and the rest is told."""
    with started("map", "jobs:waits", "--loops=1", folder=folder) as process:
        feed(process, "0", "0.5")
        wait_for(process.stderr, "begun 0.5")
        process.send_signal(number)
        wait_for(process.stderr, "no more items are taken")
        output, errors = process.communicate()

    assert [record["result"] for record in records(output)] == ["0", "0.5"]
    assert process.returncode == status
    assert f"stopped by {number.name} after 2 items" in errors
    assert "2 well, 0 failed, 0 given up unfinished" in errors


def test_end_of_the_grace(folder: Path) -> None:
    """What has not finished when the grace is over is given up; what had finished behind it is written."""
    with started("map", "jobs:waits", "--grace=1", folder=folder) as process:
        feed(process, "60")
        wait_for(process.stderr, "begun 60")
        feed(process, "0.1")
        wait_for(process.stderr, "begun 0.1")
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()

    assert [record["index"] for record in records(output)] == [1]
    assert process.returncode == 130
    assert "1 well, 0 failed, 1 given up unfinished" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("function", ["blocks", "resists"])
def test_stubborn_functions(folder: Path, function: str) -> None:
    """A function that blocks its loop, or will not be cancelled, cannot hold the end up."""
    with started("map", f"jobs:{function}", "--grace=0", folder=folder) as process:
        feed(process, "x")
        wait_for(process.stderr, "begun x")
        begin = time.perf_counter()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()
        seconds = time.perf_counter() - begin

    print(f"jobs:{function} was given up after {seconds:.2f} s")
    assert not output
    assert process.returncode == 130
    assert "0 well, 0 failed, 1 given up unfinished" in errors
    assert seconds < 4


def test_what_waits_is_not_begun(folder: Path) -> None:
    """Items that were read and wait for their turn are not begun after an interrupt."""
    with started("map", "jobs:waits", "--loops=1", "--limit=1", folder=folder) as process:
        feed(process, "0.3", "0.31", "0.32")
        wait_for(process.stderr, "begun 0.3")
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()

    assert [record["result"] for record in records(output)] == ["0.3"]
    assert "begun" not in errors


@pytest.mark.parametrize("function", ["waits", "blocks", "resists"])
def test_second_interrupt(folder: Path, function: str) -> None:
    """A second Ctrl-C ends the command at once, whatever its functions do."""
    with started("map", f"jobs:{function}", "--unordered", folder=folder) as process:
        feed(process, "60")
        wait_for(process.stderr, "begun 60")
        process.send_signal(signal.SIGINT)
        wait_for(process.stderr, "no more items are taken")
        begin = time.perf_counter()
        process.send_signal(signal.SIGINT)
        status = process.wait()
        seconds = time.perf_counter() - begin

    print(f"the second Ctrl-C took {seconds * 1000:.0f} ms")
    assert status == 130
    assert seconds < 1


def test_nobody_reads_the_output(folder: Path) -> None:
    """Two interrupts end a command that sits in writing to a pipe which nobody empties."""
    (folder / "in.txt").write_text("x\n" * 1000)
    with started("map", "jobs:big", "in.txt", folder=folder) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == "{"  # it writes now, and the pipe is full before long
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        # Two signals that come together may be taken for one.
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)

        assert process.returncode == 130


def test_what_was_written_is_kept(folder: Path) -> None:
    """An output file has every whole line that was there when a second Ctrl-C came."""
    output = folder / "out.jsonl"
    (folder / "fifo_watch.py").write_text(
        "import asyncio, sys\n"
        "async def work(item):\n"
        "    if item == 'last':\n"
        "        print('begun', file=sys.stderr, flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "    return item\n"
    )
    (folder / "in.txt").write_text("x\n" * 500 + "last\n")
    with started("map", "fifo_watch:work", "in.txt", "-o", output, folder=folder) as process:
        wait_for(process.stderr, "begun")
        wait_for(process.stderr, "500 done")
        process.send_signal(signal.SIGINT)
        wait_for(process.stderr, "no more items are taken")
        process.send_signal(signal.SIGINT)

        assert process.wait() == 130

    assert [json.loads(line)["index"] for line in output.read_text().splitlines()] == list(range(500))


def test_ignored_interrupts(folder: Path) -> None:
    """A command that was started with SIGINT ignored, as in a shell's background, goes on ignoring it."""
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with started("map", "jobs:waits", folder=folder) as process:
            feed(process, "0.2")
            wait_for(process.stderr, "begun")
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate()
    finally:
        signal.signal(signal.SIGINT, previous)

    assert len(records(output)) == 1
    assert process.returncode == 0


def test_a_signal_wakes_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal that another thread gets, and does not interrupt the main one in its sleep, is heard."""
    asleep = threading.Event()

    def press() -> None:
        asleep.wait()
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    async def main(interrupt: Interrupt) -> None:
        heard = asyncio.Event()
        interrupt.on_first = heard.set
        loop: Any = asyncio.get_running_loop()
        selector = loop._selector
        thread = threading.Thread(target=press)

        def select(timeout: float | None) -> Any:
            if timeout:  # whom this wakes goes on when the GIL is let go, which the next call does
                asleep.set()
            return original(timeout)

        with interrupt.waking(loop):
            thread.start()
            original = selector.select
            monkeypatch.setattr(selector, "select", select)
            await asyncio.wait_for(heard.wait(), PATIENCE)
        thread.join()

    with Interrupt() as interrupt:
        asyncio.run(main(interrupt))

    assert interrupt.signal is signal.SIGINT
