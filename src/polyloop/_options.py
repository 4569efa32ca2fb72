"""What ``options(...)`` fixes for the calls that are made through it, and which worker a key means."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Options", "hash_of", "options_of", "slot_of", "slot_of_hash"]

_64_BITS = (1 << 64) - 1


# Not frozen, though nobody changes it: that would double the price of a view which is made for one call.
@dataclass(slots=True)
class Options:
    """What is fixed for a call beside its function and arguments; shared by all calls of one view.

    Attributes:
        timeout: Seconds from its acceptance to its deadline; None is without one.
        pin: The index of the worker that it has to run on; None is any.
        key: The hash of the key that says which worker that is; None is no key.
        resubmits: How often it may be sent again when its worker was lost.
        name: What it is called in logs, statistics and the name of its task.
    """

    timeout: float | None = None
    pin: int | None = None
    resubmits: int = 0
    name: str | None = None
    key: int | None = None

    @property
    def fixes_worker(self) -> bool:
        """Whether they say where a call runs."""
        return self.pin is not None or self.key is not None


# One that is asked for again is found in half the time that it takes to make one.
options_of = lru_cache(maxsize=256)(Options)


def slot_of(key: Hashable, slots: int) -> int:
    """The index, below `slots`, that belongs to `key`: always the same one for equal keys in one process.

    Raises:
        TypeError: `key` cannot be hashed.
    """
    return slot_of_hash(hash_of(key), slots)


def hash_of(key: Hashable) -> int:
    """What `slot_of_hash` takes.

    Raises:
        TypeError: `key` cannot be hashed.
    """
    try:
        return hash(key)
    except TypeError as error:
        raise TypeError(f"key={key!r:.200} must be hashable, as a dict's keys are: {error}") from None


# Asked for each call that is made through a view with a key, and there may be few of these.
@lru_cache(maxsize=4096)
def slot_of_hash(key: int, slots: int) -> int:
    """The index, below `slots`, that belongs to a key with this hash.

    With one slot more, one key in that many moves, and each of those to the new slot. (J. Lamping and
    E. Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm", 2014.)
    """
    state = key & _64_BITS
    slot, following = -1, 0
    while following < slots:
        slot = following
        state = (state * 2862933555777941757 + 1) & _64_BITS
        following = int((slot + 1) * ((1 << 31) / ((state >> 33) + 1)))
    return slot
