"""Ray's functions as they are without Ray's own connecting, for threads that outlive a connection.

Nearly all that Ray offers first connects the program, if it is not connected: it would begin another cluster
in the middle of ``ray.shutdown()``, because of a thread of ours that had not heard of that. What is here
raises instead, and changes nothing for the program's own calls.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["RayCalls"]


class RayCalls:
    """Calls of Ray that raise where it was shut down.

    Args:
        ray: The module.
    """

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self.get = _bare(ray.get)
        self.wait = _bare(ray.wait)
        self.kill = _bare(ray.kill)
        self.free = _bare(ray.available_resources)
        self.nodes = _bare(ray.nodes)

    def create(self, actor_class: type, groups: Mapping[str, int], options: Mapping[str, Any]) -> Any:
        """A new actor.

        Args:
            actor_class: What it is.
            groups: The threads that its methods have, by the names that `method` takes.
            options: Of ``ray.remote``.
        """
        made = self._ray.remote(**options, concurrency_groups=dict(groups))(actor_class)
        # remote() is this one call. What it passes is not what was given: Ray has read it by now.
        return _bare(made._remote)((), {}, **made._default_options)

    def method(self, actor: Any, name: str, group: str | None = None) -> Callable[..., Any]:
        """What calls a method of an actor, in a group of its threads, and returns the reference."""
        remote = _bare(getattr(actor, name)._remote)

        def call(*args: Any) -> Any:
            return remote(args, {}, concurrency_group=group)

        return call


def _bare(function: Any) -> Any:
    inner = getattr(function, "__wrapped__", None)
    if inner is None:
        return function
    owner = getattr(function, "__self__", None)
    return inner if owner is None else functools.partial(inner, owner)
