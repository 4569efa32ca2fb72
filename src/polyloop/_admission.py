"""Whether a pool takes calls: not before it is open, not while its backlog is full, not when it is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ._errors import PoolFull
from ._turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._elastic import ElasticRoster

__all__ = ["Admission"]


class Admission(Turns):
    """Knows what a call is told that comes now; it takes none itself.

    Args:
        roster: Knows how many calls wait, and how many may.
        refusal: Makes what a call is told that comes before `let_in`.
    """

    def __init__(self, roster: ElasticRoster, refusal: Callable[[], Exception]) -> None:
        super().__init__()
        self._roster = roster
        self._refusal: Callable[[], Exception] | None = refusal
        self._lets_nested_in = False
        self._opener: Callable[[], object] | None = None
        # A call has come, and workers are brought up for it.
        self._is_opening = False
        self._is_bounded = roster.is_bounded

    def open_with(self, opener: Callable[[], object]) -> None:
        """Let the first call in, which then waits for a worker as those do that come after it.

        Args:
            opener: Called then, to have workers brought up; must not wait for them. When it raises, so does
                that call, and the next one tries again.
        """
        self._opener = opener

    @property
    def is_opening(self) -> bool:
        """Whether a call has come that it is opened for."""
        return self._is_opening

    def let_in(self) -> None:
        """Accept calls from now on."""
        with self._lock:
            self._refusal = self._opener = None
            self._is_opening = False
            self._is_bounded = self._roster.is_bounded

    def shut(self, refusal: Callable[[], Exception], *, but_for_nested: bool = False) -> None:
        """Accept no more calls.

        Args:
            refusal: Makes what they are told.
            but_for_nested: Still let those in that running tasks make, so that these can end.
        """
        with self._lock:
            self._refusal = refusal
            self._opener = None
            self._is_opening = False
            self._lets_nested_in = but_for_nested

    @property
    def is_shut(self) -> bool:
        """Whether it takes no more calls, not even those of running tasks."""
        with self._lock:  # of the two, shut() changes one after the other
            return self._refusal is not None and not self._lets_nested_in

    def check_open(self) -> None:
        """Raise what a call that comes now is told if the pool is not open, or not any more."""
        with self._lock:
            if self._refusal is not None:
                raise self._refusal()

    def _check_taking(self) -> None:
        """Raise what a call that comes now would be told because the pool is not open."""
        if self._refusal is not None:
            with self._lock:
                self._refuse_if_shut()

    # -- under the lock ----------------------------------------------------------------------

    def _refuse(self, is_nested: bool) -> None:
        if self._opener is not None:
            self._open_for_first()
        elif self._refusal is not None:
            if not (is_nested and self._lets_nested_in):
                raise self._refusal()
        elif not is_nested:
            raise PoolFull(
                f"the backlog holds {self._roster.backlog} calls, as many as backlog= allows; "
                "await run(), which waits for a place, or submit more slowly"
            )

    def _refuse_if_shut(self) -> None:
        # A call that opens the pool is taken. While that is drained nested calls come in, and the watch of
        # deadlines goes on to the end of that.
        if self._refusal is not None and self._opener is None and not self._lets_nested_in:
            raise self._refusal()

    def _open_for_first(self) -> None:
        opener, self._opener = cast("Callable[[], object]", self._opener), None
        # Before the opener is called: a signal handler may submit in the middle of that.
        refusal, self._refusal = self._refusal, None
        self._is_opening = True
        try:
            opener()
        except BaseException:
            self._opener, self._refusal, self._is_opening = opener, refusal, False
            raise
        # Until there are workers everything has to wait, and that is not the fault of those who submit.
        self._is_bounded = False
