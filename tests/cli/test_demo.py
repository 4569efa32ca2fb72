"""`polyloop demo`: the experiment, the crawl, and what it leaves."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

from ._command import polyloop, read_line, records, started

if TYPE_CHECKING:
    from pathlib import Path


def test_demo(folder: Path) -> None:
    """Nine one-second calls take about one second, a thousand pages are crawled, and the files are there."""
    done = polyloop("demo", folder=folder)

    assert done.returncode == 0, done.stderr
    print(done.stdout)
    seconds = re.search(r"all 9 in ([\d.]+) s", done.stdout)
    assert seconds is not None
    assert float(seconds[1]) < 1.5
    assert {f"polyloop-{n}" for n in range(3)} <= set(done.stdout.split())
    assert re.search(r"total +│ +1,000 │ +1 │", done.stdout)
    results = records((folder / "polyloop-demo" / "results.jsonl").read_text())
    assert len(results) == 1000
    assert {result["result"]["loop"] for result in results if "result" in result} == {0, 1, 2}
    assert [r["error"]["message"] for r in results if "error" in r] == ["status 404"]
    timeline = (folder / "polyloop-demo" / "timeline.html").read_text()
    assert timeline.count('<rect class="lane"') == 3
    assert timeline.count('<rect class="well"') == 999
    assert timeline.count('<rect class="failed"') == 1


def test_options(folder: Path) -> None:
    """The folder, the number of pages and the number of loops can be chosen."""
    done = polyloop("demo", "--folder", "a/b", "--pages=20", "--loops=2", folder=folder)

    assert len(records((folder / "a" / "b" / "results.jsonl").read_text())) == 20
    assert re.search(r"total +│ +20 │ +0 │", done.stdout)
    assert re.search(r"20 pages in .* s; one after another they would have taken \d s", done.stdout)


def test_interrupt(folder: Path) -> None:
    """Ctrl-C ends the demo, and with it the web server, without a traceback."""
    with started("demo", "--pages=100000", folder=folder) as process:
        assert " done, " in read_line(process.stderr)  # it crawls
        process.send_signal(signal.SIGINT)
        # All pipes are closed only when the server, which has inherited them, has ended too.
        _, errors = process.communicate()

    assert process.returncode == 130
    assert "Traceback" not in errors
