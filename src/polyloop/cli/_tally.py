"""How far a job has got."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

__all__ = ["Tally"]


@dataclass(slots=True)
class Tally:
    """How far a job has got; owned by the loop that counts.

    Attributes:
        total: How many items there are, as far as is known; None is not at all.
        succeeded: How many went well.
        failed: How many did not.
        unfinished: How many were begun and had to be given up.
    """

    total: float | None = None
    succeeded: int = 0
    failed: int = 0
    unfinished: int = 0
    _begin: float = field(default_factory=time.perf_counter)

    @property
    def done(self) -> int:
        """How many items have come out."""
        return self.succeeded + self.failed

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.perf_counter() - self._begin

    @property
    def rate(self) -> float:
        """Items a second."""
        return self.done / max(self.seconds, 1e-9)

    def __str__(self) -> str:
        """As in ``1,000 items in 2.1 s, 476/s: 990 well, 10 failed``."""
        items = "1 item" if self.done == 1 else f"{self.done:,} items"
        return (
            f"{items} in {self.seconds:.1f} s, {self.rate:,.0f}/s: "
            f"{self.succeeded:,} well, {self.failed:,} failed"
        )
