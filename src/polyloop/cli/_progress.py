"""What a user sees while a job runs: a bar on a terminal, a line now and then anywhere else.

All of it goes to standard error; standard output is for results.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, Self

from rich import progress as rich_progress
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from ._tally import Tally

__all__ = ["Progress", "keep_showing", "show_progress"]

BAR_SECONDS = 0.1
LONGEST_PAUSE = 60.0


class Progress(Protocol):
    """Something that shows how far a job has got."""

    def pauses(self) -> Iterator[float]:
        """Seconds between one showing and the next."""
        ...

    def show(self, tally: Tally) -> None:
        """Show it as it is now."""

    def finish(self, tally: Tally) -> None:
        """Show it as it is in the end, if a summary does not say the same."""

    def say(self, message: str) -> None:
        """Tell the user something, without spoiling what is shown."""


@contextmanager
def show_progress(*, wants_bar: bool) -> Generator[Progress]:
    """A bar if it is wanted and standard error is a terminal; otherwise lines."""
    console = Console(stderr=True, highlight=False)
    if not wants_bar or not console.is_terminal or console.is_dumb_terminal:
        yield Lines()
        return
    with Bar(console) as bar:
        yield bar


async def keep_showing(progress: Progress, tally: Tally, refresh: Callable[[], None]) -> None:
    """Show the tally again and again. Cancellation: is how it ends.

    Args:
        progress: Where.
        tally: What.
        refresh: Called before each time, to bring the tally up to date.
    """
    for pause in progress.pauses():
        await asyncio.sleep(pause)
        refresh()
        progress.show(tally)


class Lines:
    """Plain lines, at first soon and then ever more seldom: they may be going to a log."""

    def pauses(self) -> Iterator[float]:
        """1, 2, 4, ... seconds, up to a minute."""
        pause = 1.0
        while True:
            yield pause
            pause = min(2 * pause, LONGEST_PAUSE)

    def show(self, tally: Tally) -> None:
        """Print a line."""
        line = f"{tally.done:,} done, {tally.failed:,} failed, {tally.rate:,.0f}/s"
        if tally.total is not None and tally.done:
            left = max(0.0, tally.total - tally.done) / tally.rate
            line += f", about {left:,.0f} s left"
        self.say(line)

    def finish(self, tally: Tally) -> None:
        """Nothing: the summary is a line too."""

    def say(self, message: str) -> None:
        """Print a line."""
        print("polyloop:", message, file=sys.stderr)


class Bar:
    """A progress bar with rate, failures and time left."""

    def __init__(self, console: Console) -> None:
        self._progress = rich_progress.Progress(
            rich_progress.BarColumn(bar_width=30),
            rich_progress.TextColumn("{task.completed:,.0f} done"),
            rich_progress.TextColumn("{task.fields[failed]:,} failed"),
            _RateColumn(),
            rich_progress.TimeRemainingColumn(),
            rich_progress.TextColumn("left"),
            console=console,
            auto_refresh=False,  # a thread less: whoever has the tally has a loop with timers
            redirect_stdout=False,  # results may be going there
        )
        self._task = self._progress.add_task("", total=None, failed=0)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._progress.stop()

    def pauses(self) -> Iterator[float]:
        """Often enough to look alive."""
        return itertools.repeat(BAR_SECONDS)

    def show(self, tally: Tally) -> None:
        """Draw it."""
        self._progress.update(self._task, completed=tally.done, total=tally.total, failed=tally.failed)
        self._progress.refresh()

    def finish(self, tally: Tally) -> None:
        """Leave it as it is in the end."""
        self.show(tally)

    def say(self, message: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(f"polyloop: {message}", markup=False, soft_wrap=True)


class _RateColumn(rich_progress.ProgressColumn):
    """Items a second, of late."""

    def render(self, task: rich_progress.Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("-/s" if speed is None else f"{speed:,.0f}/s")
