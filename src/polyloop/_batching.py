"""How many calls a worker elsewhere begins in one go."""

from __future__ import annotations

__all__ = ["BatchSize"]

# One word tells the pool of so many calls that they begin, at most, and of no more than take so many seconds,
# as far as that can be foreseen. Guesses: each word wakes the pool, and a call that was told of and has not
# begun cannot move any more. Then the loop's timers and sockets have their turn, as with `Mailbox`.
MOST_CALLS = 256
MOST_SECONDS = 0.005


class BatchSize:
    """Learns from how long the calls before have taken.

    Attributes:
        calls: How many are to be begun next.
    """

    def __init__(self) -> None:
        self.calls = 1

    def took(self, calls: int, seconds: float) -> None:
        """So many have begun, in that time."""
        fitting = int(calls * MOST_SECONDS / max(seconds, 1e-6))
        # Not down to nothing at once: it may be that another process had this one's turn.
        self.calls = max(1, self.calls // 4, min(fitting, 2 * self.calls, MOST_CALLS))
