"""What the process does to pools: it ends, and it is forked.

The only state of the library outside pools, next to loop-local identity: the set of open ones, and
whether this is a child of the process that opened them.
"""

from __future__ import annotations

import atexit
import importlib
import os
import threading
import warnings
from time import monotonic
from typing import Protocol
from weakref import WeakSet

__all__ = [
    "Inhabitant",
    "dread_forks",
    "move_in",
    "move_out",
    "renew_in_child",
    "watch_forks",
    "welcome_forks",
]

# All open pools together get so many seconds when the interpreter exits.
EXIT_SECONDS = 1.5


class Inhabitant(Protocol):
    """An open pool, as the process sees it."""

    def close_at_exit(self, seconds: float) -> None:
        """Cancel everything and be closed after so many seconds at most."""

    def forked(self) -> None:
        """This is a child: no thread came along."""


class Renewable(Protocol):
    """A pool that begins anew in a forked child."""

    def begin_anew(self) -> None:
        """This is a child."""


# Ordered by opening. A dict, for each operation on it is atomic: a finaliser may close a pool
# while another thread opens one.
_open: dict[Inhabitant, None] = {}
# Lazy pools, open or not: a child that uses one opens it anew. Weak, for nobody closes what was never used.
_lazy: WeakSet[Renewable] = WeakSet()
# What a fork would crash, and the warning of that. A dict, as above.
_dreading: dict[object, str] = {}
_has_hooks = False
# Whether this process was forked since the first pool was opened. Read as an attribute of the module.
is_child = False
# How many forks there are between this process and the one that set the hooks; as above.
forks: int = 0


def move_in(pool: Inhabitant) -> None:
    """From now on `pool` is told when the process exits or is forked."""
    watch_forks()
    _open[pool] = None


def renew_in_child(pool: Renewable) -> None:
    """From now on `pool` begins anew in a forked child."""
    watch_forks()
    _lazy.add(pool)


def watch_forks() -> None:
    """From now on `forks` and `is_child` are right; what only needs to know that need not move in."""
    global _has_hooks  # noqa: PLW0603 - registered once per process, and not at import
    if not _has_hooks:
        # Executors register theirs when they are imported, and the last one registered runs first.
        # So they have to be imported by now, for tasks may use them until we have closed.
        importlib.import_module("concurrent.futures.thread")
        # Private, and what concurrent.futures uses. atexit would be too late: by then threads
        # that are not daemons have been joined, executors are shut down, and a `finally` that
        # uses to_thread() fails. Should it ever go, atexit is what is left.
        register = getattr(threading, "_register_atexit", atexit.register)
        register(_close_all)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=_warn_of_fork, after_in_child=_fork_all)
        _has_hooks = True


def move_out(pool: Inhabitant) -> None:
    """The pool is closed: it needs to be told nothing more."""
    _open.pop(pool, None)


def dread_forks(thing: object, warning: str) -> None:
    """From now on it is said of each fork what that does to `thing`."""
    watch_forks()
    _dreading[thing] = warning


def welcome_forks(thing: object) -> None:
    """`thing` is gone."""
    _dreading.pop(thing, None)


def _warn_of_fork() -> None:
    for warning in set(_dreading.values()):
        # Attributed to who forks. (It cannot be kept from it: what this raises, Python only prints.)
        warnings.warn(warning, RuntimeWarning, stacklevel=2)


def _close_all() -> None:
    deadline = monotonic() + EXIT_SECONDS
    pools = list(_open)
    while pools:
        # Each may take its share of what is left; most take next to nothing of theirs.
        share = max(0.0, deadline - monotonic()) / len(pools)
        # The last one first: what it runs may use an earlier one, as with blocks inside each other.
        pools.pop().close_at_exit(share)


def _fork_all() -> None:
    global is_child, forks  # noqa: PLW0603 - what a child has and its parent has not
    is_child = True
    forks += 1
    for pool in list(_open):
        pool.forked()
    _open.clear()
    _dreading.clear()
    for lazy in list(_lazy):
        lazy.begin_anew()
