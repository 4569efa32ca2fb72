"""One worker as placement sees it: what it was given, and what of that has ended.

It decides nothing: who gets what is told by `Roster`.
"""

from __future__ import annotations

from collections import Counter

__all__ = ["Seat", "Tally"]


class Tally:
    """What a worker has done so far. Its loop counts, everybody may read: it only ever grows."""

    __slots__ = ("cancelled", "ended", "failed", "named", "nested", "pinned")

    def __init__(self) -> None:
        self.named: Counter[str] = Counter()
        """Those that have ended and had a name, by that."""
        self.ended = 0
        """All tasks that have ended."""
        self.nested = 0
        """Those of them that were nested calls."""
        self.pinned = 0
        """Those of them that were pinned; counted where workers have a quota, so not on threads."""
        self.failed = 0
        """Those that raised."""
        self.cancelled = 0
        """Those that were cancelled."""

    def add(self, other: Tally) -> None:
        """Count what `other` has counted too."""
        self.named += other.named.copy()  # one operation, while its worker goes on counting
        self.ended += other.ended
        self.nested += other.nested
        self.pinned += other.pinned
        self.failed += other.failed
        self.cancelled += other.cancelled


class Seat:
    """One worker as placement sees it: how much it was given, and how much of that has ended.

    Nobody tells placement of each task that ends: it looks when it has to choose. Only when
    something waits (`is_wanted`) does a worker have to say that it has room again. One that
    `is_apart` is kept for calls that have to run alone. One that `is_due` is soon to have a
    successor; one that `is_spent` gets nothing more, and only finishes what it has: see `QuotaRoster`, which
    counts what is `pinned`.
    """

    def __init__(self, index: int) -> None:
        self.index = index
        self.tally = Tally()
        self.given = 0
        self.nested = 0
        self.pinned = 0
        self.is_open = False
        self.is_wanted = False
        self.is_choked = False
        self.is_apart = False
        self.is_due = False
        self.is_spent = False

    @property
    def load(self) -> int:
        """How many tasks are in flight here."""
        return self.given - self.tally.ended

    def room(self, limit: int) -> int:
        """How many more it may get; nested calls do not count, for their parents wait."""
        if self.is_choked:
            return 0
        return limit - (self.given - self.tally.ended) + (self.nested - self.tally.nested)

    def has_room(self, limit: int) -> bool:
        """Whether it may get one more."""
        return self.room(limit) > 0
