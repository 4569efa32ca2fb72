"""How long to wait before a lost worker is replaced, and when to give a pool up whose workers keep dying.

It is told of losses, and knows neither a clock nor a worker.
"""

from __future__ import annotations

__all__ = ["FIRST_DELAY", "MAX_FRUITLESS", "Patience"]

# So many replacements in a row may be lost without finishing a call before the pool gives up;
# the wait before each doubles. Guesses: enough to live through a bad minute.
MAX_FRUITLESS = 5
FIRST_DELAY = 0.05


class Patience:
    """Counts the losses in a row after which nothing had got better. Not safe for threads."""

    def __init__(self) -> None:
        self._fruitless = 0
        self._ended = 0

    @property
    def is_over(self) -> bool:
        """Whether to give up."""
        return self._fruitless > MAX_FRUITLESS

    @property
    def delay(self) -> float:
        """Seconds to wait before the next replacement."""
        return FIRST_DELAY * float(2 ** max(0, self._fruitless - 1))

    def lost(self, *, ended_there: int, ended: int, had_started: bool, has_culprit: bool) -> None:
        """A worker is lost.

        Args:
            ended_there: How many tasks have ended on it.
            ended: How many have ended in the whole pool, those of workers before included.
            had_started: Whether it had tasks when it was lost.
            has_culprit: Whether one of them was convicted of it.
        """
        is_progress = ended > self._ended
        self._ended = ended
        # That a call kills its worker does not mean that the next one will not do its work. But a worker
        # that dies before it starts anything is no good, whatever the others do: some calls are for it.
        if ended_there or (had_started and is_progress):
            self._fruitless = 1
        elif not has_culprit:
            self._fruitless += 1

    def failed(self) -> None:
        """A replacement did not come up."""
        self._fruitless += 1

    def served(self) -> None:
        """A worker has done all that it was for."""
        self._fruitless = 0
