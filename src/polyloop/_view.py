"""A pool as seen through fixed options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._calls import Calls

if TYPE_CHECKING:
    from ._dispatch import Dispatch
    from ._options import Options

__all__ = ["PoolView"]


class PoolView(Calls):
    """What can be asked of a pool, with something fixed for all of it: made by `LoopPool.options`.

    Options live here and not beside a function's arguments, since those are the user's: a ``timeout=`` given
    to `submit` is for the function.
    """

    __slots__ = ("_options", "_pool")

    def __init__(self, pool: Calls, options: Options) -> None:
        self._pool = pool
        self._options = options

    # Looked up each time: in a forked child a lazy pool has other ones than when the view was made.

    @property
    def _dispatch(self) -> Dispatch:  # type: ignore[override]  # only a pool sets it
        return self._pool._dispatch

    @property
    def _grace(self) -> float:  # type: ignore[override]  # as above
        return self._pool._grace

    @property
    def _most_in_flight(self) -> int:  # type: ignore[override]  # as above
        return self._pool._most_in_flight
