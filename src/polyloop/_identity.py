"""One object per identity in a process, however often it is pickled by value.

A function of ``__main__`` is sent to another process by value, with copies of the objects that it refers to.
A loop-local among them must be one object there, or each call would open a value of its own. So it carries an
identity that no other has, and what unpickles it looks here first.

The library's only other state outside pools and loops is in ``_process``. References are weak: this keeps
nothing alive.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar, cast
from weakref import WeakValueDictionary

from ._locks import Lock

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["find", "register"]

T = TypeVar("T")

_known: WeakValueDictionary[str, object] = WeakValueDictionary()
# Two threads that unpickle the same for the first time must get one object. Re-entrant, for a finaliser may
# unpickle in the middle of this.
_lock = Lock()


def register(thing: object) -> str:
    """Give `thing` an identity, under which `find` finds it in this process."""
    identity = os.urandom(16).hex()
    with _lock:
        _known[identity] = thing
    return identity


def find(identity: str, make: Callable[[], T]) -> T:
    """The object of that identity; made if this process has none.

    Args:
        identity: From `register`, in this process or another.
        make: Makes the object.
    """
    with _lock:
        thing = _known.get(identity)
        if thing is None:
            thing = _known[identity] = make()
        return cast("T", thing)
